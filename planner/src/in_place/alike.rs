//! Ways that kin have in common: found out once, and true of each of them.

use std::sync::Arc;

use super::{Changes, ImageChange, KeyChange, Way, differing_keys, env, find, is_due, resize};
use crate::reason::Reason;
use crate::{Pod, Revision};

/// How kin get from one revision to another.
#[derive(Debug)]
pub(crate) struct Alike {
    /// Theirs, if all of `keys` is due.
    pub(crate) way: Way,
    /// Labels and annotations that the other revision changes. Some of a Pod's are its own (its
    /// addresses, say), so annotations are no matter of kin.
    keys: Vec<KeyChange>,
}

impl Alike {
    /// The way of `pod`; None where it has some of the labels and annotations already.
    pub(crate) fn way(&self, pod: &Pod) -> Option<Way> {
        let is_theirs = self.keys.iter().all(|change| is_due(pod, change));
        is_theirs.then(|| self.way.clone())
    }
}

/// What [`way`](super::way) says of `pod`, if it says the same of all its kin whose record asks for
/// nothing. Where more than that is asked for, each Pod has to be looked at.
pub(crate) fn alike(
    pod: &Pod,
    own: &Revision,
    target: &Revision,
    obstacle: Option<&Reason>,
) -> Option<Alike> {
    if let Some(reason) = obstacle {
        let way = Way::Recreate(reason.clone());
        let keys = Vec::new();
        return Some(Alike { way, keys });
    }
    let keys = differing_keys(own, target, |_, _| false);
    let mut changes = Changes {
        images: images(pod, own, target)?,
        resizes: Vec::new(),
        keys: keys.clone(),
        label: pod.revision_hash() != Some(target.hash()),
    };
    if let Some(reason) = env::unread(&changes, target) {
        let way = Way::Recreate(reason);
        return Some(Alike { way, keys });
    }
    let edited = !changes.images.is_empty();
    changes.resizes = resize::due(pod, None, own, target, edited);
    let way = if changes.is_empty() {
        Way::Arrived
    } else {
        Way::InPlace(Arc::new(changes))
    };
    Some(Alike { way, keys })
}

/// Images that `target` changes. None where the live one is not the template's although that did
/// not change: whether it is left alone is a question of what has become of the Pod.
fn images(pod: &Pod, own: &Revision, target: &Revision) -> Option<Vec<ImageChange>> {
    let mut images = Vec::new();
    for (container, wanted) in &target.view.images {
        let unchanged = own.view.images.get(container) == Some(wanted);
        let Some((list, index, live)) = find(pod, container) else {
            if unchanged {
                continue;
            }
            return None;
        };
        if *live.image == **wanted {
            continue;
        }
        if unchanged {
            return None;
        }
        images.push(ImageChange {
            list,
            index,
            container: container.clone(),
            from: live.image.to_string(),
            to: wanted.clone(),
            started: None,
        });
    }
    Some(images)
}
