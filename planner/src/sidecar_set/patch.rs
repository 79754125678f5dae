//! The one patch that changes the sidecars of a Pod: images, what the Pod remembers of them, and
//! annotations.

use std::collections::BTreeMap;
use std::sync::Arc;

use apis::names;
use apis::sidecar_set::pod_metadata;
use apis::sidecar_set::record::{State, write, write_states};

use super::record::Record;
use super::way::{self, Step};
use super::{Revision, Snapshot};
use crate::Pod;
use crate::effect::{
    Disruption, Effect, Op, Patch, Target, annotation_path, test_uid, test_version, time,
};
use crate::in_place::{self, image_ops};

/// Brings `pod` to the set's present containers by `step`.
pub(super) fn update(
    (s, latest): (&Snapshot, &Revision),
    (pod, record): (&Pod, &Record),
    step: &Step,
    disruption: Disruption,
) -> Effect {
    let now = time(s.now);
    let mut annotations: BTreeMap<String, String> = BTreeMap::new();
    let mut hashes = record.hashes.clone();
    let entry = hashes.entry(s.set.name.clone()).or_default();
    entry.update_timestamp.clone_from(&now);
    entry.hash.clone_from(&s.set.hash);
    entry.sidecar_set_name.clone_from(&s.set.name);
    entry.sidecar_list = way::names(&s.set);
    entry.controller_revision = Some(latest.name().to_owned());
    annotations.insert(names::SIDECAR_HASH_ANNOTATION.into(), write(&hashes));
    annotations.extend(given(s, pod));
    patch((s, latest), (pod, record), step, annotations, disruption)
}

/// Has the twins idle that `step` names. The containers were brought to the set's before.
pub(super) fn hand_over(of: (&Snapshot, &Revision), pod: (&Pod, &Record), step: &Step) -> Effect {
    patch(of, pod, step, BTreeMap::new(), Disruption::None)
}

/// `patchPodMetadata`, as far as it changes anything.
fn given(s: &Snapshot, pod: &Pod) -> BTreeMap<String, String> {
    if s.set.pod_metadata.is_empty() {
        return BTreeMap::new();
    }
    let mut all = pod.annotations().to_map();
    let labels = s.set.object().metadata.labels.clone().unwrap_or_default();
    // What cannot be given is said when the Pod is made.
    pod_metadata::apply(&mut all, &s.set.pod_metadata, &labels, &s.white_list);
    all.retain(|key, value| pod.annotations().get(key) != Some(value));
    all
}

fn patch(
    (s, latest): (&Snapshot, &Revision),
    (pod, record): (&Pod, &Record),
    step: &Step,
    mut annotations: BTreeMap<String, String>,
    disruption: Disruption,
) -> Effect {
    if !step.images.is_empty() {
        let mut states = record.states.clone();
        let before = states.remove(&s.set.name).unwrap_or_default();
        states.insert(s.set.name.clone(), state(s, pod, step, before));
        let key = names::SIDECAR_IN_PLACE_STATE_ANNOTATION;
        annotations.insert(key.into(), write_states(&states));
    }
    if !step.working.is_empty() {
        let version = s.set.object().metadata.resource_version.as_deref();
        let mut working = record.working.clone();
        for (sidecar, turn) in &step.working {
            annotations.extend(turn.versions(pod, version.unwrap_or_default()));
            working.insert(sidecar.clone(), turn.works.clone());
        }
        // Texts can always be written.
        let working = serde_json::to_string(&working).unwrap_or_default();
        annotations.insert(names::WORKING_TWIN_ANNOTATION.into(), working);
    }
    let target = Target::of(&pod.metadata);
    // That the Pod was available, is in no other hands, and is the one to go was concluded from all
    // of it.
    let mut ops = vec![test_uid(&target), test_version(&target)];
    ops.extend(step.images.iter().flat_map(image_ops));
    // A Pod that remembers a set has annotations.
    let set = annotations.iter();
    ops.extend(set.map(|(key, value)| Op::add(annotation_path(key), &**value)));
    let told = step.images.iter();
    let told: Vec<String> = told
        .map(|c| format!("{}: {} -> {}", c.container, c.from, c.to))
        .collect();
    Effect::PatchPod {
        target,
        revision: latest.name().to_owned(),
        images: told.into(),
        patch: Patch::new(ops, &Arc::from([])),
        disruption,
    }
}

/// What the Pod is to remember.
fn state(s: &Snapshot, pod: &Pod, step: &Step, before: State) -> State {
    let asked = before.update_timestamp;
    let mut known = before.last;
    known.retain(|name, last| in_place::is_awaited(pod, name, last, &asked));
    let mut last = BTreeMap::new();
    for change in &step.images {
        let known = known.remove(&change.container);
        if let Some(runs) = in_place::runs(pod, change, known) {
            last.insert(change.container.clone(), runs);
        }
    }
    last.append(&mut known);
    State {
        revision: s.set.hash.clone(),
        update_timestamp: time(s.now),
        last,
    }
}
