//! Which revision each Pod should be at: the partition's arithmetic, applied to Pods.

use std::sync::Arc;

use apis::lifecycle::State;
use apis::update_strategy::{PodUpdatePolicy, UpdateStrategyType};

use super::size::Size;
use super::{Fate, Goal, PodView};
use crate::findings::Ways;
use crate::in_place::{self, Way};
use crate::pod::Gate;
use crate::reason::Reason;
use crate::{Revision, Snapshot};

/// How many Pods change revision, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// So many old Pods to the update revision.
    Forward(u32),
    /// So many updated Pods back to the current revision: the partition was raised.
    Back(u32),
    None,
}

/// `old` and `new` Pods exist; `partition` old ones of `replicas` are wanted. Surplus on both
/// sides is scaling's business, not a change of revision.
pub(super) fn shift(old: u32, new: u32, partition: u32, replicas: u32) -> Shift {
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
pub(super) fn assign<'a>(
    (s, ways): (&'a Snapshot, &mut Ways),
    goal: &'a Goal,
    size: &Size,
    pods: &mut [PodView<'a>],
) {
    let idle = idle(s);
    let (target, left) = match size.shift(s, goal, pods) {
        _ if idle == Some(Reason::OnDelete) => (&goal.update, 0),
        Shift::Forward(left) => (&goal.update, left as usize),
        Shift::Back(left) => (&goal.current, left as usize),
        Shift::None => (&goal.update, 0),
    };
    if left > 0 {
        move_revisions((s, ways), goal, (target, left), pods);
    }
    // Pods that stay are kept at the revision they are labelled with: hand edits are taken back,
    // interrupted changes finished. While paused or on delete only what has begun is finished.
    if s.set.policy != PodUpdatePolicy::ReCreate {
        let begun = |p: &PodView<'_>| idle.is_none() || in_place::is_midway(p.pod);
        let staying = |p: &&mut PodView<'a>| is_movable(p) && p.target.is_none() && begun(p);
        for p in pods.iter_mut().filter(staying) {
            if let Some(own) = p.own {
                let way = way(s, ways, p, own);
                if may_go(p, &way) {
                    p.target = Some((own, way));
                }
            }
        }
    }
    for p in pods.iter_mut().filter(|p| p.is_active()) {
        if !p.updated && p.reason == Reason::UpToDate && !p.leaves_its_revision() {
            p.reason = idle.clone().unwrap_or_else(|| goal.rest());
        }
        if p.held
            && let Some(error) = s.held.get(p.pod.uid())
        {
            p.reason = Reason::of_refusal(error);
        }
    }
}

/// Every Pod there should be is at the update revision and available, and none is asked for.
pub(super) fn is_quiet(goal: &Goal, pods: &[PodView<'_>]) -> bool {
    let rests = |p: &PodView<'_>| {
        let in_service = matches!(p.facts.gate, Gate::Open | Gate::Missing);
        let undisturbed = !p.specified && !p.held && p.fate == Fate::Stays;
        p.updated && p.is_available() && in_service && undisturbed
    };
    goal.kept() == 0 && pods.len() == goal.replicas as usize && pods.iter().all(rests)
}

/// Sends the first `left` Pods that are on the other side of the partition to `target`. One that
/// may not be replaced and cannot be patched does not use up a place that another could take; only
/// places that nobody else takes are given to such Pods, to say why they stay empty.
fn move_revisions<'a>(
    (s, ways): (&'a Snapshot, &mut Ways),
    goal: &Goal,
    (target, mut left): (&'a Arc<Revision>, usize),
    pods: &mut [PodView<'a>],
) {
    let backwards = target.name() != goal.update.name();
    // A pause chooses nobody; what a hook was already asked for is gone through with.
    let paused = idle(s).is_some();
    let mut refused = Vec::new();
    for (index, p) in pods.iter_mut().enumerate() {
        if left == 0 {
            break;
        }
        let chosen = !paused || p.state == State::PreparingUpdate;
        if !is_movable(p) || p.updated != backwards || !chosen {
            continue;
        }
        let way = way(s, ways, p, target);
        if !may_go(p, &way) {
            continue;
        }
        if s.set.policy == PodUpdatePolicy::InPlaceOnly && matches!(way, Way::Recreate(_)) {
            refused.push((index, way));
        } else {
            p.target = Some((target, way));
            left -= 1;
        }
    }
    for (index, way) in refused.into_iter().take(left) {
        pods[index].target = Some((target, way));
    }
}

/// A Pod that a hook prepares for deletion may be replaced, which is what it may be prepared for; it
/// is not updated.
fn may_go(p: &PodView<'_>, way: &Way) -> bool {
    p.state != State::PreparingDelete || matches!(way, Way::Recreate(_))
}

fn is_movable(p: &PodView<'_>) -> bool {
    p.is_counted() && !p.held && !p.leaving
}

impl PodView<'_> {
    /// Whether it is to change revision.
    fn leaves_its_revision(&self) -> bool {
        let target = self.target.as_ref().map(|(target, _)| *target);
        let stays = |target: &Arc<Revision>| {
            let is_it = |own: &Arc<_>| Arc::ptr_eq(own, target) || own.hash() == target.hash();
            self.own.is_some_and(is_it)
        };
        target.is_some_and(|target| !stays(target))
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

/// How `p` gets to `target`.
fn way(s: &Snapshot, ways: &mut Ways, p: &PodView<'_>, target: &Arc<Revision>) -> Way {
    let hash = || p.pod.revision_hash().unwrap_or_default();
    if s.set.policy == PodUpdatePolicy::ReCreate {
        return if hash() == target.hash() {
            Way::Arrived
        } else {
            Way::Recreate(Reason::PolicyRecreate)
        };
    }
    let Some(own) = p.own else {
        return Way::Recreate(Reason::UnknownRevision {
            revision: hash().into(),
        });
    };
    let way = ways.way(p, own, target);
    // A resize that another template asks for is tried first.
    let resizes = matches!(&way, Way::InPlace(changes) if !changes.resizes.is_empty());
    if s.set.policy != PodUpdatePolicy::InPlaceIfPossible || resizes {
        return way;
    }
    match in_place::given_up(p.pod, s.set.resize_deadline_seconds) {
        Some((at, reason)) if at <= s.now => Way::Recreate(reason),
        Some(_) | None => way,
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
