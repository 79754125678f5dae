//! Giving up an update revision that stays broken (`rollbackOnDeadline`).
//!
//! That a revision was given up is remembered in `status.failedRevision` and nowhere else: the pass
//! that finds it out writes the status and does nothing more; those that find it there take the
//! Pods back.

use apis::CloneSetStatus;
use apis::update_strategy::UpdateStrategyType;
use jiff::{SignedDuration, Timestamp};

use super::{Goal, PodView};
use crate::reason::Reason;
use crate::{Snapshot, status};

/// Whether the update revision of `s` was given up, and is still the one in the template.
pub(super) fn is_given_up(s: &Snapshot, update: &str, current: &str) -> bool {
    let status = s.set.object().status.as_ref();
    let failed = status.and_then(|status| status.failed_revision.as_deref());
    is_on(s) && failed == Some(update) && update != current
}

fn is_on(s: &Snapshot) -> bool {
    let rolling = s.set.strategy == UpdateStrategyType::RollingUpdate;
    rolling && s.set.rollback_on_deadline && s.set.progress_deadline_seconds.is_some()
}

/// What is to become of the update revision.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is given up, for this reason.
    GiveUp(String),
    /// Look again then, if at all.
    Wait(Option<Timestamp>),
}

/// Judges the update revision by its Pods; `observed` is the status that is about to be reported.
pub(super) fn judge(
    s: &Snapshot,
    goal: &Goal,
    pods: &[PodView<'_>],
    observed: &CloneSetStatus,
) -> Verdict {
    let same = goal.update.name() == goal.current.name();
    if !is_on(s) || same || goal.given_up || s.set.paused || s.is_deleting() {
        return Verdict::Wait(None);
    }
    let suspect = |p: &&PodView<'_>| p.updated && p.is_active() && !p.is_available();
    let mut suspects: Vec<&PodView<'_>> = pods.iter().filter(suspect).collect();
    suspects.sort_by_key(|p| p.pod.name());
    let due: Vec<(Timestamp, &PodView<'_>)> = suspects
        .iter()
        .filter_map(|p| Some((deadline(s, goal, p)?, *p)))
        .collect();
    let broken = due.iter().find(|(at, _)| *at <= s.now).map(|(_, p)| *p);
    // A Pod that a hook holds waits for somebody; that says nothing about its revision.
    let is_held = |p: &&&PodView<'_>| matches!(p.reason, Reason::WaitingHook { .. });
    let stuck = || suspects.iter().copied().find(|p| !is_held(&p));
    let guilty = broken.or_else(|| stuck().filter(|_| status::is_exceeded(observed)));
    match guilty {
        Some(p) => Verdict::GiveUp(format!(
            "{} was given up for {}: Pod {}: {}",
            goal.update.name(),
            goal.current.name(),
            p.pod.name(),
            p.reason
        )),
        None => Verdict::Wait(due.iter().map(|(at, _)| *at).min()),
    }
}

/// Until when a Pod that is broken has to be mended.
fn deadline(s: &Snapshot, goal: &Goal, p: &PodView<'_>) -> Option<Timestamp> {
    let since = if matches!(p.reason, Reason::CrashLoop(_)) {
        // It may look fine between two crashes, so nothing but the update counts.
        updated_at(goal, p)?
    } else if matches!(p.reason, Reason::ImagePull(_) | Reason::NotReady) {
        // A Pod that served for days and does not right now gets the whole time.
        updated_at(goal, p)?.max(not_ready_since(p).unwrap_or(Timestamp::MIN))
    } else {
        return None;
    };
    let seconds = s.set.progress_deadline_seconds?;
    since
        .saturating_add(SignedDuration::from_secs(seconds.into()))
        .ok()
}

/// When the Pod was brought to the update revision: patched, or made. No Pod was before there was
/// that revision; a change of metadata alone leaves no other trace of its time.
fn updated_at(goal: &Goal, p: &PodView<'_>) -> Option<Timestamp> {
    let patched = p
        .pod
        .in_place_state()
        .filter(|state| state.revision == goal.update.name());
    let patched = patched.and_then(|state| state.update_timestamp.parse().ok());
    let made =
        |time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| time.map(|t| t.0);
    let at = patched.or_else(|| made(p.pod.metadata.creation_timestamp.as_ref()))?;
    let recorded = made(goal.update.metadata.creation_timestamp.as_ref());
    Some(recorded.map_or(at, |recorded| recorded.max(at)))
}

fn not_ready_since(p: &PodView<'_>) -> Option<Timestamp> {
    let (_, ready) = p.pod.condition(apis::names::READY_CONDITION)?;
    ready
        .last_transition_time
        .as_ref()
        .filter(|_| &*ready.status != "True")
        .map(|t| t.0)
}
