//! The facts of one `PodDisruptionBudget` that decisions need.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::core::Selector;
use serde::{Deserialize, Serialize};

/// A `PodDisruptionBudget`, projected.
#[derive(kube::Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[resource(inherit = k8s_openapi::api::policy::v1::PodDisruptionBudget)]
pub struct DisruptionBudget {
    /// See [`crate::metadata`].
    #[serde(deserialize_with = "crate::metadata::slim")]
    pub metadata: ObjectMeta,
    /// What it asks for.
    #[serde(default)]
    pub spec: DisruptionBudgetSpec,
    /// What its controller says of it.
    #[serde(default)]
    pub status: DisruptionBudgetStatus,
}

/// `spec`, projected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DisruptionBudgetSpec {
    /// Which Pods of its namespace; without one, none.
    pub selector: Option<LabelSelector>,
}

/// `status`, projected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DisruptionBudgetStatus {
    /// The generation that the rest speaks of.
    pub observed_generation: Option<i64>,
    /// So many Pods may be taken away now.
    pub disruptions_allowed: i64,
    /// So many have to be healthy.
    pub desired_healthy: i64,
    /// So many there are, or should be.
    pub expected_pods: i64,
}

impl DisruptionBudget {
    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// So many Pods may be taken away, as far as its controller has looked: of a spec that it has not
    /// seen it says nothing.
    pub(crate) fn allowed(&self) -> i64 {
        let generation = self.metadata.generation.unwrap_or_default();
        let seen = self.status.observed_generation.unwrap_or_default();
        if seen < generation {
            0
        } else {
            self.status.disruptions_allowed
        }
    }

    /// Which Pods it is about. One that cannot be read is about all: nobody knows whom it protects.
    pub(crate) fn selector(&self) -> Option<Selector> {
        let selector = self.spec.selector.clone()?;
        Some(Selector::try_from(selector).unwrap_or_default())
    }
}
