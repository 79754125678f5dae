//! What it takes to bring one running Pod to a template without recreating it.
//!
//! What can change in place is compared between the **live Pod** and the target, so that
//! interrupted updates and hand edits converge. What cannot is compared between the template of
//! the Pod's own revision and the target: a live Pod carries defaults and injected parts, so
//! comparing all of it would be unsound.

use apis::names;

use crate::reason::Reason;
use crate::template::first_difference;
use crate::{Pod, Revision};

mod env;
mod patch;
mod progress;

pub(crate) use patch::patch_pod;
pub(crate) use progress::{Progress, doubtful_until, progress, trouble};

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
    pub(crate) keys: Vec<KeyChange>,
    /// The revision label is not the target's.
    pub(crate) label: bool,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.images.is_empty() && self.keys.is_empty() && !self.label
    }
}

/// How a Pod gets to a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is there; at most a restart is still under way.
    Arrived,
    /// Patch it.
    InPlace(Changes),
    /// Nothing but a new Pod will do.
    Recreate(Reason),
}

/// Why a Pod of revision `own` cannot be brought to `target` in place, if it cannot. Depends on
/// the pair alone, so callers ask once per pair and not once per Pod.
pub(crate) fn obstacle(own: &Revision, target: &Revision) -> Option<Reason> {
    first_difference(&own.view.fixed, &target.view.fixed)
        .map(|path| Reason::NeedsRecreate { path })
        .or_else(|| env::stale_env(own, target))
}

/// How `pod`, made or last patched as `own`, gets to `target`. `obstacle` is that of the pair.
pub(crate) fn way(pod: &Pod, own: &Revision, target: &Revision, obstacle: Option<&Reason>) -> Way {
    if let Some(reason) = obstacle {
        return Way::Recreate(reason.clone());
    }
    let mut changes = Changes {
        images: Vec::new(),
        keys: key_changes(pod, own, target),
        label: pod.revision_hash() != Some(target.hash()),
    };
    for (container, wanted) in &target.view.images {
        let unchanged = own.view.images.get(container) == Some(wanted);
        let Some((list, index, image)) = find(pod, container) else {
            // Admission took the container out, and would take it out of a new Pod as well.
            if unchanged {
                continue;
            }
            let path = format!("spec.template.spec.containers[{container}]");
            return Way::Recreate(Reason::NeedsRecreate { path });
        };
        if image != wanted && !(unchanged && is_rewritten_by_admission(pod, own)) {
            changes.images.push(ImageChange {
                list,
                index,
                container: container.clone(),
                from: image.to_owned(),
                to: wanted.clone(),
            });
        }
    }
    if changes.is_empty() {
        Way::Arrived
    } else {
        Way::InPlace(changes)
    }
}

/// Whether `pod`, whose gate is open, serves or may begin to at any moment with containers that
/// `changes` stops. Such a Pod is drained first, Ready or not: the kubelet reports Ready for what
/// runs before it looks at a new spec.
pub(crate) fn may_serve(pod: &Pod, changes: &Changes) -> bool {
    let runs = |change: &ImageChange| {
        pod.container_status(&change.container)
            .is_some_and(|status| status.state.running.is_some())
    };
    pod.is_ready() || changes.images.iter().all(runs)
}

/// Whether images of the live Pod that are not those of its revision are what admission made of
/// them: nobody has changed the spec since we created or patched the Pod. Such images are left
/// alone; a hand edit raises the generation and is taken back.
fn is_rewritten_by_admission(pod: &Pod, own: &Revision) -> bool {
    let ours = match pod.in_place_state() {
        None => Some(1),
        Some(state) if state.revision == own.name() => state.generation.map(|before| before + 1),
        Some(_) => None,
    };
    ours.is_some_and(|generation| pod.generation() <= generation)
}

fn find<'a>(pod: &'a Pod, name: &str) -> Option<(List, usize, &'a str)> {
    let lists = [
        (List::App, &pod.spec.containers),
        (List::Init, &pod.spec.init_containers),
    ];
    lists.into_iter().find_map(|(list, containers)| {
        let (index, c) = containers
            .iter()
            .enumerate()
            .find(|(_, c)| &*c.name == name)?;
        Some((list, index, &*c.image))
    })
}

/// Labels and annotations that differ between the two revisions. Others are left as they are on
/// the Pod, whatever the template says: injectors rewrite some of them at creation (Prometheus
/// annotations, for one), people annotate Pods, and unlike an edit of the spec neither raises the
/// generation, so taking them back could go on for ever.
fn key_changes(pod: &Pod, own: &Revision, target: &Revision) -> Vec<KeyChange> {
    // Most Pods stay at their revision.
    if std::ptr::eq(own, target) {
        return Vec::new();
    }
    let (from, to) = (&own.view, &target.view);
    let maps = [
        (Map::Labels, pod.labels(), &from.labels, &to.labels),
        (
            Map::Annotations,
            pod.annotations(),
            &from.annotations,
            &to.annotations,
        ),
    ];
    let mut changes = Vec::new();
    for (map, live, own, target) in maps {
        let set = target
            .iter()
            .filter(|(key, to)| own.get(*key) != Some(to))
            .map(|(key, to)| (key, Some(to)));
        let removed = own.keys().filter(|key| !target.contains_key(*key));
        let differing = set.chain(removed.map(|key| (key, None)));
        let due = differing.filter(|(key, to)| !is_ours(key) && live.get(*key) != *to);
        changes.extend(due.map(|(key, to)| KeyChange {
            map,
            key: key.clone(),
            to: to.cloned(),
        }));
        changes.sort_by(|a, b| (a.map, &a.key).cmp(&(b.map, &b.key)));
    }
    changes
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
