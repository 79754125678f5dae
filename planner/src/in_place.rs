//! What it takes to bring one running Pod to a template without recreating it.
//!
//! What can change in place is compared between the **live Pod** and the target, so that
//! interrupted updates and hand edits converge. What cannot is compared between the template of
//! the Pod's own revision and the target: a live Pod carries defaults and injected parts, so
//! comparing all of it would be unsound.

use std::collections::BTreeMap;
use std::sync::Arc;

use apis::in_place_state::InPlaceState;
use apis::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::pod::Container;
use crate::reason::Reason;
use crate::template::first_difference;
use crate::{Pod, Revision};

mod alike;
mod batch;
mod env;
mod patch;
mod progress;
mod resize;

pub(crate) use alike::{Alike, alike};
pub(crate) use batch::{Batch, batch, waits_for};
pub(crate) use patch::{image_ops, patch_pod, runs, test_owner};
pub(crate) use progress::{
    Progress, doubtful_since, doubtful_until, is_awaited, is_seen, kept_from, progress, trouble,
};
pub(crate) use resize::{ResizeChange, awaits_restart, given_up, resize_pod};

/// Which list of the Pod's spec a container stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    App,
    Init,
}

/// A container that restarts with another image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageChange {
    pub(crate) list: List,
    pub(crate) index: usize,
    pub(crate) container: String,
    pub(crate) from: String,
    pub(crate) to: String,
    /// What the container was started with, where that is not `from` for certain: the kubelet has
    /// not seen who put it there.
    pub(crate) started: Option<String>,
}

/// Which of a Pod's maps a key stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Map {
    Labels,
    Annotations,
}

/// A label or annotation to set, or with None to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyChange {
    pub(crate) map: Map,
    pub(crate) key: String,
    pub(crate) to: Option<String>,
}

/// Everything that differs and can change in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) images: Vec<ImageChange>,
    pub(crate) resizes: Vec<ResizeChange>,
    pub(crate) keys: Vec<KeyChange>,
    /// The revision label is not the target's.
    pub(crate) label: bool,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        !self.touches_spec() && self.keys.is_empty() && !self.label
    }

    /// More than metadata changes.
    pub(crate) fn touches_spec(&self) -> bool {
        !self.images.is_empty() || !self.resizes.is_empty()
    }

    /// Whether the next write is the patch, and not yet the resize that an earlier one announced.
    pub(crate) fn needs_patch(&self) -> bool {
        let metadata = self.label || !self.keys.is_empty();
        metadata || !self.images.is_empty() || self.resizes.iter().any(|r| !r.announced)
    }

    /// Containers that it stops, and starts again.
    fn stopped(&self) -> impl Iterator<Item = &str> {
        let images = self.images.iter().map(|c| c.container.as_str());
        let resizes = self.resizes.iter().filter(|c| c.restarts);
        images.chain(resizes.map(|c| c.container.as_str()))
    }

    /// Whether a container stops, so that the Pod has to be out of its Services.
    pub(crate) fn stops(&self) -> bool {
        self.stopped().next().is_some()
    }

    /// Containers whose spec changes.
    fn containers(&self) -> impl Iterator<Item = &str> {
        let images = self.images.iter().map(|c| c.container.as_str());
        images.chain(self.resizes.iter().map(|c| c.container.as_str()))
    }
}

/// How a Pod gets to a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is there; at most a restart is still under way.
    Arrived,
    /// Patch it.
    InPlace(Arc<Changes>),
    /// Nothing but a new Pod will do.
    Recreate(Reason),
}

/// Why a Pod of revision `own` cannot be brought to `target` in place, if it cannot. Depends on
/// the pair alone, so callers ask once per pair and not once per Pod.
pub(crate) fn obstacle(own: &Revision, target: &Revision) -> Option<Reason> {
    first_difference(&own.view.fixed, &target.view.fixed)
        .map(|path| Reason::NeedsRecreate { path: path.into() })
        .or_else(|| resize::obstacle(own, target))
        .or_else(|| env::stale_env(own, target))
}

/// Why Pods of the template `old` cannot be brought to `new` in place, if they cannot: for those who
/// want to know before the template is written.
pub fn obstacle_between(old: &Value, new: &Value) -> Option<Reason> {
    let revision = |template: &Value| Revision::new(ObjectMeta::default(), 0, template.clone());
    obstacle(&revision(old), &revision(new))
}

/// How `pod`, made or last patched as `own`, gets to `target`. `obstacle` is that of the pair.
pub(crate) fn way(pod: &Pod, own: &Revision, target: &Revision, obstacle: Option<&Reason>) -> Way {
    if let Some(reason) = obstacle {
        return Way::Recreate(reason.clone());
    }
    let record = pod.in_place_state();
    let record = record.as_ref();
    let mut changes = Changes {
        images: Vec::new(),
        resizes: Vec::new(),
        keys: key_changes(pod, record, own, target),
        label: pod.revision_hash() != Some(target.hash()),
    };
    let outstanding =
        |container| record.is_some_and(|r| r.next_container_images.contains_key(container));
    for (container, wanted) in &target.view.images {
        let unchanged = own.view.images.get(container) == Some(wanted);
        let Some((list, index, live)) = find(pod, container) else {
            // Admission took the container out, and would take it out of a new Pod as well.
            if unchanged {
                continue;
            }
            let path = format!("spec.template.spec.containers[{container}]").into();
            return Way::Recreate(Reason::NeedsRecreate { path });
        };
        let image = &*live.image;
        let left_alone =
            || unchanged && !outstanding(container) && is_rewritten_by_admission(pod, record, own);
        if image != wanted && !left_alone() {
            changes.images.push(ImageChange {
                list,
                index,
                container: container.clone(),
                from: image.to_owned(),
                to: wanted.clone(),
                started: (unchanged && has_seen_ours_only(pod, record, own))
                    .then(|| wanted.clone()),
            });
        }
    }
    if let Some(reason) = env::unread(&changes, target) {
        return Way::Recreate(reason);
    }
    let edited = !changes.images.is_empty();
    changes.resizes = resize::due(pod, record, own, target, edited);
    if changes.is_empty() {
        Way::Arrived
    } else {
        Way::InPlace(Arc::new(changes))
    }
}

/// Whether `pod`, whose gate is open and which is not Ready, may become so at any moment with
/// containers that `changes` stops. Such a Pod is drained first like one that serves: the kubelet
/// reports Ready for what runs before it looks at a new spec.
pub(crate) fn may_serve(pod: &Pod, changes: &Changes) -> bool {
    let runs = |container: &str| {
        pod.container_status(container)
            .is_some_and(|status| status.state.running.is_some())
    };
    changes.stopped().all(runs)
}

/// Whether `pod` is in the middle of a change that takes more writes: batches of containers, or a
/// resize that was announced. It is finished even when no others are begun.
pub(crate) fn is_midway(pod: &Pod) -> bool {
    if !pod.facts().asks {
        return false;
    }
    let record = pod.in_place_state();
    record.is_some_and(|r| r.has_more() || resize::unfinished(pod, &r).is_some())
}

/// Whether images of the live Pod that are not those of its revision are what admission made of
/// them: nobody has changed the spec since we created or patched the Pod. Such images are left
/// alone; a hand edit raises the generation and is taken back.
///
/// OpenKruise does not write down the generation, so what it left behind cannot be told apart from
/// a hand edit: it is left alone too. It changes images together with the label, unless they wait
/// for a grace period.
fn is_rewritten_by_admission(pod: &Pod, record: Option<&InPlaceState>, own: &Revision) -> bool {
    let Some(record) = record else {
        return pod.generation() <= 1;
    };
    let in_grace = |key| pod.annotations().contains_key(key);
    record.revision == own.name()
        && match record.generation {
            Some(before) => pod.generation() <= before + 1,
            None => !names::IN_PLACE_GRACE_ANNOTATIONS.into_iter().any(in_grace),
        }
}

/// Whether the kubelet has yet to see any spec that is not of our making.
fn has_seen_ours_only(pod: &Pod, record: Option<&InPlaceState>, own: &Revision) -> bool {
    let ours = match record {
        None => Some(1),
        Some(record) if record.revision == own.name() => record.generation.map(|g| g + 1),
        Some(_) => None,
    };
    let seen = pod.status.observed_generation;
    seen.zip(ours).is_some_and(|(seen, ours)| seen <= ours)
}

/// Where the container called `name` stands.
pub(crate) fn find<'a>(pod: &'a Pod, name: &str) -> Option<(List, usize, &'a Container)> {
    let lists = [
        (List::App, &*pod.spec.containers),
        (List::Init, &*pod.spec.init_containers),
    ];
    lists.into_iter().find_map(|(list, containers)| {
        let mut all = containers.iter().enumerate();
        let (index, container) = all.find(|(_, c)| &*c.name == name)?;
        Some((list, index, container))
    })
}

/// Labels and annotations that differ between the two revisions. Others are left as they are on
/// the Pod, whatever the template says: injectors rewrite some of them at creation (Prometheus
/// annotations, for one), people annotate Pods, and unlike an edit of the spec neither raises the
/// generation, so taking them back could go on for ever.
///
/// Those that OpenKruise held back for containers of later launch priority count as changed.
fn key_changes(
    pod: &Pod,
    record: Option<&InPlaceState>,
    own: &Revision,
    target: &Revision,
) -> Vec<KeyChange> {
    let held_refs = record.map(|r| &r.next_container_ref_metadata);
    // Most Pods stay at their revision.
    if std::ptr::eq(own, target) && held_refs.is_none_or(BTreeMap::is_empty) {
        return Vec::new();
    }
    let held_back = |map: Map, key: &String| {
        let mut refs = held_refs.into_iter().flat_map(BTreeMap::values);
        refs.any(|held| match map {
            Map::Labels => held.labels.contains_key(key),
            Map::Annotations => held.annotations.contains_key(key),
        })
    };
    let mut changes = differing_keys(own, target, held_back);
    changes.retain(|change| is_due(pod, change));
    changes
}

/// Labels and annotations that `target` changes, and those that were held back.
fn differing_keys(
    own: &Revision,
    target: &Revision,
    held_back: impl Fn(Map, &String) -> bool,
) -> Vec<KeyChange> {
    let (from, to) = (&own.view, &target.view);
    let maps = [
        (Map::Labels, &from.labels, &to.labels),
        (Map::Annotations, &from.annotations, &to.annotations),
    ];
    let mut changes = Vec::new();
    for (map, own, target) in maps {
        let set = target
            .iter()
            .filter(|(key, to)| own.get(*key) != Some(to) || held_back(map, key))
            .map(|(key, to)| (key, Some(to)));
        let removed = own.keys().filter(|key| !target.contains_key(*key));
        let differing = set.chain(removed.map(|key| (key, None)));
        let differing = differing.filter(|(key, _)| !is_ours(key));
        changes.extend(differing.map(|(key, to)| KeyChange {
            map,
            key: key.clone(),
            to: to.cloned(),
        }));
    }
    changes.sort_by(|a, b| (a.map, &a.key).cmp(&(b.map, &b.key)));
    changes
}

/// Whether `pod` has the label or annotation otherwise.
fn is_due(pod: &Pod, change: &KeyChange) -> bool {
    let live = match change.map {
        Map::Labels => pod.labels(),
        Map::Annotations => pod.annotations(),
    };
    live.get(&change.key) != change.to.as_deref()
}

/// Keys that the controller itself keeps on Pods; a template that names them is not followed.
fn is_ours(key: &str) -> bool {
    [
        names::REVISION_LABEL,
        names::TEMPLATE_HASH_LABEL,
        names::INSTANCE_ID_LABEL,
        names::IN_PLACE_STATE_ANNOTATION,
        names::LIFECYCLE_STATE_LABEL,
        names::LIFECYCLE_TIMESTAMP_ANNOTATION,
    ]
    .contains(&key)
}

#[cfg(test)]
mod tests;
