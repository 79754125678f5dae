//! Launch priority: containers of one Pod that are changed one group after the other.

use std::sync::Arc;

use super::patch::{changes_ops, told};
use super::{Changes, Progress, progress, trouble};
use crate::effect::Op;
use crate::reason::Reason;
use crate::{Pod, Revision};

/// What is changed now, and what only after it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Batch {
    /// Labels, annotations and the containers of the highest priority.
    pub(crate) now: Changes,
    /// The other containers.
    pub(crate) later: Changes,
    /// What the patch says of images, labels and annotations: the same for every Pod.
    pub(super) ops: Arc<[Op]>,
    /// The images in words.
    pub(super) told: Arc<[String]>,
}

/// Splits `changes` by the priorities that the target's template gives.
pub(crate) fn batch(changes: &Changes, target: &Revision) -> Batch {
    let first = changes.containers().map(|c| priority(target, c)).max();
    let is_now = |container: &str| Some(priority(target, container)) == first;
    let (images, later_images) = changes
        .images
        .iter()
        .cloned()
        .partition(|c| is_now(&c.container));
    let (resizes, later_resizes) = changes
        .resizes
        .iter()
        .cloned()
        .partition(|c| is_now(&c.container));
    let now = Changes {
        images,
        resizes,
        ..changes.clone()
    };
    Batch {
        ops: changes_ops(&now).into(),
        told: told(&now).into(),
        now,
        later: Changes {
            images: later_images,
            resizes: later_resizes,
            ..Changes::default()
        },
    }
}

fn priority(target: &Revision, container: &str) -> i32 {
    let priorities = &target.view.priorities;
    priorities.get(container).copied().unwrap_or_default()
}

/// What the batch `now` waits for, if the one before it is not done: every container of higher
/// priority has restarted and is ready.
///
/// To be asked of a Pod in the middle of its batches. Otherwise a container that is broken already
/// would keep the others from being mended.
pub(crate) fn waits_for(
    pod: &Pod,
    target: &Revision,
    now: &Changes,
    progress: &Progress,
) -> Option<Reason> {
    let first = now.containers().map(|c| priority(target, c)).max()?;
    let earlier = |name: &str| priority(target, name) > first;
    let before: Vec<&str> = pod
        .container_statuses()
        .map(|status| &*status.name)
        .filter(|name| target.view.images.contains_key(*name) && earlier(name))
        .collect();
    let container = Arc::from(*before.first()?);
    match progress {
        Progress::Unseen => return Some(Reason::WaitingKubelet),
        // What `now` itself has begun, an announced resize say, is not waited for: it would be for
        // ever.
        Progress::Restarting(_) if !progress::awaits(pod, &before) => {}
        Progress::Restarting(Reason::Patched) => return Some(Reason::WaitingBatch { container }),
        Progress::Restarting(reason) => return Some(reason.clone()),
        Progress::Done => {}
    }
    let unready = before
        .into_iter()
        .find(|name| pod.container_status(name).is_none_or(|s| !s.ready))?;
    let container = unready.into();
    Some(trouble(pod, Some(unready)).unwrap_or(Reason::WaitingBatch { container }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::in_place::{ImageChange, List};

    fn target(priorities: [i32; 3]) -> Revision {
        let containers: Vec<Value> = ["a", "b", "c"]
            .iter()
            .zip(priorities)
            .map(|(name, p)| {
                json!({"name": name, "image": "x:2", "env": [
                    {"name": "KRUISE_CONTAINER_PRIORITY", "value": p.to_string()}]})
            })
            .collect();
        let metadata = serde_json::from_value(json!({"name": "web-b"})).unwrap();
        Revision::new(metadata, 2, json!({"spec": {"containers": containers}}))
    }

    fn batches(priorities: [i32; 3]) -> Vec<Vec<String>> {
        let image = |name: &str| ImageChange {
            list: List::App,
            index: 0,
            container: name.into(),
            from: "x:1".into(),
            to: "x:2".into(),
            started: None,
        };
        let mut left = Changes {
            images: ["a", "b", "c"].map(image).into(),
            ..Changes::default()
        };
        let mut batches = Vec::new();
        while !left.images.is_empty() {
            let Batch { now, later, .. } = batch(&left, &target(priorities));
            batches.push(now.containers().map(str::to_owned).collect());
            left = later;
        }
        batches
    }

    #[test]
    fn containers_without_priorities_go_together() {
        assert_eq!(batches([0, 0, 0]), [["a", "b", "c"]]);
    }

    #[test]
    fn each_priority_is_a_batch() {
        assert_eq!(batches([20, 10, 0]), [["a"], ["b"], ["c"]]);
        assert_eq!(batches([0, 5, 0]), [vec!["b"], vec!["a", "c"]]);
    }
}
