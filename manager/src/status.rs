//! Writes the status of a set, and only when it changed.

use std::fmt::Debug;

use apis::condition::Condition;
use apis::{CloneSetStatus, SidecarSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::FIELD_MANAGER;
use crate::metrics::Metrics;
use process::client::{CallError, call};

mod reporter;

pub(crate) use reporter::Reporter;

/// The status of a kind.
pub trait Status: Serialize {
    /// Which generation of the spec it speaks of.
    fn observed_generation(&self) -> Option<i64>;

    /// Its conditions.
    fn conditions(&self) -> &[Condition];
}

impl Status for CloneSetStatus {
    fn observed_generation(&self) -> Option<i64> {
        self.observed_generation
    }

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

impl Status for SidecarSetStatus {
    fn observed_generation(&self) -> Option<i64> {
        self.observed_generation
    }

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

/// Whether what programs wait for changed, and not only a counter.
pub fn is_urgent<S: Status>(old: &S, new: &S) -> bool {
    let judgements = |status: &S| -> Vec<(String, String, Option<String>)> {
        let conditions = status.conditions().iter();
        conditions
            .map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone()))
            .collect()
    };
    old.observed_generation() != new.observed_generation() || judgements(old) != judgements(new)
}

/// Patches the status of the set with `metadata`, unless it is another one by now or has changed
/// since it was read: see [`body`]. The set is one of `api`, which metrics call `resource`.
///
/// # Errors
/// How the call failed, a conflict included; the next pass tries again.
pub(crate) async fn write<K, S: Status>(
    (api, resource): (&Api<K>, &'static str),
    metadata: &ObjectMeta,
    (old, new): (&S, &S),
    metrics: &Metrics,
) -> Result<K, CallError>
where
    K: Clone + Debug + DeserializeOwned,
{
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..Default::default()
    };
    let body = body(metadata, old, new);
    let patch = Patch::Merge(&body);
    let name = metadata.name.as_deref().unwrap_or_default();
    let answer = call(api.patch_status(name, &params, &patch)).await;
    let label = answer.as_ref().err().map_or("ok", CallError::label);
    metrics.wrote("patch", resource, label);
    answer
}

/// The merge patch that takes the status of the set with `metadata` from `old` to `new`.
///
/// The status remembers what decisions rest on: which revision is the current one, and which one
/// was given up. So a status that was judged from an old view is refused, as a former
/// leader's would be that does not know yet that it is none.
pub fn body<S: Status>(metadata: &ObjectMeta, old: &S, new: &S) -> Value {
    json!({
        "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
        "status": difference(old, new),
    })
}

/// The fields that differ: a field that is gone has to be said as null, or it would
/// stay, and be written again with every pass.
fn difference<S: Status>(old: &S, new: &S) -> Map<String, Value> {
    let fields = |status: &S| match json!(status) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let (old, new) = (fields(old), fields(new));
    let gone = old.keys().filter(|key| !new.contains_key(*key)).cloned();
    let mut patch: Map<String, Value> = gone.map(|key| (key, Value::Null)).collect();
    patch.extend(
        new.into_iter()
            .filter(|(key, value)| old.get(key) != Some(value)),
    );
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_was_judged_from_an_old_view_is_refused() {
        let metadata = ObjectMeta {
            uid: Some("set-uid".into()),
            resource_version: Some("7".into()),
            ..Default::default()
        };
        let new = CloneSetStatus {
            replicas: 4,
            ..Default::default()
        };
        let expected = json!({
            "metadata": {"uid": "set-uid", "resourceVersion": "7"},
            "status": {"replicas": 4},
        });
        assert_eq!(body(&metadata, &CloneSetStatus::default(), &new), expected);
    }

    #[test]
    fn a_field_that_is_gone_is_taken_away() {
        let reason = apis::clone_set::ReasonCount {
            reason: "Patched".into(),
            ..Default::default()
        };
        let old = CloneSetStatus {
            reasons: vec![reason],
            replicas: 3,
            ..Default::default()
        };
        let new = CloneSetStatus {
            replicas: 4,
            ..Default::default()
        };
        let expected = json!({"reasons": null, "replicas": 4});
        assert_eq!(Value::Object(difference(&old, &new)), expected);
    }

    #[test]
    fn counters_can_wait_and_judgements_cannot() {
        let old = CloneSetStatus::default();
        let counted = CloneSetStatus {
            ready_replicas: 1,
            ..Default::default()
        };
        assert!(!is_urgent(&old, &counted));
        let observed = CloneSetStatus {
            observed_generation: Some(2),
            ..Default::default()
        };
        assert!(is_urgent(&old, &observed));
    }
}
