//! Whose Pod it is: adopt what matches and has no owner, release what no longer matches.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::SelectorExt;
use serde_json::{Value, json};

use crate::effect::{Effect, Target};
use crate::findings::{Finding, Pods};
use crate::{Pod, Snapshot};

/// The owner reference that makes the set a Pod's controller.
pub(crate) fn owner_reference(s: &Snapshot) -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1beta1",
        "kind": "CloneSet",
        "name": s.name(),
        "uid": s.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// A Pod that is the set's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owned<'a> {
    pub(crate) pod: &'a Arc<Pod>,
    /// Its place in the snapshot.
    pub(crate) place: usize,
    pub(crate) finding: &'a Finding,
}

/// Adoptions and releases that are due, and the Pods that are the set's own.
pub(crate) fn claim<'a>(s: &'a Snapshot, pods: &'a Pods) -> (Vec<Effect>, Vec<Owned<'a>>) {
    let mut effects = Vec::new();
    let mut owned = Vec::with_capacity(s.pods.len());
    for (place, pod, finding) in pods.of(s) {
        if finding.matches {
            owned.push(Owned {
                pod,
                place,
                finding,
            });
        } else if crate::warm::is_warmer(s, pod) {
            // No replica, and ours all the same.
        } else if !pod.is_terminating() && !s.held.contains_key(pod.uid()) {
            let index = pod
                .metadata
                .owner_references
                .iter()
                .flatten()
                .position(|reference| reference.uid == s.uid());
            if let Some(index) = index {
                effects.push(Effect::Release {
                    target: Target::of(&pod.metadata),
                    index,
                });
            }
        }
    }
    for pod in &s.orphans {
        let held = s.held.contains_key(pod.uid());
        if pod.is_active() && !held && s.set.selector.matches(&pod.labels().to_map()) {
            let has_references = pod.metadata.owner_references.is_some();
            effects.push(Effect::Adopt {
                target: Target::of(&pod.metadata),
                owner: owner_reference(s),
                has_references,
            });
        }
    }
    (effects, owned)
}

/// Adoptions of revisions that are due. A set that was deleted with `--cascade=orphan` and made
/// again finds its Pods' revisions by them; without, their names would be taken for ever.
pub(crate) fn claim_revisions(s: &Snapshot) -> Vec<Effect> {
    let ours = s.orphan_revisions.iter().filter(|revision| {
        let metadata = &revision.metadata;
        let labels = metadata.labels.clone().unwrap_or_default();
        let wanted = s.set.selector.matches(&labels) && revision.template.is_object();
        wanted && metadata.deletion_timestamp.is_none()
    });
    ours.map(|revision| Effect::AdoptRevision {
        target: Target::of(&revision.metadata),
        owner: owner_reference(s),
        has_references: revision.metadata.owner_references.is_some(),
    })
    .collect()
}

/// Whether a set may still take objects as its own, by what the API server says of it now: `live` is
/// the set of that name, and `uid` that of the set which the decision was about.
///
/// A set that is deleted with `--cascade=orphan` leaves its Pods behind. To whom does not know yet of
/// the deletion they look like Pods to adopt; and what is owned by a set that is gone is deleted.
pub fn may_adopt(live: Option<&ObjectMeta>, uid: &str) -> bool {
    live.is_some_and(|live| live.uid.as_deref() == Some(uid) && live.deletion_timestamp.is_none())
}

/// How many of `effects` adopt a Pod.
pub(crate) fn adoptions(effects: &[Effect]) -> u32 {
    let adopts = |effect: &&Effect| matches!(effect, Effect::Adopt { .. });
    u32::try_from(effects.iter().filter(adopts).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bug: a set that was deleted with `--cascade=orphan` adopted its Pods again, from an old view of
    /// itself, and they were deleted as those of an owner that is gone.
    #[test]
    fn a_set_that_is_going_or_gone_adopts_nothing() {
        let set = |uid: &str, going: Option<&str>| {
            let metadata = json!({"uid": uid, "deletionTimestamp": going});
            serde_json::from_value::<ObjectMeta>(metadata).unwrap()
        };
        assert!(may_adopt(Some(&set("a", None)), "a"));
        let going = set("a", Some("2026-01-01T00:00:00Z"));
        assert!(!may_adopt(Some(&going), "a"), "it is going");
        assert!(!may_adopt(Some(&set("b", None)), "a"), "made anew");
        assert!(!may_adopt(None, "a"), "gone");
    }
}
