//! The one patch that changes a Pod: images, labels, annotations, revision label and record.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use apis::in_place_state::{InPlaceState, LastContainer, PreCheck, Resize};
use apis::names;
use serde_json::json;

use super::{Batch, Changes, ImageChange, KeyChange, List, Map, ResizeChange};
use crate::effect::{
    Disruption, Effect, Op, Patch, Target, annotation_path, app_id_path, condition_paths,
    condition_words, init_id_path, label_path, owner_path, set_annotation, status_text, test_uid,
    test_version,
};
use crate::pod::Gate;
use crate::{Pod, Revision};

/// Operations at most that are about one Pod: its UID, its owner, its conditions, labels and record.
const OTHER_OPS: usize = 14;

/// The effect that brings `pod` to `target`. Its `test`s are what the decision looked at: the Pod
/// itself, the containers by name and image, and whether it is out of its Services.
///
/// Resizes are only announced in the record; they are a write of their own.
pub(crate) fn patch_pod(
    pod: &Pod,
    target: &Revision,
    batch: &Batch,
    now: jiff::Timestamp,
    disruption: Disruption,
) -> Effect {
    let changes = &batch.now;
    let at = Target::of(&pod.metadata);
    let mut ops = Vec::with_capacity(changes.images.len() + OTHER_OPS);
    ops.push(test_uid(&at));
    ops.extend(test_owner(pod));
    ops.extend(missing_maps(pod, changes));
    if !changes.images.is_empty() {
        ops.extend(test_out_of_service(pod));
        ops.extend(changes.images.iter().map(|change| test_runs(pod, change)));
    }
    let mut patch = Patch::new(ops, &batch.ops);
    patch.extend(label_ops(pod, target).into_iter().flatten());
    patch.extend(left_behind(pod));
    if let Some(record) = record(pod, target, batch, now) {
        let record = record.to_json();
        let annotated = pod.annotations().is_there()
            || changes
                .keys
                .iter()
                .any(|c| c.map == Map::Annotations && c.to.is_some());
        patch.extend(set_annotation(
            names::IN_PLACE_STATE_ANNOTATION,
            record,
            annotated,
        ));
    }
    Effect::PatchPod {
        target: at,
        revision: target.name().to_owned(),
        images: Arc::clone(&batch.told),
        patch,
        disruption,
    }
}

/// Between the decision and the write the Pod may have become Ready: the server has to refuse the
/// patch then, or traffic would meet a restarting container.
pub(super) fn test_out_of_service(pod: &Pod) -> Vec<Op> {
    let conditions: &[&'static str] = match pod.gate() {
        // Without a gate there is nothing to drain; the budget alone protects the Pod.
        Gate::Missing => &[],
        // A SidecarSet may have closed one that was open: then the Pod is in its hands.
        Gate::Closed { .. } | Gate::Unset | Gate::Open => {
            &[names::IN_PLACE_READY_CONDITION, names::READY_CONDITION]
        }
    };
    let mut tests = Vec::new();
    for name in conditions {
        match pod.condition(name) {
            Some((index, condition)) => {
                let [kind, status] = condition_paths(index);
                tests.push(Op::test(kind, Cow::Borrowed(*name)));
                tests.push(Op::test(status, status_text(&condition.status)));
                // Kept of the gate only: somebody else may have closed it since.
                let [reason, _] = condition_words(index);
                let closer = condition.reason.as_deref();
                tests.extend(closer.map(|closer| Op::test(reason, closer)));
            }
            // A condition that is not there cannot be tested; nothing finer than the version is
            // left.
            None => tests.push(test_version(&Target::of(&pod.metadata))),
        }
    }
    tests
}

/// What goes on record is the container that the patch finds: one that has started since it was
/// looked at would be taken for its successor, and let in before the kubelet stops it.
fn test_runs(pod: &Pod, change: &ImageChange) -> Op {
    let statuses = match change.list {
        List::App => &pod.status.container_statuses,
        List::Init => &pod.status.init_container_statuses,
    };
    let index = statuses.iter().position(|s| *s.name == change.container);
    let id = index.and_then(|index| Some((index, statuses.get(index)?.container_id.as_deref()?)));
    match id {
        Some((index, id)) => {
            let path = match change.list {
                List::App => app_id_path(index),
                List::Init => init_id_path(index),
            };
            Op::test(path, id)
        }
        // A container that is not there cannot be tested; nothing finer than the version is left.
        None => test_version(&Target::of(&pod.metadata)),
    }
}

/// Where a container stands in a Pod.
pub(super) fn container_path(list: List, index: usize) -> String {
    let list = match list {
        List::App => "containers",
        List::Init => "initContainers",
    };
    format!("/spec/{list}/{index}")
}

/// The part of the patch that follows from `changes` alone.
pub(super) fn changes_ops(changes: &Changes) -> Vec<Op> {
    let images = changes.images.iter().flat_map(image_ops);
    images.chain(changes.keys.iter().map(key_op)).collect()
}

/// What becomes of images, for the Event.
pub(super) fn told(changes: &Changes) -> Vec<String> {
    let images = changes.images.iter();
    images
        .map(|c| format!("{}: {} -> {}", c.container, c.from, c.to))
        .collect()
}

/// Replaces an image, if it is the one that was looked at.
pub(crate) fn image_ops(change: &ImageChange) -> [Op; 3] {
    let path = container_path(change.list, change.index);
    [
        Op::test(format!("{path}/name"), &*change.container),
        Op::test(format!("{path}/image"), &*change.from),
        Op::replace(format!("{path}/image"), &*change.to),
    ]
}

fn pointer(map: Map, key: &str) -> Cow<'static, str> {
    match map {
        Map::Labels => label_path(key),
        Map::Annotations => annotation_path(key),
    }
}

fn key_op(change: &KeyChange) -> Op {
    let path = pointer(change.map, &change.key);
    match &change.to {
        Some(value) => Op::add(path, &**value),
        // Only keys that are there are ever chosen for removal.
        None => Op::remove(path),
    }
}

/// Takes away what OpenKruise remembers of a change that waits for its grace period: whoever came
/// back to it would follow it.
fn left_behind(pod: &Pod) -> Vec<Op> {
    let keys = names::IN_PLACE_GRACE_ANNOTATIONS;
    let keys = keys
        .into_iter()
        .filter(|key| pod.annotations().contains_key(key));
    keys.map(|key| Op::remove(pointer(Map::Annotations, key)))
        .collect()
}

/// `add` needs its parent: a Pod without a single label or annotation has no map to add to.
fn missing_maps(pod: &Pod, changes: &Changes) -> Vec<Op> {
    let mut ops = Vec::new();
    if !pod.labels().is_there() {
        ops.push(Op::add("/metadata/labels", json!({})));
    }
    let annotates = changes
        .keys
        .iter()
        .any(|c| c.map == Map::Annotations && c.to.is_some());
    if annotates && !pod.annotations().is_there() {
        ops.push(Op::add("/metadata/annotations", json!({})));
    }
    ops
}

fn label_ops(pod: &Pod, target: &Revision) -> [Option<Op>; 3] {
    if pod.revision_hash() == Some(target.hash()) {
        return [None, None, None];
    }
    let label = |key, value: &str| Some(Op::add(label_path(key), value));
    // The labels and annotations above were compared with those of this revision.
    let seen = pod.labels().get(names::REVISION_LABEL);
    let seen = seen.map(|seen| Op::test(label_path(names::REVISION_LABEL), seen));
    [
        seen,
        label(names::REVISION_LABEL, target.name()),
        label(names::TEMPLATE_HASH_LABEL, target.hash()),
    ]
}

/// Nobody has let go of the Pod since, or taken it over.
pub(crate) fn test_owner(pod: &Pod) -> Option<Op> {
    let mut owners = pod.metadata.owner_references.iter().flatten().enumerate();
    let (index, owner) = owners.find(|(_, owner)| owner.controller == Some(true))?;
    Some(Op::test(owner_path(index), &*owner.uid))
}

/// What the Pod is to remember of the patch, if anything.
///
/// A container of an earlier, unfinished patch keeps what was recorded of it: it still runs (or
/// last ran) the image of that time, whatever the spec said in between. A patch of metadata alone
/// only says of a record which revision it now belongs to.
fn record(
    pod: &Pod,
    target: &Revision,
    batch: &Batch,
    now: jiff::Timestamp,
) -> Option<InPlaceState> {
    let Batch {
        now: changes,
        later,
        ..
    } = batch;
    // Nothing is kept of a change that is done, and there is no need to read of it.
    let is_over = changes.touches_spec() && pod.facts().is_settled && !pod.facts().asks;
    let recorded = if is_over { None } else { pod.in_place_state() };
    if !changes.touches_spec() {
        let outdated = |state: &InPlaceState| state.revision != target.name() || state.has_more();
        let mut state = recorded.filter(outdated)?;
        target.name().clone_into(&mut state.revision);
        keep_written(pod, &mut state);
        say_next(&mut state, changes, later);
        return Some(state);
    }
    let mut state = recorded.unwrap_or_default();
    let mut before = std::mem::take(&mut state.last);
    // Containers that an earlier patch restarts and this one leaves alone are still awaited.
    let asked = state.update_timestamp.clone();
    before.retain(|name, last| super::progress::is_awaited(pod, name, last, &asked));
    keep_written(pod, &mut state);
    target.name().clone_into(&mut state.revision);
    state.update_timestamp = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    state.update_images = !changes.images.is_empty();
    state.update_resources = !changes.resizes.is_empty();
    // A patch of images and the resize that follows it each raise the generation.
    let writes = i64::from(!changes.images.is_empty() && !changes.resizes.is_empty());
    state.generation = Some(pod.generation() + writes);
    for change in &changes.images {
        let known = before.remove(&change.container);
        if let Some(last) = runs(pod, change, known) {
            state.last.insert(change.container.clone(), last);
        }
    }
    state.last.append(&mut before);
    for ResizeChange {
        container,
        from,
        to,
        ..
    } in &changes.resizes
    {
        let (from, to) = (from.clone(), to.clone());
        state.resizes.insert(container.clone(), Resize { from, to });
    }
    say_next(&mut state, changes, later);
    Some(state)
}

/// What is to be remembered of the container that `change` is about, if it was reported. One of an
/// earlier, unfinished update keeps the image recorded of it (`known`): it still runs, or last ran,
/// that of then.
pub(crate) fn runs(
    pod: &Pod,
    change: &ImageChange,
    known: Option<LastContainer>,
) -> Option<LastContainer> {
    let status = pod.container_status(&change.container)?;
    let container_id = status.container_id.as_deref().map(str::to_owned);
    let image = known
        .filter(|last| last.container_id == container_id)
        .and_then(|last| last.image)
        .or_else(|| change.started.clone())
        .unwrap_or_else(|| change.from.clone());
    Some(LastContainer {
        image_id: status.image_id.to_string(),
        container_id,
        image: Some(image),
    })
}

/// Forgets announcements that were never followed by their write: whoever still wants them
/// announces them again.
fn keep_written(pod: &Pod, state: &mut InPlaceState) {
    let resizes = &mut state.resizes;
    resizes.retain(|name, resize| super::resize::is_written(pod, name, resize));
}

/// Notes what later batches are to change.
fn say_next(state: &mut InPlaceState, changes: &Changes, later: &Changes) {
    let images = later.images.iter();
    state.next_container_images = images
        .map(|c| (c.container.clone(), c.to.clone()))
        .collect();
    let resizes = later.resizes.iter();
    state.next_container_resources = resizes
        .map(|c| (c.container.clone(), c.to.clone()))
        .collect();
    // Held back by OpenKruise; all of it has gone out with this patch.
    state.next_container_ref_metadata.clear();
    let first: BTreeSet<&str> = changes.containers().collect();
    state.pre_check_before_next = state.has_more().then(|| PreCheck {
        containers_required_ready: first.into_iter().map(str::to_owned).collect(),
    });
}
