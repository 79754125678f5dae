//! Metadata, projected while it is decoded.
//!
//! Managed fields are half of what the API server sends of a Pod. Decoding them only to drop them
//! would cost more than all the rest together.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde::{Deserialize, Deserializer};

use crate::pod::Words;

/// An annotation that repeats the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Slim<M> {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    labels: Option<M>,
    annotations: Option<M>,
    owner_references: Option<Vec<OwnerReference>>,
    finalizers: Option<Vec<String>>,
}

/// Decodes what decisions need of an object's metadata, and nothing else.
///
/// # Errors
/// Those of the deserializer.
pub fn slim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let slim = Slim::<BTreeMap<String, String>>::deserialize(deserializer)?;
    let (mut metadata, labels, mut annotations) = slim.parts();
    if let Some(annotations) = &mut annotations {
        annotations.remove(LAST_APPLIED);
    }
    metadata.labels = labels;
    metadata.annotations = annotations;
    Ok(metadata)
}

/// The same with labels and annotations beside it, which are most of it.
#[derive(Default)]
pub(crate) struct Apart {
    pub(crate) metadata: ObjectMeta,
    pub(crate) labels: Words,
    pub(crate) annotations: Words,
}

impl<'de> Deserialize<'de> for Apart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (metadata, labels, annotations) = Slim::<Words>::deserialize(deserializer)?.parts();
        Ok(Self {
            metadata,
            labels: labels.unwrap_or_default(),
            annotations: annotations.unwrap_or_default().without(LAST_APPLIED),
        })
    }
}

impl<M> Slim<M> {
    /// Metadata without its maps, labels and annotations.
    fn parts(self) -> (ObjectMeta, Option<M>, Option<M>) {
        let metadata = ObjectMeta {
            name: self.name,
            namespace: self.namespace,
            uid: self.uid,
            resource_version: self.resource_version,
            generation: self.generation,
            creation_timestamp: self.creation_timestamp,
            deletion_timestamp: self.deletion_timestamp,
            owner_references: self.owner_references,
            finalizers: self.finalizers,
            ..ObjectMeta::default()
        };
        (metadata, self.labels, self.annotations)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Pod;

    #[test]
    fn managed_fields_and_applied_configurations_are_not_kept() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "web", "uid": "1",
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
            "annotations": {"note": "x", super::LAST_APPLIED: "{}"}}}))
        .unwrap();
        assert_eq!(pod.name(), "web");
        assert_eq!(pod.metadata.managed_fields, None);
        assert_eq!(
            pod.annotations().iter().collect::<Vec<_>>(),
            [("note", "x")]
        );
    }
}
