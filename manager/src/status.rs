//! Writes the status of a CloneSet, and only when it changed.

use apis::{CloneSet, CloneSetStatus};
use kube::api::{Api, Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::client::{CallError, FIELD_MANAGER, call};
use crate::metrics::Metrics;

/// Whether what programs wait for changed, and not only a counter.
pub(crate) fn is_urgent(old: &CloneSetStatus, new: &CloneSetStatus) -> bool {
    let judgements = |status: &CloneSetStatus| -> Vec<(String, String, Option<String>)> {
        let conditions = status.conditions.iter();
        conditions
            .map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone()))
            .collect()
    };
    old.observed_generation != new.observed_generation || judgements(old) != judgements(new)
}

/// Patches the status of the object that `metadata` names; a set that was deleted and created
/// again meanwhile is left alone.
///
/// # Errors
/// How the call failed; the next pass tries again.
pub(crate) async fn write(
    client: &Client,
    set: &DeserializeGuard<CloneSet>,
    status: &CloneSetStatus,
    metrics: &Metrics,
) -> Result<DeserializeGuard<CloneSet>, CallError> {
    let namespace = set.namespace().unwrap_or_default();
    let api: Api<DeserializeGuard<CloneSet>> = Api::namespaced(client.clone(), &namespace);
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..Default::default()
    };
    let body = json!({"metadata": {"uid": set.uid()}, "status": status});
    let patch = Patch::Merge(&body);
    let answer = call(api.patch_status(&set.name_any(), &params, &patch)).await;
    let label = answer.as_ref().err().map_or("ok", CallError::label);
    metrics.wrote("patch", "clonesets/status", label);
    answer
}
