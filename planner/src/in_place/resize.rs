//! Changes of cpu and memory where a Pod runs.
//!
//! They are a write of their own (`pods/resize`), which stores no record. So the patch before it
//! announces them: what each container had and is to have. A resize is due where template and Pod
//! differ **and** either the template changed it, or it was announced and nobody has touched the
//! spec since. Whatever else differs is somebody else's doing (an autoscaler's, say) and stays.

use apis::in_place_state::{InPlaceState, Resize, Resources};
use apis::names;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::patch::{container_path, test_out_of_service, test_owner};
use super::{Changes, List};
use crate::effect::{Disruption, Effect, Op, Target, test_uid};
use crate::pod::Container;
use crate::reason::Reason;
use crate::template::resources::{self, Key};
use crate::{Pod, Revision};

/// A container whose cpu or memory changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResizeChange {
    pub(crate) list: List,
    pub(crate) index: usize,
    pub(crate) container: String,
    pub(crate) from: Resources,
    pub(crate) to: Resources,
    /// The amounts that differ.
    pub(crate) keys: Vec<Key>,
    /// One of them restarts the container.
    pub(crate) restarts: bool,
    /// The record speaks of it: the write itself is next.
    pub(crate) announced: bool,
    /// The container has a `resources` object to add to.
    pub(crate) has_resources: bool,
}

/// Why cpu and memory of `own` cannot become those of `target` on a running Pod.
pub(super) fn obstacle(own: &Revision, target: &Revision) -> Option<Reason> {
    let (from, to) = (&own.view.resources, &target.view.resources);
    let recreate = |path: String| {
        let path = path.into();
        Some(Reason::NeedsRecreate { path })
    };
    for (container, old) in from {
        let Some(new) = to.get(container) else {
            continue;
        };
        let gone = |key: &Key| key.of(old).is_some() && key.of(new).is_none();
        if let Some(key) = resources::KEYS.into_iter().find(gone) {
            let Key { list, resource } = key;
            return recreate(format!(
                "spec.template.spec.containers[{container}].resources.{list}.{resource} (removed)"
            ));
        }
    }
    let (before, after) = (own.view.qos_class, target.view.qos_class);
    if before == after {
        return None;
    }
    let changed = to
        .iter()
        .find(|(c, new)| from.get(*c).is_none_or(|old| !resources::is_same(old, new)));
    let container = changed.map(|(c, _)| c.as_str()).unwrap_or_default();
    recreate(format!(
        "spec.template.spec.containers[{container}].resources (QoS class {before:?} -> {after:?})"
    ))
}

/// Resizes that are due; `edited` when an image is taken back as well, so that whoever touched the
/// spec since the announcement is overruled anyway.
pub(super) fn due(
    pod: &Pod,
    record: Option<&InPlaceState>,
    own: &Revision,
    target: &Revision,
    edited: bool,
) -> Vec<ResizeChange> {
    let mut changes = Vec::new();
    for (name, wanted) in &target.view.resources {
        let Some((list, index, container)) = super::find(pod, name) else {
            continue;
        };
        let live = of(container);
        let keys: Vec<Key> = resources::differing(&live, wanted).collect();
        if keys.is_empty() {
            continue;
        }
        let asked = record
            .and_then(|record| Some((record, record.resizes.get(name)?)))
            .filter(|(record, resize)| {
                resources::is_same(&resize.from, &live) && (edited || is_untouched(pod, record))
            });
        let outstanding = record.is_some_and(|r| r.next_container_resources.contains_key(name));
        let before = own.view.resources.get(name);
        let changed = before.is_none_or(|before| !resources::is_same(before, wanted));
        if !(changed || outstanding || asked.is_some()) {
            continue;
        }
        changes.push(ResizeChange {
            list,
            index,
            container: name.clone(),
            restarts: restarts(container, &keys),
            announced: asked.is_some_and(|(_, resize)| resources::is_same(&resize.to, wanted)),
            has_resources: container.resources.is_some(),
            from: live,
            to: wanted.clone(),
            keys,
        });
    }
    changes
}

fn of(container: &Container) -> Resources {
    let resources = container.resources.as_deref();
    resources.cloned().unwrap_or_default()
}

fn restarts(container: &Container, keys: &[Key]) -> bool {
    let policies = &container.resize_policy;
    policies
        .iter()
        .any(|policy| keys.iter().any(|k| *k.resource == *policy.resource_name))
}

/// Nobody has written to the spec since the announcement.
fn is_untouched(pod: &Pod, record: &InPlaceState) -> bool {
    record.generation.is_none_or(|g| pod.generation() <= g)
}

/// The write that makes the announced `changes`. The API server refuses it unless each amount is
/// the one that was looked at, and, where a container restarts, unless the Pod is out of service.
pub(crate) fn resize_pod(pod: &Pod, changes: &Changes, disruption: Disruption) -> Effect {
    let at = Target::of(&pod.metadata);
    let mut ops = vec![test_uid(&at)];
    ops.extend(test_owner(pod));
    if changes.resizes.iter().any(|r| r.restarts) {
        ops.extend(test_out_of_service(pod));
    }
    for change in &changes.resizes {
        let path = container_path(change.list, change.index);
        ops.push(Op::test(format!("{path}/name"), &*change.container));
        ops.extend(amounts(change, &format!("{path}/resources")));
    }
    let told = changes.resizes.iter().map(|change| {
        let amounts = change.keys.iter().map(|key| {
            let Key { list, resource } = *key;
            let from = key.of(&change.from).unwrap_or("none");
            let to = key.of(&change.to).unwrap_or_default();
            format!("{list}.{resource} {from} -> {to}")
        });
        let amounts: Vec<String> = amounts.collect();
        format!("{}: {}", change.container, amounts.join(", "))
    });
    Effect::Resize {
        target: at,
        changes: told.collect(),
        patch: ops,
        disruption,
    }
}

fn amounts(change: &ResizeChange, path: &str) -> Vec<Op> {
    let mut ops = Vec::new();
    if !change.has_resources {
        ops.push(Op::add(path.to_owned(), json!({})));
    }
    let lists = [
        ("limits", change.from.limits.is_none()),
        ("requests", change.from.requests.is_none()),
    ];
    for (list, is_missing) in lists {
        if is_missing && change.keys.iter().any(|key| key.list == list) {
            let path = format!("{path}/{list}");
            ops.push(Op::add(path, json!({})));
        }
    }
    for key in &change.keys {
        let path = format!("{path}/{}/{}", key.list, key.resource);
        if let Some(there) = key.of(&change.from) {
            ops.push(Op::test(path.clone(), there));
        }
        let value = key.of(&change.to).unwrap_or_default();
        ops.push(Op::add(path, value));
    }
    ops
}

/// What an announced or written resize of ours waits for, if it is not done.
///
/// Done means: the node holds no resize of the Pod back, and reports the amounts of the spec.
/// What it does not report is not waited for.
pub(super) fn unfinished(pod: &Pod, record: &InPlaceState) -> Option<Reason> {
    let mut resizes = record.resizes.iter();
    resizes
        .any(|(name, resize)| is_unfinished(pod, record, name, resize))
        .then(|| reason(pod))
}

/// The same of one container.
pub(super) fn awaits(pod: &Pod, record: &InPlaceState, container: &str) -> bool {
    let resize = record.resizes.get(container);
    resize.is_some_and(|resize| is_unfinished(pod, record, container, resize))
}

fn is_unfinished(pod: &Pod, record: &InPlaceState, name: &str, resize: &Resize) -> bool {
    let Some(live) = pod.container(name).map(of) else {
        return false;
    };
    if !is_written(pod, name, resize) {
        // Still to be written, unless somebody else has the say now.
        return resources::is_same(&resize.from, &live) && is_untouched(pod, record);
    }
    let status = pod.container_status(name);
    if let Some(status) = status.and_then(|s| s.resources.as_deref()) {
        let reported = |key: &Key| key.of(status).is_some();
        if resources::differing(status, &live).any(|key| reported(&key)) {
            return true;
        }
    }
    // Conditions are the Pod's: after another write to the spec they may be about that.
    let is_last = record.generation.is_none_or(|g| pod.generation() <= g + 1);
    is_last
        && (is_true(pod, names::RESIZE_PENDING_CONDITION)
            || is_true(pod, names::RESIZE_IN_PROGRESS_CONDITION))
}

/// Whether the resize has reached the spec.
pub(super) fn is_written(pod: &Pod, name: &str, resize: &Resize) -> bool {
    let container = pod.container(name);
    container.is_some_and(|c| resources::differing(&of(c), &resize.to).next().is_none())
}

fn is_true(pod: &Pod, condition: &str) -> bool {
    pod.condition(condition)
        .is_some_and(|(_, c)| &*c.status == "True")
}

/// What the node says.
fn reason(pod: &Pod) -> Reason {
    let pending = pod.condition(names::RESIZE_PENDING_CONDITION);
    let Some((_, pending)) = pending.filter(|(_, c)| &*c.status == "True") else {
        return Reason::Resizing;
    };
    let message = pending.message.as_deref().unwrap_or_default().into();
    if pending.reason.as_deref() == Some("Infeasible") {
        Reason::ResizeInfeasible { message }
    } else {
        Reason::ResizeDeferred { message }
    }
}

/// Whether a resize that restarts its container may still come. The node may make a deferred one
/// at any moment, so the Pod stays out of its Services until then.
pub(crate) fn awaits_restart(pod: &Pod) -> bool {
    if !pod.facts().asks {
        return false;
    }
    let Some(record) = pod.in_place_state() else {
        return false;
    };
    record.resizes.iter().any(|(name, resize)| {
        let keys: Vec<Key> = resources::differing(&resize.from, &resize.to).collect();
        let restarts = pod.container(name).is_some_and(|c| restarts(c, &keys));
        restarts && is_unfinished(pod, &record, name, resize)
    })
}

/// When a resize that the node holds back is given up, if it is to be after `seconds`; and why.
pub(crate) fn given_up(pod: &Pod, seconds: Option<u32>) -> Option<(Timestamp, Reason)> {
    let seconds = SignedDuration::from_secs(seconds?.into());
    // Nothing of it is unfinished.
    if pod.facts().is_settled {
        return None;
    }
    let (_, pending) = pod.condition(names::RESIZE_PENDING_CONDITION)?;
    let record = pod.in_place_state()?;
    let reason = unfinished(pod, &record)?;
    if reason == Reason::Resizing {
        return None;
    }
    // The condition may be older than the amounts it is now about.
    let asked: Option<Timestamp> = record.update_timestamp.parse().ok();
    let since = pending
        .last_transition_time
        .as_ref()
        .map(|t| t.0)
        .max(asked)?;
    Some((since.saturating_add(seconds).ok()?, reason))
}
