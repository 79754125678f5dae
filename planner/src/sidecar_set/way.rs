//! What it takes to bring the containers of one Pod to what the set says.

use std::sync::Arc;

use apis::validation::sidecar_set::{Effective, Sidecar};

use super::record::Record;
use super::{Revision, twins};
use crate::Pod;
use crate::in_place::{ImageChange, List, find};
use crate::pod::Container;
use crate::reason::Reason;

/// How a Pod gets there.
#[derive(Debug, PartialEq)]
pub(super) enum Way {
    /// It is there; at most a restart is still under way.
    Arrived,
    /// By one patch.
    InPlace(Step),
    /// Nothing but a new Pod will do.
    Recreate(Reason),
}

/// What one patch changes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Step {
    pub(super) images: Vec<ImageChange>,
    /// Which twins work from now on, by the names of their sidecars.
    pub(super) working: Vec<(String, twins::Turn)>,
}

/// The Pod has no such container that can change.
#[derive(Debug)]
pub(super) struct Absent;

/// The containers that an update is about: plain init containers have run before.
fn updated(set: &Effective) -> impl Iterator<Item = (List, &Sidecar)> {
    let natives = set.init_containers.iter().filter(|c| c.is_native);
    let natives = natives.map(|c| (List::Init, c));
    natives.chain(set.containers.iter().map(|c| (List::App, c)))
}

/// Names of the containers that an update is about, as Pods remember them.
pub(super) fn names(set: &Effective) -> Vec<String> {
    let mut names: Vec<String> = updated(set).map(|(_, c)| c.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// How `pod`, which remembers `record`, gets to what `set` says. `own` is a revision of the containers it has,
/// where that is known.
pub(super) fn way(pod: &Pod, record: &Record, set: &Effective, own: Option<&Arc<Revision>>) -> Way {
    if record.hash == set.hash {
        return Way::Arrived;
    }
    let recreate = |path: String| Way::Recreate(Reason::NeedsRecreate { path: path.into() });
    if record.hash_without_image != set.hash_without_image {
        return recreate("spec.containers".into());
    }
    let mut step = Step::default();
    for (list, sidecar) in updated(set) {
        let wanted = sidecar.image();
        // What admission makes of an image stays, unless the set wants another one.
        let is_unchanged = own.and_then(|own| own.images.get(&sidecar.name));
        let is_unchanged = is_unchanged.is_some_and(|image| image == wanted);
        let found = match &sidecar.hot {
            None => one(pod, (list, &sidecar.name), wanted, is_unchanged).map(|change| {
                step.images.extend(change);
            }),
            Some(hot) => twins::next(pod, record, (list, sidecar), hot, is_unchanged).map(|next| {
                if let Some((turn, change)) = next {
                    step.images.extend(change);
                    step.working.push((sidecar.name.clone(), turn));
                }
            }),
        };
        if found.is_err() {
            let list = match list {
                List::App => "containers",
                List::Init => "initContainers",
            };
            return recreate(format!("spec.{list}[{}]", sidecar.name));
        }
    }
    Way::InPlace(step)
}

/// The change of one container, if it is one.
fn one(
    pod: &Pod,
    (list, name): (List, &str),
    wanted: &str,
    is_unchanged: bool,
) -> Result<Option<ImageChange>, Absent> {
    let (_, _, live) = found(pod, list, name)?;
    if &*live.image == wanted || is_unchanged {
        return Ok(None);
    }
    change(pod, (list, name), wanted).map(Some)
}

/// The container called `name`, where it stands in `list` and can change.
pub(super) fn found<'a>(
    pod: &'a Pod,
    list: List,
    name: &str,
) -> Result<(List, usize, &'a Container), Absent> {
    let (there, index, live) = find(pod, name).ok_or(Absent)?;
    let can_change = list == List::App || live.restart_policy.as_deref() == Some("Always");
    (there == list && can_change)
        .then_some((there, index, live))
        .ok_or(Absent)
}

/// The change of the image of the container called `name`.
pub(super) fn change(
    pod: &Pod,
    (list, name): (List, &str),
    wanted: &str,
) -> Result<ImageChange, Absent> {
    let (list, index, live) = found(pod, list, name)?;
    Ok(ImageChange {
        list,
        index,
        container: name.to_owned(),
        from: live.image.to_string(),
        to: wanted.to_owned(),
        started: None,
    })
}
