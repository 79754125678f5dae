//! The facts of one node that decisions need: where it stands.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// A `Node`, projected.
#[derive(kube::Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[resource(inherit = k8s_openapi::api::core::v1::Node)]
pub struct Node {
    /// See [`crate::metadata`]; the labels are its topology domains.
    #[serde(deserialize_with = "crate::metadata::slim")]
    pub metadata: ObjectMeta,
}

impl Node {
    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}
