//! What an in-place update leaves on its Pod: one annotation, OpenKruise's shape plus optional
//! fields of ours, so that either controller can take over half-way.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The JSON in [`crate::names::IN_PLACE_STATE_ANNOTATION`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InPlaceState {
    /// The revision the Pod was patched to.
    #[serde(default)]
    pub revision: String,
    /// When it was patched, RFC 3339.
    #[serde(default)]
    pub update_timestamp: String,
    /// What ran before the patch, by container, for the containers that the patch restarts.
    #[serde(
        default,
        rename = "lastContainerStatuses",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub last: BTreeMap<String, LastContainer>,
    /// Whether images were changed; read by OpenKruise.
    #[serde(default)]
    pub update_images: bool,
    /// Whether cpu or memory was changed; read by OpenKruise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub update_resources: bool,
    /// The Pod's generation before our last write to its spec. Up to the next one, an image that is
    /// not the template's is what admission made of our patch; beyond, somebody edited the Pod.
    /// Without it a rewriting webhook and the template would take turns for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Changes of cpu and memory that the patch announces, by container. They are a write of their
    /// own, which cannot store a record: whoever finds the Pod between the two finishes it by this.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resizes: BTreeMap<String, Resize>,
    /// Images that containers of later launch priority are still to get.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub next_container_images: BTreeMap<String, String>,
    /// Cpu and memory that they are still to get.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub next_container_resources: BTreeMap<String, Resources>,
    /// Labels and annotations that OpenKruise held back for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub next_container_ref_metadata: BTreeMap<String, RefMetadata>,
    /// Containers that have to be ready before; read by OpenKruise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_check_before_next: Option<PreCheck>,
}

/// A change of cpu and memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    /// What the container had.
    pub from: Resources,
    /// What it is to have.
    pub to: Resources,
}

/// Cpu and memory of a container, as in its `resources`. Other resources are not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// At most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Amounts>,
    /// At least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Amounts>,
}

/// An amount of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Amounts {
    /// As written, say `500m`.
    #[serde(deserialize_with = "quantity", skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Box<str>>,
    /// As written, say `1Gi`.
    #[serde(deserialize_with = "quantity", skip_serializing_if = "Option::is_none")]
    pub memory: Option<Box<str>>,
}

/// A quantity may be written as a number.
fn quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<str>>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text.into_boxed_str()),
        Value::Number(number) => Some(number.to_string().into_boxed_str()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// Labels and annotations that the environment of a container is filled from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefMetadata {
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What has to hold before the next containers are changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PreCheck {
    /// Names of containers.
    pub containers_required_ready: Vec<String>,
}

/// A container as it was when its replacement was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastContainer {
    /// `status.containerStatuses[].imageID`.
    #[serde(default, rename = "imageID")]
    pub image_id: String,
    /// `status.containerStatuses[].containerID`; absent when OpenKruise wrote the record.
    #[serde(
        default,
        rename = "containerID",
        skip_serializing_if = "Option::is_none"
    )]
    pub container_id: Option<String>,
    /// The image text it was started with; absent when OpenKruise wrote the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// Bytes of a record without containers, and of each container in it.
const ROOM: usize = 256;
const ROOM_PER_CONTAINER: usize = 384;

impl InPlaceState {
    /// Reads the annotation's value; a value that is not ours to read is no record.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whether a change of this Pod is to be followed by more, in writes of their own.
    pub fn has_more(&self) -> bool {
        !self.next_container_images.is_empty()
            || !self.next_container_resources.is_empty()
            || !self.next_container_ref_metadata.is_empty()
    }

    /// The annotation's value.
    pub fn to_json(&self) -> String {
        // Room for what is mostly said, so that it is written once.
        let mut text = Vec::with_capacity(ROOM + self.last.len() * ROOM_PER_CONTAINER);
        let written = serde_json::to_writer(&mut text, self);
        let text = written.ok().and_then(|()| String::from_utf8(text).ok());
        text.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_openkruise_is_read_and_its_unknown_fields_do_no_harm() {
        let text = r#"{"revision":"web-6d5c","updateTimestamp":"2026-01-01T00:00:00Z",
            "lastContainerStatuses":{"main":{"imageID":"sha256:1"}},"updateImages":true,
            "containerBatchesRecord":[{"timestamp":"2026-01-01T00:00:00Z","containers":["main"]}]}"#;
        let state = InPlaceState::parse(text).unwrap();
        assert_eq!(state.last["main"].image_id, "sha256:1");
        assert_eq!(state.last["main"].container_id, None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut state = InPlaceState {
            revision: "web-1".into(),
            ..Default::default()
        };
        state.last.insert(
            "main".into(),
            LastContainer {
                image_id: "a".into(),
                container_id: Some("b".into()),
                image: Some("c".into()),
            },
        );
        assert_eq!(InPlaceState::parse(&state.to_json()), Some(state));
    }
}
