//! What is reported: counts of what was observed and conditions that kstatus understands.

use std::mem::discriminant;

use apis::CloneSetStatus;
use apis::clone_set::ReasonCount;
use apis::condition::{Condition, ConditionType};

use crate::clone_set::{Goal, PodView};
use crate::reason::Reason;
use crate::{Pod, Snapshot};

mod conditions;
mod deadline;
mod judge;

pub(crate) use conditions::{Judgement, ROLLED_BACK, apply, conditions};
pub use conditions::{Outcome, invalid, with_outcome};
pub(crate) use deadline::{is_exceeded, last_progress_of, look_at};

/// Sums over Pods.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) replicas: i32,
    pub(crate) ready: i32,
    pub(crate) available: i32,
    pub(crate) updated: i32,
    pub(crate) updated_ready: i32,
    pub(crate) updated_available: i32,
}

impl Counts {
    /// Sums that need no revision: before there is one.
    pub(crate) fn of_all<'a>(pods: impl Iterator<Item = &'a Pod>) -> Self {
        let mut counts = Self::default();
        for pod in pods.filter(|p| p.is_active()) {
            counts.replicas += 1;
            counts.ready += i32::from(pod.is_ready());
        }
        counts
    }

    fn of(pods: &[PodView<'_>]) -> Self {
        let mut counts = Self::default();
        for p in pods.iter().filter(|p| p.is_active()) {
            let available = i32::from(p.is_available());
            counts.replicas += 1;
            counts.ready += i32::from(p.is_ready());
            counts.available += available;
            if p.updated {
                counts.updated += 1;
                counts.updated_ready += i32::from(p.is_ready());
                counts.updated_available += available;
            }
        }
        counts
    }
}

/// The status of a set whose newest template has no revision yet. What is counted by revision stays
/// as it was observed, and with it the generation that it was observed for.
pub(crate) fn before_revision(s: &Snapshot, counts: &Counts, collisions: i32) -> CloneSetStatus {
    let old = s.set.object().status.clone().unwrap_or_default();
    let mut status = CloneSetStatus {
        replicas: counts.replicas,
        ready_replicas: counts.ready,
        label_selector: Some(s.set.selector.to_string()),
        collision_count: (collisions > 0).then_some(collisions),
        ..old.clone()
    };
    let judgement = if s.is_deleting() {
        Judgement::deleting()
    } else {
        Judgement::working("RollingOut", "the template is being recorded")
    };
    apply(s, &old, &mut status, &judgement);
    status
}

/// The status of a set as it is.
pub(crate) fn observe(s: &Snapshot, goal: &Goal, pods: &[PodView<'_>]) -> CloneSetStatus {
    let old = s.set.object().status.clone().unwrap_or_default();
    let counts = Counts::of(pods);
    let replicas = i32::try_from(goal.replicas).unwrap_or(i32::MAX);
    let expected = i32::try_from(goal.replicas - goal.partition).unwrap_or(i32::MAX);
    // Complete by the spec, not by head count: while a partition holds Pods back, the old revision
    // stays the current one even if every Pod happens to be new.
    // Where a broken update is taken back, there has to be something to go back to until all of
    // it is known to run.
    let proven = !s.set.rollback_on_deadline || counts.updated_available == replicas;
    let complete = goal.partition == 0
        && counts.updated == replicas
        && counts.replicas == replicas
        && proven
        && !goal.given_up;
    let current = if complete {
        goal.update.name()
    } else {
        goal.current_name()
    };
    let mut status = CloneSetStatus {
        observed_generation: Some(s.generation()),
        replicas: counts.replicas,
        ready_replicas: counts.ready,
        available_replicas: counts.available,
        updated_replicas: counts.updated,
        updated_ready_replicas: counts.updated_ready,
        updated_available_replicas: counts.updated_available,
        expected_updated_replicas: Some(expected),
        effective_max_unavailable: i32::try_from(goal.max_unavailable).ok(),
        update_revision: Some(goal.update.name().to_owned()),
        current_revision: Some(current.to_owned()),
        failed_revision: goal.given_up.then(|| goal.update.name().to_owned()),
        collision_count: old.collision_count,
        label_selector: Some(s.set.selector.to_string()),
        reasons: reasons(pods),
        conditions: Vec::new(),
    };
    let judgement = judge::judge(s, goal, pods, &counts);
    apply(s, &old, &mut status, &judgement);
    status
}

/// The same status of a set that gives up its update revision, and why.
pub(crate) fn give_up(
    s: &Snapshot,
    goal: &Goal,
    mut status: CloneSetStatus,
    why: &str,
) -> CloneSetStatus {
    let old = s.set.object().status.clone().unwrap_or_default();
    status.failed_revision = Some(goal.update.name().to_owned());
    apply(s, &old, &mut status, &Judgement::stalled(ROLLED_BACK, why));
    status
}

/// Pods by reason; those that are up to date are left out.
fn reasons(pods: &[PodView<'_>]) -> Vec<ReasonCount> {
    // The first Pod by name is the example. There are few reasons and many Pods.
    let mut by_reason: Vec<(i32, &PodView<'_>)> = Vec::new();
    for p in pods.iter().filter(|p| p.reason != Reason::UpToDate) {
        let same = |(_, first): &&mut (i32, &PodView<'_>)| {
            discriminant(&first.reason) == discriminant(&p.reason)
        };
        let Some((count, first)) = by_reason.iter_mut().find(same) else {
            by_reason.push((1, p));
            continue;
        };
        *count += 1;
        if p.place < first.place {
            *first = p;
        }
    }
    by_reason.sort_by_key(|(_, first)| first.reason.as_str());
    let counts = by_reason.into_iter().map(|(pods, first)| ReasonCount {
        reason: first.reason.as_str().to_owned(),
        pods,
        example: example(first),
    });
    counts.collect()
}

/// Only reasons that somebody has to read carry a Pod's name: for the others it would change with
/// every step and cost a status write each time.
fn example(p: &PodView<'_>) -> Option<String> {
    p.reason
        .needs_a_person()
        .then(|| format!("{}: {}", p.pod.name(), p.reason))
}

/// A condition of `status`.
pub fn condition(status: &CloneSetStatus, type_: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|c| c.type_ == type_.as_str())
}
