//! How the set is doing, as one judgement: the first of these that applies.

use std::fmt::Write as _;

use apis::condition::ConditionType;
use apis::update_strategy::UpdateStrategyType;

use super::{Counts, Judgement, ROLLED_BACK};
use crate::Snapshot;
use crate::clone_set::{Claims, Goal, PodView, Size};
use crate::reason::Reason;

pub(super) fn judge(s: &Snapshot, goal: &Goal, pods: &[PodView<'_>], counts: &Counts) -> Judgement {
    if s.is_deleting() {
        return Judgement::deleting();
    }
    if goal.given_up {
        return given_up(s, goal);
    }
    let first = |holds: fn(&Reason) -> bool| {
        let pods = pods.iter().filter(|p| p.is_active() && holds(&p.reason));
        // The Pods of a snapshot are in the order of their names, which are all over memory.
        pods.min_by_key(|p| p.place)
    };
    if let Some(p) = first(Reason::needs_a_person) {
        return Judgement::stalled(p.reason.as_str(), sentence(p));
    }
    if let Some(judgement) = outstanding(s, goal, pods, counts) {
        return judgement;
    }
    // The sums are right; what a single Pod waits for still counts.
    if let Some(p) = first(|reason| !reason.is_rest()) {
        return Judgement::working(p.reason.as_str(), sentence(p));
    }
    rest(s, goal, counts)
}

/// What was wrong was said when the revision was given up. Its Pods are being mended, so nobody
/// could find it out again.
fn given_up(s: &Snapshot, goal: &Goal) -> Judgement {
    let old = s.set.object().status.as_ref();
    let said = old
        .and_then(|old| super::condition(old, ConditionType::Stalled))
        .filter(|c| c.reason.as_deref() == Some(ROLLED_BACK))
        .and_then(|c| c.message.clone());
    let (update, current) = (goal.update.name(), goal.current_name());
    let message = said.unwrap_or_else(|| format!("{update} was given up for {current}"));
    Judgement::stalled(ROLLED_BACK, message)
}

fn sentence(p: &PodView<'_>) -> String {
    format!("Pod {}: {}", p.pod.name(), p.reason)
}

/// What the sums say is still to do.
fn outstanding(
    s: &Snapshot,
    goal: &Goal,
    pods: &[PodView<'_>],
    counts: &Counts,
) -> Option<Judgement> {
    let replicas = number(goal.replicas);
    let expected = number(goal.replicas - goal.kept());
    let revision = goal.update.name();
    let size = Size::of(goal, pods, 0);
    let too_many = counts.updated.saturating_sub(expected);
    if let Some(lost) = goal
        .irretrievable()
        .filter(|_| size.unmade > 0 || too_many > 0)
    {
        let message = format!(
            "the record of {lost} is gone, which the partition keeps: {} Pods cannot be made of it \
             and {} cannot go back to it; apply its template again, or lower the partition",
            size.unmade,
            too_many.max(0)
        );
        return Some(Judgement::stalled("RevisionLost", message));
    }
    let most = replicas.saturating_add(number(size.surge));
    if !(replicas..=most).contains(&counts.replicas) {
        let mut message = format!("{} Pods exist, {replicas} wanted", counts.replicas);
        if let Some(max) = goal.scale_max_unavailable.filter(|_| size.limited > 0) {
            let _ = write!(
                message,
                "; scaleStrategy.maxUnavailable ({max}) lets no more be added until others are \
                 available"
            );
        }
        let awaited = Claims::new(s).awaited(s);
        if awaited > 0 {
            let _ = write!(
                message,
                "; {awaited} wait for claims of Pods that are going"
            );
        }
        return Some(Judgement::working("Scaling", message));
    }
    let rolling = s.set.strategy == UpdateStrategyType::RollingUpdate;
    if rolling && s.set.paused && counts.updated != expected {
        let message = format!(
            "paused with {} of {expected} Pods at {revision}",
            counts.updated
        );
        return Some(Judgement::paused(message));
    }
    if rolling && counts.updated_available < expected {
        let message = format!(
            "{} of {expected} Pods available at {revision}",
            counts.updated_available
        );
        return Some(Judgement::working("RollingOut", message));
    }
    if rolling && counts.updated > expected {
        let message = format!(
            "{} Pods go back to {}",
            counts.updated - expected,
            goal.current_name()
        );
        return Some(Judgement::working("RollingBack", message));
    }
    if counts.available < replicas {
        let message = format!("{} of {replicas} Pods available", counts.available);
        return Some(Judgement::working("NotAvailable", message));
    }
    None
}

/// Nothing is left to do.
fn rest(s: &Snapshot, goal: &Goal, counts: &Counts) -> Judgement {
    let replicas = goal.replicas;
    let revision = goal.update.name();
    if counts.updated == number(replicas) {
        let message = format!("{replicas} of {replicas} Pods available at {revision}");
        return Judgement::ready("AllAvailable", message);
    }
    let updated = counts.updated;
    match s.set.strategy {
        UpdateStrategyType::RollingUpdate => {
            let message = format!("{updated} of {replicas} Pods at {revision}, as asked");
            Judgement::ready("PartitionReached", message)
        }
        UpdateStrategyType::OnDelete => {
            let message = format!(
                "{updated} of {replicas} Pods at {revision}; the others follow when somebody \
                 deletes them"
            );
            Judgement::ready("OnDelete", message)
        }
    }
}

fn number(pods: u32) -> i32 {
    i32::try_from(pods).unwrap_or(i32::MAX)
}
