//! Bare Pods, and the three writes an update in place is made of; as lean as the API allows, since
//! what is built of them stands for the best that a controller could reach.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use kube::Client;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::wait;

/// The container whose image changes.
pub(crate) const MAIN: &str = "main";
const GATE: &str = "InPlaceUpdateReady";
const LABEL: &str = "app";

/// The Pods of one namespace that carry one label.
#[derive(Clone)]
pub(crate) struct Pods {
    client: Client,
    path: Request,
    /// Value of the label.
    app: String,
}

/// A Pod as far as it matters here: decoding the rest would be work that nobody needs.
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

impl Pods {
    pub(crate) fn new(client: Client, namespace: &str, app: &str) -> Self {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        Self {
            client,
            path: Request::new(path),
            app: app.to_owned(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn path(&self) -> &Request {
        &self.path
    }

    pub(crate) fn selector(&self) -> String {
        format!("{LABEL}={}", self.app)
    }

    /// Creates `names` from `spec`, with the readiness gate, `at_once` of them at a time, and opens
    /// their gates.
    pub(crate) async fn create(
        &self,
        names: &[String],
        spec: &Value,
        at_once: usize,
    ) -> Result<()> {
        let mut spec = spec.clone();
        spec["readinessGates"] = json!([{"conditionType": GATE}]);
        let spec = &spec;
        let creations = stream::iter(names).map(|name| async move {
            let labels = json!({LABEL: self.app});
            let metadata = json!({"name": name, "labels": labels});
            let pod =
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
            let request = self
                .path
                .create(&PostParams::default(), serde_json::to_vec(&pod)?)?;
            let created: Pod = self
                .client
                .request(request)
                .await
                .context("failed to create")?;
            self.open(created.name()).await
        });
        creations.buffer_unordered(at_once).try_collect().await
    }

    /// Takes the Pod out of service: the gate closes and Ready falls in one write.
    pub(crate) async fn drain(&self, name: &str) -> Result<()> {
        let since = jiff::Timestamp::now()
            .round(jiff::Unit::Second)?
            .to_string();
        let conditions = json!([
            {"type": GATE, "status": "False", "lastTransitionTime": since},
            {"type": "Ready", "status": "False", "lastTransitionTime": since},
        ]);
        self.conditions(name, &conditions).await
    }

    /// Opens the gate; whether the Pod is Ready is up to its containers from then on.
    pub(crate) async fn open(&self, name: &str) -> Result<()> {
        self.conditions(name, &json!([{"type": GATE, "status": "True"}]))
            .await
    }

    /// Changes the image of the first container; gives the new generation.
    pub(crate) async fn image(&self, name: &str, image: &str) -> Result<i64> {
        let path = "/spec/containers/0/image";
        let patch = json!([{"op": "replace", "path": path, "value": image}]);
        let patch = Patch::<()>::Json(serde_json::from_value(patch)?);
        let request = self.path.patch(name, &PatchParams::default(), &patch)?;
        let pod: Pod = self
            .client
            .request(request)
            .await
            .context("failed to change an image")?;
        Ok(pod.metadata.generation)
    }

    async fn conditions(&self, name: &str, conditions: &Value) -> Result<()> {
        let patch = Patch::Strategic(json!({"status": {"conditions": conditions}}));
        let params = PatchParams::default();
        let request = self
            .path
            .patch_subresource("status", name, &params, &patch)?;
        self.client
            .request_text(request)
            .await
            .context("failed to change a status")?;
        Ok(())
    }

    pub(crate) async fn list(&self) -> Result<List> {
        let request = self
            .path
            .list(&ListParams::default().labels(&self.selector()))?;
        self.client
            .request(request)
            .await
            .context("failed to list Pods")
    }

    /// The Pods by name.
    pub(crate) async fn by_name(&self) -> Result<BTreeMap<String, Pod>> {
        let pods = self.list().await?.items.into_iter();
        Ok(pods.map(|pod| (pod.metadata.name.clone(), pod)).collect())
    }

    /// Waits until `count` of them are Ready.
    pub(crate) async fn all_ready(&self, count: usize) -> Result<()> {
        wait::until("all Pods are Ready", async || {
            let ready = self
                .list()
                .await?
                .items
                .iter()
                .filter(|pod| pod.is_ready())
                .count();
            Ok(if ready == count {
                Ok(())
            } else {
                Err(format!("{ready} of {count} are Ready"))
            })
        })
        .await
    }

    /// Deletes all of them and waits until none is left.
    pub(crate) async fn delete(&self) -> Result<()> {
        let selected = ListParams::default().labels(&self.selector());
        let now = DeleteParams::default().grace_period(1);
        self.client
            .request_text(self.path.delete_collection(&now, &selected)?)
            .await?;
        self.gone().await
    }

    /// Waits until none is left.
    pub(crate) async fn gone(&self) -> Result<()> {
        wait::until("all Pods are gone", async || {
            let left = self.list().await?.items.len();
            Ok(if left == 0 {
                Ok(())
            } else {
                Err(format!("{left} left"))
            })
        })
        .await
    }
}
