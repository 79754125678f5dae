//! A Pod as far as it matters here: decoding the rest would be work that nobody needs.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The container whose image changes.
pub(crate) const MAIN: &str = "main";
/// The readiness gate of updates in place.
pub(crate) const GATE: &str = "InPlaceUpdateReady";

/// A Pod.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Pod {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    #[serde(default)]
    pub(crate) generation: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    conditions: Vec<Condition>,
    container_statuses: Vec<Container>,
}

#[derive(Clone, Debug, Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Container {
    name: String,
    #[serde(default, rename = "containerID")]
    container_id: String,
    #[serde(default)]
    state: BTreeMap<String, Value>,
}

/// A list of Pods and its version.
#[derive(Deserialize)]
pub(crate) struct List {
    pub(crate) metadata: ListMetadata,
    pub(crate) items: Vec<Pod>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListMetadata {
    pub(crate) resource_version: String,
}

impl Pod {
    pub(crate) fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Whether the kubelet has seen `generation` of the spec.
    pub(crate) fn has_observed(&self, generation: i64) -> bool {
        self.status.observed_generation >= generation
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.condition("Ready") == Some("True")
    }

    /// What the gate says; None while nobody has set it.
    pub(crate) fn gate(&self) -> Option<bool> {
        self.condition(GATE).map(|status| status == "True")
    }

    /// The ID of the main container, when it runs.
    pub(crate) fn running(&self) -> Option<&str> {
        let mut containers = self.status.container_statuses.iter();
        let main = containers.find(|container| container.name == MAIN)?;
        main.state
            .contains_key("running")
            .then_some(main.container_id.as_str())
    }

    /// Whether the main container runs and is not the one that ran in `before`.
    pub(crate) fn runs_another_than(&self, before: &Self) -> bool {
        self.running()
            .is_some_and(|id| Some(id) != before.running())
    }

    fn condition(&self, wanted: &str) -> Option<&str> {
        let mut conditions = self.status.conditions.iter();
        conditions
            .find(|c| c.r#type == wanted)
            .map(|c| c.status.as_str())
    }
}
