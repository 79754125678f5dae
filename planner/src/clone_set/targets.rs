//! Which revision each Pod should be at: the partition's arithmetic, applied to Pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use apis::update_strategy::{PodUpdatePolicy, UpdateStrategyType};

use super::{Goal, PodView};
use crate::in_place::{self, Way};
use crate::reason::Reason;
use crate::{Revision, Snapshot};

/// How many Pods change revision, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shift {
    /// So many old Pods to the update revision.
    Forward(u32),
    /// So many updated Pods back to the current revision: the partition was raised.
    Back(u32),
    None,
}

/// `old` and `new` Pods exist; `partition` old ones of `replicas` are wanted. Surplus on both
/// sides is scaling's business, not a change of revision.
fn shift(old: u32, new: u32, partition: u32, replicas: u32) -> Shift {
    let new_wanted = replicas.saturating_sub(partition);
    if old > partition && new < new_wanted {
        Shift::Forward((old - partition).min(new_wanted - new))
    } else if old < partition && new > new_wanted {
        Shift::Back((partition - old).min(new - new_wanted))
    } else {
        Shift::None
    }
}

/// Gives every Pod its target. `pods` are in update order, so the first ones are chosen.
pub(super) fn assign(s: &Snapshot, goal: &Goal, pods: &mut [PodView<'_>]) {
    let count = |updated: bool| {
        let n = pods
            .iter()
            .filter(|p| p.active && p.updated == updated)
            .count();
        u32::try_from(n).unwrap_or(u32::MAX)
    };
    let mut shift = shift(count(false), count(true), goal.partition, goal.replicas);
    if matches!(shift, Shift::Back(_)) && goal.current.name() == goal.update.name() {
        shift = Shift::None;
    }
    let idle = idle(s);
    if idle.is_some() {
        shift = Shift::None;
    }
    let mut obstacles = Obstacles::default();
    for p in pods
        .iter_mut()
        .filter(|p| p.active && !p.held && !p.specified)
    {
        let target = match &mut shift {
            Shift::Forward(left) if !p.updated && *left > 0 => {
                *left -= 1;
                Some(&goal.update)
            }
            Shift::Back(left) if p.updated && *left > 0 => {
                *left -= 1;
                Some(&goal.current)
            }
            Shift::Forward(_) | Shift::Back(_) | Shift::None => None,
        };
        let target = match target {
            Some(target) => Some(Arc::clone(target)),
            // Pods that stay are kept at the revision they are labelled with: hand edits are taken
            // back, interrupted changes finished. Never while paused or on delete.
            None if s.set.policy != PodUpdatePolicy::ReCreate && idle.is_none() => p.own.clone(),
            None => None,
        };
        if let Some(target) = target {
            let way = obstacles.way(s, p, &target);
            p.target = Some((target, way));
        }
    }
    for p in pods.iter_mut() {
        if p.active
            && !p.updated
            && p.reason == Reason::UpToDate
            && p.target_differs() == Some(false)
        {
            p.reason = idle.clone().unwrap_or(Reason::WaitingPartition);
        }
        if let Some(error) = s.held.get(p.pod.uid()).filter(|_| p.active) {
            p.reason = Reason::BackingOff {
                error: error.clone(),
            };
        }
    }
}

impl PodView<'_> {
    /// Whether it is to leave its revision.
    fn target_differs(&self) -> Option<bool> {
        match &self.target {
            Some((target, _)) => Some(self.pod.revision_hash() != Some(target.hash())),
            None => Some(false),
        }
    }
}

/// Why no Pod changes revision at all, if so.
fn idle(s: &Snapshot) -> Option<Reason> {
    match s.set.strategy {
        UpdateStrategyType::OnDelete => Some(Reason::OnDelete),
        UpdateStrategyType::RollingUpdate if s.set.paused => Some(Reason::Paused),
        UpdateStrategyType::RollingUpdate => None,
    }
}

/// What stands in the way between two revisions, found once per pair.
#[derive(Default)]
struct Obstacles {
    known: BTreeMap<(String, String), Option<Reason>>,
}

impl Obstacles {
    fn way(&mut self, s: &Snapshot, p: &PodView<'_>, target: &Arc<Revision>) -> Way {
        let hash = p.pod.revision_hash().unwrap_or_default();
        if s.set.policy == PodUpdatePolicy::ReCreate {
            return if hash == target.hash() {
                Way::Arrived
            } else {
                Way::Recreate(Reason::PolicyRecreate)
            };
        }
        let Some(own) = &p.own else {
            return Way::Recreate(Reason::UnknownRevision {
                revision: hash.to_owned(),
            });
        };
        let pair = (own.hash().to_owned(), target.hash().to_owned());
        let obstacle = self
            .known
            .entry(pair)
            .or_insert_with(|| in_place::obstacle(own, target));
        in_place::way(p.pod, own, target, obstacle.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_is_kept_and_no_more() {
        assert_eq!(shift(5, 0, 4, 5), Shift::Forward(1));
        assert_eq!(shift(4, 1, 4, 5), Shift::None);
        assert_eq!(shift(5, 0, 0, 5), Shift::Forward(5));
        assert_eq!(shift(5, 0, 5, 5), Shift::None);
    }

    #[test]
    fn a_raised_partition_moves_pods_back() {
        assert_eq!(shift(0, 5, 3, 5), Shift::Back(3));
        assert_eq!(shift(2, 3, 4, 5), Shift::Back(2));
    }

    #[test]
    fn surplus_pods_are_left_to_scaling() {
        assert_eq!(shift(3, 5, 0, 5), Shift::None);
        assert_eq!(shift(8, 0, 4, 5), Shift::Forward(1));
        assert_eq!(shift(1, 0, 2, 5), Shift::None);
    }
}
