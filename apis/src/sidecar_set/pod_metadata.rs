//! `patchPodMetadata`: annotations that a Pod is given.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::PatchPolicy;
use super::white_list::WhiteList;
use crate::validation::sidecar_set::PodMetadata;

/// An annotation that could not be given, by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// The white list does not name it.
    NotAllowed(String),
    /// It is to be merged, and what the Pod has is no JSON.
    NotJson(String),
}

/// Gives `annotations` what the `patches` of a set with these `labels` say. Returns what could not
/// be given.
pub fn apply(
    annotations: &mut BTreeMap<String, String>,
    patches: &[PodMetadata],
    labels: &BTreeMap<String, String>,
    white_list: &WhiteList,
) -> Vec<LeftOut> {
    let mut left_out = Vec::new();
    for patch in patches {
        for (key, value) in &patch.annotations {
            if !white_list.allows(labels, key) {
                left_out.push(LeftOut::NotAllowed(key.clone()));
                continue;
            }
            let present = annotations.get(key);
            let result = match (patch.policy, present) {
                (_, None) | (PatchPolicy::Overwrite, _) => value.clone(),
                (PatchPolicy::Retain, Some(_)) => continue,
                (PatchPolicy::MergePatchJson, Some(present)) => match merged(present, value) {
                    Some(merged) => merged,
                    None => {
                        left_out.push(LeftOut::NotJson(key.clone()));
                        continue;
                    }
                },
            };
            annotations.insert(key.clone(), result);
        }
    }
    left_out
}

/// RFC 7386. What changes nothing leaves the text as it is.
fn merged(present: &str, patch: &str) -> Option<String> {
    let before: Value = serde_json::from_str(present).ok()?;
    let patch: Value = serde_json::from_str(patch).ok()?;
    let mut after = before.clone();
    merge(&mut after, patch);
    if after == before {
        return Some(present.to_owned());
    }
    Some(after.to_string())
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Map::new().into();
    }
    let Value::Object(target) = target else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_merged_as_the_rfc_says() {
        for (present, patch, result) in [
            (
                r#"{"log-agent":1}"#,
                r#"{"envoy":2}"#,
                r#"{"envoy":2,"log-agent":1}"#,
            ),
            (
                r#"{"a":{"b":1,"c":2}}"#,
                r#"{"a":{"b":null}}"#,
                r#"{"a":{"c":2}}"#,
            ),
            (r#"{ "a": 1 }"#, r#"{"a":1}"#, r#"{ "a": 1 }"#),
            ("[1]", r#"{"a":null}"#, "{}"),
            (r#"{"a":1}"#, "2", "2"),
        ] {
            assert_eq!(merged(present, patch).as_deref(), Some(result), "{patch}");
        }
        assert_eq!(merged("plain", "{}"), None);
    }
}
