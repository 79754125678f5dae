//! Since when a set has got no further, and whether that is too long (`progressDeadlineSeconds`).
//!
//! The time of the last progress is `lastUpdateTime` of the Progressing condition. It is the only
//! thing that is remembered, and it is written together with the counts that moved.

use apis::CloneSetStatus;
use apis::condition::ConditionType;
use jiff::{SignedDuration, Timestamp};

use super::Judgement;
use super::conditions::{
    AVAILABLE, INVALID, PARTITION_AVAILABLE, PAUSED, ROLLED_BACK, UNSUPPORTED,
};
use crate::Snapshot;

/// OpenKruise's and Deployments' word.
pub(crate) const EXCEEDED: &str = "ProgressDeadlineExceeded";

/// What becomes of `judgement` once the set has been at it for too long; `last` is the time of the
/// last progress.
pub(super) fn exceeded(
    s: &Snapshot,
    status: &CloneSetStatus,
    last: Timestamp,
    judgement: &Judgement,
) -> Option<Judgement> {
    let (due, seconds) = due(s, last)?;
    let reason = judgement.progressing_reason(s.set.paused);
    if is_rest(reason) || s.set.paused || s.is_deleting() || s.now < due {
        return None;
    }
    let revision = status.update_revision.as_deref().unwrap_or("the template");
    let message = judgement.message();
    Some(Judgement::stalled(
        EXCEEDED,
        format!("{revision} has made no progress for {seconds} s: {message}"),
    ))
}

/// When `status` turns to [`EXCEEDED`] if nothing happens.
pub(crate) fn look_at(s: &Snapshot, status: &CloneSetStatus) -> Option<Timestamp> {
    let progressing = super::condition(status, ConditionType::Progressing)?;
    let reason = progressing.reason.as_deref().unwrap_or_default();
    if is_rest(reason) || reason == EXCEEDED || s.set.paused || s.is_deleting() {
        return None;
    }
    let last = progressing.last_update_time.as_ref()?.0;
    due(s, last).map(|(at, _)| at).filter(|at| *at > s.now)
}

/// Whether the deadline of `status` has passed.
pub(crate) fn is_exceeded(status: &CloneSetStatus) -> bool {
    super::condition(status, ConditionType::Progressing)
        .is_some_and(|c| c.reason.as_deref() == Some(EXCEEDED))
}

fn due(s: &Snapshot, last: Timestamp) -> Option<(Timestamp, u32)> {
    let seconds = s.set.progress_deadline_seconds?;
    let at = last.saturating_add(SignedDuration::from_secs(seconds.into()));
    Some((at.ok()?, seconds))
}

/// When the set last got further (`reason` is the one of its Progressing condition): now, if the counts say so or if work begins, else as before.
pub(super) fn last_progress(
    s: &Snapshot,
    old: &CloneSetStatus,
    new: &CloneSetStatus,
    reason: &str,
) -> Timestamp {
    let before = super::condition(old, ConditionType::Progressing);
    let Some(last) = before.and_then(|c| c.last_update_time.as_ref()) else {
        return s.now;
    };
    let rested = before.is_some_and(|c| is_rest(c.reason.as_deref().unwrap_or_default()));
    let starts_or_ends = rested != is_rest(reason);
    if starts_or_ends || got_further(s, old, new) {
        s.now
    } else {
        last.0
    }
}

/// When the set last got further, before anything was decided.
pub(crate) fn last_progress_of(s: &Snapshot) -> Timestamp {
    let status = s.set.object().status.as_ref();
    let observed = status.filter(|status| status.observed_generation == Some(s.generation()));
    observed
        .and_then(|status| super::condition(status, ConditionType::Progressing))
        .filter(|c| !is_rest(c.reason.as_deref().unwrap_or_default()))
        .and_then(|c| c.last_update_time.as_ref())
        .map_or(s.now, |t| t.0)
}

/// Reasons of the Progressing condition under which time does not count.
fn is_rest(reason: &str) -> bool {
    [
        AVAILABLE,
        PARTITION_AVAILABLE,
        PAUSED,
        INVALID,
        UNSUPPORTED,
        ROLLED_BACK,
    ]
    .contains(&reason)
}

fn got_further(s: &Snapshot, old: &CloneSetStatus, new: &CloneSetStatus) -> bool {
    let surplus = |pods: i32| i64::from(pods).saturating_sub(s.set.replicas.into()).max(0);
    let beyond = |status: &CloneSetStatus| {
        let expected = new.expected_updated_replicas.unwrap_or(i32::MAX);
        status.updated_replicas.saturating_sub(expected).max(0)
    };
    old.observed_generation != new.observed_generation
        || old.update_revision != new.update_revision
        || new.updated_replicas > old.updated_replicas
        || new.updated_ready_replicas > old.updated_ready_replicas
        || new.updated_available_replicas > old.updated_available_replicas
        || new.available_replicas > old.available_replicas
        || surplus(new.replicas) < surplus(old.replicas)
        || beyond(new) < beyond(old)
}
