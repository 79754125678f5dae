//! How many Pods there should be just now: the replicas and the surge above them, how many of the
//! missing ones may be made, and of which revision. Sums only.

use apis::lifecycle::State;

use super::targets::{Shift, shift};
use super::{Goal, PodView};
use crate::Snapshot;
use crate::snapshot::CREATION;

/// What the sums of a set come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Pods wanted above `replicas` for now.
    pub(crate) surge: u32,
    /// Pods to make at the current revision.
    pub(crate) create_current: u32,
    /// Pods to make at the update revision.
    pub(crate) create_update: u32,
    /// Pods that are missing and cannot be made, because the record of their revision is gone.
    pub(crate) unmade: u32,
    /// Pods that are missing and not made yet, because too many are unavailable.
    pub(crate) limited: u32,
    /// Pods there are beyond those wanted.
    pub(crate) surplus: u32,
}

/// Pods of a set, as far as they count.
#[derive(Clone, Copy, Debug, Default)]
struct Census {
    old: u32,
    new: u32,
    /// Of the old ones, those that a hook does not prepare for deletion: the others make room.
    old_staying: u32,
    new_staying: u32,
    /// To be deleted because somebody named them.
    named: u32,
    /// Of the others, not available.
    unavailable: u32,
}

impl Census {
    fn of(pods: &[PodView<'_>]) -> Self {
        let mut census = Self::default();
        for p in pods.iter().filter(|p| p.is_active()) {
            let counts = p.is_counted();
            let prepared = p.state == State::PreparingDelete;
            let stays = counts && !(p.leaving && prepared);
            let named = p.specified && !prepared;
            census.old += u32::from(counts && !p.updated);
            census.new += u32::from(counts && p.updated);
            census.old_staying += u32::from(stays && !p.updated);
            census.new_staying += u32::from(stays && p.updated);
            census.named += u32::from(counts && named);
            census.unavailable += u32::from(!named && !p.is_available());
        }
        census
    }
}

impl Size {
    /// `awaited` places are taken already: by orphans about to be adopted, and by the claims of Pods
    /// that are on their way out.
    pub(crate) fn of(goal: &Goal, pods: &[PodView<'_>], awaited: u32) -> Self {
        let census = Census::of(pods);
        let surge = surge(goal, &census);
        let wanted = goal.replicas.saturating_add(surge);
        let active = census.old.saturating_add(census.new);
        let missing = wanted.saturating_sub(active).saturating_sub(awaited);
        let may = match goal.scale_max_unavailable {
            Some(max) => max.saturating_sub(census.unavailable).min(missing),
            None => missing,
        };
        let (mut create_current, create_update) = split(goal, &census, may);
        // Made at the update revision they would be more of it than the partition allows.
        let unmade = match goal.irretrievable() {
            Some(_) => std::mem::take(&mut create_current),
            None => 0,
        };
        Self {
            surge,
            create_current,
            create_update,
            unmade,
            limited: missing - may,
            surplus: active.saturating_sub(wanted),
        }
    }

    /// Pods wanted above `replicas`, before it is known who leaves.
    pub(super) fn surge(goal: &Goal, pods: &[PodView<'_>]) -> u32 {
        if goal.max_surge == 0 {
            return 0;
        }
        surge(goal, &Census::of(pods))
    }

    /// Whether there are as many Pods as wanted.
    pub(super) fn is_even(&self) -> bool {
        let missing = [
            self.create_current,
            self.create_update,
            self.unmade,
            self.limited,
        ];
        missing == [0; 4] && self.surplus == 0
    }

    /// How `pods` have to change revision in place of, or beside, the Pods that are being made:
    /// those are as good as there.
    pub(super) fn shift(&self, s: &Snapshot, goal: &Goal, pods: &[PodView<'_>]) -> Shift {
        let Census {
            mut old, mut new, ..
        } = Census::of(pods);
        // Where a quota forbids Pods beside the others, these are updated all the same. A
        // partition is not risked for it: the answer to a create may have been lost.
        if goal.kept() > 0 || !s.held.contains_key(CREATION) {
            old = old.saturating_add(self.create_current);
            new = new.saturating_add(self.create_update);
        }
        match shift(
            old.saturating_add(self.unmade),
            new,
            goal.kept(),
            goal.replicas,
        ) {
            // Nobody knows what to take them back to.
            Shift::Back(_) if goal.irretrievable().is_some() => Shift::None,
            shift => shift,
        }
    }
}

/// Extra Pods stand in for those that have yet to change revision, or for named ones that cannot be
/// deleted before others are available.
fn surge(goal: &Goal, census: &Census) -> u32 {
    if goal.max_surge == 0 {
        return 0;
    }
    let update = match shift(
        census.old_staying,
        census.new_staying,
        goal.kept(),
        goal.replicas,
    ) {
        Shift::Forward(pods) | Shift::Back(pods) => pods,
        Shift::None => 0,
    };
    let lost = census.unavailable.saturating_add(census.named);
    let named = lost.saturating_sub(goal.max_unavailable).min(census.named);
    update.max(named).min(goal.max_surge)
}

/// How many of `missing` Pods are made at the current and at the update revision: the revision
/// that lacks Pods gets them, and the partition is kept in any case.
fn split(goal: &Goal, census: &Census, missing: u32) -> (u32, u32) {
    let kept = goal.kept();
    if kept == 0 {
        return (0, missing);
    }
    let lacking = kept.saturating_sub(census.old).min(missing);
    let room = (goal.replicas - kept).saturating_sub(census.new);
    let current = lacking.max(missing.saturating_sub(room));
    (current, missing - current)
}
