//! What an in-place update leaves on its Pod: one annotation, OpenKruise's shape plus optional
//! fields of ours, so that either controller can take over half-way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// The Pod's generation before the patch. Up to the next one, an image that is not the
    /// template's is what admission made of our patch; beyond, somebody edited the Pod. Without it
    /// a rewriting webhook and the template would take turns for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
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

impl InPlaceState {
    /// Reads the annotation's value; a value that is not ours to read is no record.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The annotation's value.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
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
