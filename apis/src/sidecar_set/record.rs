//! What is remembered on a Pod of what it was given: annotations in OpenKruise's shape, so that
//! either controller can go on with Pods of the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::in_place_state::LastContainer;

/// What one SidecarSet injected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Entry {
    /// When, RFC 3339; at an update in place, when that was.
    #[serde(deserialize_with = "or_default")]
    pub update_timestamp: String,
    /// [`crate::sidecar_set::hash`] of the containers.
    #[serde(deserialize_with = "or_default")]
    pub hash: String,
    /// Name of the SidecarSet.
    #[serde(deserialize_with = "or_default")]
    pub sidecar_set_name: String,
    /// Names of the containers and native sidecars, twins without their suffix, sorted.
    #[serde(deserialize_with = "or_default")]
    pub sidecar_list: Vec<String>,
    /// Name of the revision.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "or_default"
    )]
    pub controller_revision: Option<String>,
}

/// What every SidecarSet injected, by its name: the value of
/// [`crate::names::SIDECAR_HASH_ANNOTATION`] and of
/// [`crate::names::SIDECAR_HASH_WITHOUT_IMAGE_ANNOTATION`].
pub type Entries = BTreeMap<String, Entry>;

/// What an update of the containers of one SidecarSet has to remember.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// The hash that the Pod was brought to.
    #[serde(deserialize_with = "or_default")]
    pub revision: String,
    /// When it was patched, RFC 3339.
    #[serde(deserialize_with = "or_default")]
    pub update_timestamp: String,
    /// What ran before the patch, by container, for the containers that the patch restarts.
    #[serde(rename = "lastContainerStatuses", deserialize_with = "or_default")]
    pub last: BTreeMap<String, LastContainer>,
}

/// The same of every SidecarSet, by its name: the value of
/// [`crate::names::SIDECAR_IN_PLACE_STATE_ANNOTATION`].
pub type States = BTreeMap<String, State>;

/// Reads it; a value that is not ours to read is no record.
pub fn parse_states(text: &str) -> States {
    serde_json::from_str(text).unwrap_or_default()
}

/// Writes it.
pub fn write_states(states: &States) -> String {
    // Texts and maps of texts can always be written.
    serde_json::to_string(states).unwrap_or_default()
}

fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// As it is, or as OpenKruise wrote it in its early days: a hash for each name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Entry(Entry),
    Hash(String),
}

/// Reads the annotation.
///
/// # Errors
/// When it is not what OpenKruise or we write.
pub fn parse(text: &str) -> Result<Entries, serde_json::Error> {
    let stored: BTreeMap<String, Stored> = serde_json::from_str(text)?;
    let entries = stored.into_iter().map(|(name, stored)| {
        let entry = match stored {
            Stored::Entry(entry) => entry,
            Stored::Hash(hash) => Entry {
                hash,
                sidecar_set_name: name.clone(),
                ..Entry::default()
            },
        };
        (name, entry)
    });
    Ok(entries.collect())
}

/// Writes the annotation.
pub fn write(entries: &Entries) -> String {
    // Texts and lists of texts can always be written.
    serde_json::to_string(entries).unwrap_or_default()
}

/// Reads [`crate::names::SIDECAR_LIST_ANNOTATION`].
pub fn parse_list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|n| !n.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_has_openkruises_shape() {
        let entry = Entry {
            update_timestamp: "2026-01-02T03:04:05Z".into(),
            hash: "h".into(),
            sidecar_set_name: "log".into(),
            sidecar_list: vec!["agent".into()],
            controller_revision: Some("log-1".into()),
        };
        let text = write(&Entries::from([("log".to_owned(), entry)]));
        assert_eq!(
            text,
            "{\"log\":{\"updateTimestamp\":\"2026-01-02T03:04:05Z\",\"hash\":\"h\",\
             \"sidecarSetName\":\"log\",\"sidecarList\":[\"agent\"],\
             \"controllerRevision\":\"log-1\"}}"
        );
        assert_eq!(write(&parse(&text).unwrap()), text);
    }

    #[test]
    fn the_shape_of_old_is_read_and_garbage_is_not() {
        let entries = parse("{\"log\":\"h\"}").unwrap();
        assert_eq!(entries["log"].hash, "h");
        assert_eq!(entries["log"].sidecar_set_name, "log");
        let nulls =
            parse("{\"log\":{\"updateTimestamp\":null,\"hash\":\"h\",\"sidecarList\":null}}");
        assert_eq!(nulls.unwrap()["log"].hash, "h");
        for garbage in ["", "[]", "{\"log\":1}", "{", "\"log\""] {
            assert!(parse(garbage).is_err(), "{garbage}");
        }
    }
}
