//! The one patch that changes a Pod: images, labels, annotations, revision label and record.

use apis::in_place_state::{InPlaceState, LastContainer};
use apis::names;
use serde_json::{Value, json};

use super::{Changes, ImageChange, KeyChange, List, Map};
use crate::effect::{
    Disruption, Effect, Target, escape, set_annotation, test, test_uid, test_version,
};
use crate::pod::Gate;
use crate::{Pod, Revision};

/// The effect that brings `pod` to `target`. Its `test`s are what the decision looked at: the Pod
/// itself, the containers by name and image, and whether it is out of its Services.
pub(crate) fn patch_pod(
    pod: &Pod,
    target: &Revision,
    changes: &Changes,
    now: jiff::Timestamp,
    disruption: Disruption,
) -> Effect {
    let at = Target::of(&pod.metadata);
    let mut ops = vec![test_uid(&at)];
    if !changes.images.is_empty() {
        ops.extend(test_out_of_service(pod));
    }
    for change in &changes.images {
        ops.extend(image_ops(change));
    }
    ops.extend(changes.keys.iter().map(key_op));
    ops.extend(label_ops(pod, target));
    if let Some(record) = record(pod, target, changes, now) {
        let record = record.to_json();
        let annotated = pod.metadata.annotations.is_some()
            || changes
                .keys
                .iter()
                .any(|c| c.map == Map::Annotations && c.to.is_some());
        ops.extend(set_annotation(
            names::IN_PLACE_STATE_ANNOTATION,
            &record,
            annotated,
        ));
    }
    ops.splice(1..1, missing_maps(pod, changes));
    Effect::PatchPod {
        target: at,
        revision: target.name().to_owned(),
        images: changes
            .images
            .iter()
            .map(|c| format!("{}: {} -> {}", c.container, c.from, c.to))
            .collect(),
        patch: ops,
        disruption,
    }
}

/// Between the decision and the write the Pod may have become Ready: the server has to refuse the
/// patch then, or traffic would meet a restarting container.
fn test_out_of_service(pod: &Pod) -> Vec<Value> {
    let conditions: &[&str] = match pod.gate() {
        Gate::Closed { .. } => &[names::IN_PLACE_READY_CONDITION, names::READY_CONDITION],
        // Without a gate there is nothing to drain; the budget alone protects the Pod.
        Gate::Missing => &[],
        Gate::Unset | Gate::Open => &[names::READY_CONDITION],
    };
    let mut tests = Vec::new();
    for name in conditions {
        match pod.condition(name) {
            Some((index, condition)) => {
                let path = format!("/status/conditions/{index}");
                tests.push(test(&format!("{path}/type"), &condition.type_));
                tests.push(test(&format!("{path}/status"), &condition.status));
            }
            // A condition that is not there cannot be tested; nothing finer than the version is
            // left.
            None => tests.push(test_version(&Target::of(&pod.metadata))),
        }
    }
    tests
}

fn image_ops(change: &ImageChange) -> [Value; 3] {
    let list = match change.list {
        List::App => "containers",
        List::Init => "initContainers",
    };
    let path = format!("/spec/{list}/{}", change.index);
    [
        test(&format!("{path}/name"), &change.container),
        test(&format!("{path}/image"), &change.from),
        json!({"op": "replace", "path": format!("{path}/image"), "value": change.to}),
    ]
}

fn pointer(map: Map, key: &str) -> String {
    let map = match map {
        Map::Labels => "labels",
        Map::Annotations => "annotations",
    };
    format!("/metadata/{map}/{}", escape(key))
}

fn key_op(change: &KeyChange) -> Value {
    let path = pointer(change.map, &change.key);
    match &change.to {
        Some(value) => json!({"op": "add", "path": path, "value": value}),
        // Only keys that are there are ever chosen for removal.
        None => json!({"op": "remove", "path": path}),
    }
}

/// `add` needs its parent: a Pod without a single label or annotation has no map to add to.
fn missing_maps(pod: &Pod, changes: &Changes) -> Vec<Value> {
    let mut ops = Vec::new();
    if pod.metadata.labels.is_none() {
        ops.push(json!({"op": "add", "path": "/metadata/labels", "value": {}}));
    }
    let annotates = changes
        .keys
        .iter()
        .any(|c| c.map == Map::Annotations && c.to.is_some());
    if annotates && pod.metadata.annotations.is_none() {
        ops.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    ops
}

fn label_ops(pod: &Pod, target: &Revision) -> Vec<Value> {
    if pod.revision_hash() == Some(target.hash()) {
        return Vec::new();
    }
    let labels = [
        (names::REVISION_LABEL, target.name()),
        (names::TEMPLATE_HASH_LABEL, target.hash()),
    ];
    // The labels and annotations above were compared with those of this revision.
    let seen = pod.labels().get(names::REVISION_LABEL);
    let seen = seen.map(|seen| test(&pointer(Map::Labels, names::REVISION_LABEL), seen));
    seen.into_iter()
        .chain(labels.into_iter().map(
            |(key, value)| json!({"op": "add", "path": pointer(Map::Labels, key), "value": value}),
        ))
        .collect()
}

/// What the Pod is to remember of the patch, if anything.
///
/// A container of an earlier, unfinished patch keeps what was recorded of it: it still runs (or
/// last ran) the image of that time, whatever the spec said in between. A patch of metadata alone
/// only says of a record which revision it now belongs to.
fn record(
    pod: &Pod,
    target: &Revision,
    changes: &Changes,
    now: jiff::Timestamp,
) -> Option<InPlaceState> {
    let recorded = pod.in_place_state().cloned();
    if changes.images.is_empty() {
        let mut state = recorded.filter(|state| state.revision != target.name())?;
        target.name().clone_into(&mut state.revision);
        return Some(state);
    }
    let mut state = recorded.unwrap_or_default();
    let mut before = std::mem::take(&mut state.last);
    // Containers that an earlier patch restarts and this one leaves alone are still awaited.
    let asked = state.update_timestamp.clone();
    before.retain(|name, last| super::progress::is_awaited(pod, name, last, &asked));
    target.name().clone_into(&mut state.revision);
    state.update_timestamp = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    state.update_images = true;
    state.generation = Some(pod.generation());
    for change in &changes.images {
        let known = before.remove(&change.container);
        let Some(status) = pod.container_status(&change.container) else {
            continue;
        };
        let container_id = status.container_id.as_deref().map(str::to_owned);
        let image = known
            .filter(|last| last.container_id == container_id)
            .and_then(|last| last.image)
            .unwrap_or_else(|| change.from.clone());
        let last = LastContainer {
            image_id: status.image_id.to_string(),
            container_id,
            image: Some(image),
        };
        state.last.insert(change.container.clone(), last);
    }
    state.last.append(&mut before);
    Some(state)
}
