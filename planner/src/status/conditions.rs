//! Conditions from one judgement: Ready, Progressing, Reconciling and Stalled never contradict
//! each other, because they are four views of one value.

use apis::CloneSetStatus;
use apis::condition::{Condition, ConditionType};
use apis::validation::{FieldError, FieldErrorKind};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::deadline;
use crate::Snapshot;
use crate::claim::{EXISTS, is_held_as};
use crate::snapshot::CREATION;

pub(super) const AVAILABLE: &str = "CloneSetAvailable";
pub(super) const PARTITION_AVAILABLE: &str = "ProgressPartitionAvailable";
pub(super) const PAUSED: &str = "CloneSetPaused";
pub(super) const INVALID: &str = "InvalidSpec";
pub(super) const UNSUPPORTED: &str = "UnsupportedField";
/// The update revision was given up.
pub(crate) const ROLLED_BACK: &str = "RolledBack";

/// How the set is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    state: State,
    reason: String,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Working,
    Paused,
    Stalled,
}

impl Judgement {
    fn new(state: State, reason: &str, message: impl Into<String>) -> Self {
        Self {
            state,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn ready(reason: &str, message: impl Into<String>) -> Self {
        Self::new(State::Ready, reason, message)
    }

    pub(crate) fn deleting() -> Self {
        Self::working("Deleting", "the set is being deleted")
    }

    pub(crate) fn working(reason: &str, message: impl Into<String>) -> Self {
        Self::new(State::Working, reason, message)
    }

    pub(crate) fn paused(message: impl Into<String>) -> Self {
        Self::new(State::Paused, "Paused", message)
    }

    pub(crate) fn stalled(reason: &str, message: impl Into<String>) -> Self {
        Self::new(State::Stalled, reason, message)
    }

    /// The spec makes no sense, or asks for what there is not.
    pub(crate) fn refused(errors: &[FieldError]) -> Self {
        let unsupported = errors.iter().all(|e| e.kind == FieldErrorKind::Unsupported);
        let reason = if unsupported { UNSUPPORTED } else { INVALID };
        let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self::stalled(reason, messages.join("; "))
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// OpenKruise's word for the Progressing condition. There, a paused set is paused whatever
    /// else it does, unless it is done.
    pub(super) fn progressing_reason(&self, paused: bool) -> &str {
        match (self.state, self.reason.as_str()) {
            (State::Ready, "PartitionReached") if !paused => PARTITION_AVAILABLE,
            (State::Ready, "AllAvailable" | "OnDelete") => AVAILABLE,
            (State::Ready | State::Working, _) if paused => PAUSED,
            (State::Paused, _) => PAUSED,
            (State::Ready, _) => AVAILABLE,
            (State::Working, _) => "CloneSetUpdated",
            (State::Stalled, reason) => reason,
        }
    }
}

/// Writes the judgement into `status`, keeping times of conditions that did not change.
pub(crate) fn apply(
    s: &Snapshot,
    old: &CloneSetStatus,
    status: &mut CloneSetStatus,
    judgement: &Judgement,
) {
    let paused = s.set.paused;
    let last = deadline::last_progress(s, old, status, judgement.progressing_reason(paused));
    let late = deadline::exceeded(s, status, last, judgement);
    let judgement = late.as_ref().unwrap_or(judgement);
    let progress = Progress {
        reason: judgement.progressing_reason(paused),
        at: Some(last),
    };
    status.conditions = merge(
        &old.conditions,
        judgement,
        Some(&progress),
        s.generation(),
        s.now,
    );
}

/// The same conditions without Progressing, for kinds whose users do not know it. `old` are those
/// that were there.
pub(crate) fn conditions(
    old: &[Condition],
    judgement: &Judgement,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    merge(old, judgement, None, generation, now)
}

/// What the Progressing condition says apart from the judgement.
struct Progress<'a> {
    reason: &'a str,
    /// When the set last got further, where that was judged.
    at: Option<Timestamp>,
}

fn merge(
    old: &[Condition],
    judgement: &Judgement,
    progress: Option<&Progress<'_>>,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let state = judgement.state;
    let all = [
        (
            ConditionType::Ready,
            state == State::Ready,
            judgement.reason.as_str(),
        ),
        (
            ConditionType::Progressing,
            state != State::Stalled,
            progress.map_or("", |progress| progress.reason),
        ),
        (
            ConditionType::Reconciling,
            state == State::Working,
            judgement.reason.as_str(),
        ),
        (
            ConditionType::Stalled,
            state == State::Stalled,
            judgement.reason.as_str(),
        ),
    ];
    let is_told = |type_| type_ != ConditionType::Progressing || progress.is_some();
    let mut conditions: Vec<Condition> = all
        .into_iter()
        .filter(|(type_, ..)| is_told(*type_))
        .map(|(type_, holds, reason)| {
            let wanted = Wanted {
                type_,
                holds,
                reason,
                message: &judgement.message,
            };
            let mut condition = wanted.over(old, Some(generation), now);
            if let (ConditionType::Progressing, Some(at)) =
                (type_, progress.and_then(|progress| progress.at))
            {
                condition.last_update_time = Some(Time(at));
            }
            condition
        })
        .collect();
    let ours: Vec<&str> = all.iter().map(|(type_, ..)| type_.as_str()).collect();
    conditions.extend(
        old.iter()
            .filter(|c| !ours.contains(&c.type_.as_str()))
            .cloned(),
    );
    conditions
}

struct Wanted<'a> {
    type_: ConditionType,
    holds: bool,
    reason: &'a str,
    message: &'a str,
}

impl Wanted<'_> {
    fn over(self, old: &[Condition], generation: Option<i64>, now: Timestamp) -> Condition {
        let status = if self.holds { "True" } else { "False" };
        let before = old.iter().find(|c| c.type_ == self.type_.as_str());
        let now = Time(now);
        let mut condition = Condition {
            type_: self.type_.as_str().to_owned(),
            status: status.to_owned(),
            last_update_time: Some(now.clone()),
            last_transition_time: Some(now),
            reason: Some(self.reason.to_owned()),
            message: Some(self.message.to_owned()),
            observed_generation: generation,
        };
        if let Some(before) = before.filter(|b| b.status == condition.status) {
            condition
                .last_transition_time
                .clone_from(&before.last_transition_time);
            let times = (
                condition.last_update_time.take(),
                before.last_update_time.clone(),
            );
            condition
                .last_update_time
                .clone_from(&before.last_update_time);
            if condition != *before {
                condition.last_update_time = times.0;
            }
        }
        condition
    }
}

/// The status of a set whose spec was refused: everything else stays as last observed.
pub fn invalid(
    old: &CloneSetStatus,
    generation: i64,
    errors: &[FieldError],
    now: Timestamp,
) -> CloneSetStatus {
    let judgement = Judgement::refused(errors);
    let reason = judgement.reason.as_str();
    let progress = Progress { reason, at: None };
    let conditions = merge(
        &old.conditions,
        &judgement,
        Some(&progress),
        generation,
        now,
    );
    CloneSetStatus {
        observed_generation: Some(generation),
        conditions,
        ..old.clone()
    }
}

/// What carrying out a plan came to, by kind of effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// First error of creating or deleting Pods, or None where all went well.
    pub scale_error: Option<String>,
    /// First error of changing Pods.
    pub update_error: Option<String>,
}

impl Outcome {
    /// From what is held, with the errors. What is held was not tried now, and has not succeeded
    /// either. That there is a claim of somebody else is no failure.
    pub fn of(held: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut outcome = Self::default();
        for (key, error) in held {
            let is_claim = is_held_as(&key);
            if is_claim && error == EXISTS {
                continue;
            }
            let failed = if is_claim || key == CREATION {
                &mut outcome.scale_error
            } else {
                &mut outcome.update_error
            };
            failed.get_or_insert(error);
        }
        outcome
    }
}

/// Adds what failed, and takes back what no longer does: `FailedScale` and `FailedUpdate`.
pub fn with_outcome(
    mut status: CloneSetStatus,
    outcome: &Outcome,
    generation: i64,
    now: Timestamp,
) -> CloneSetStatus {
    let failures = [
        (ConditionType::FailedScale, &outcome.scale_error),
        (ConditionType::FailedUpdate, &outcome.update_error),
    ];
    for (type_, error) in failures {
        let present = super::condition(&status, type_).is_some();
        if error.is_none() && !present {
            continue;
        }
        let (reason, message) = match error {
            Some(error) => ("ApiError", error.as_str()),
            None => ("Succeeded", "the last attempt succeeded"),
        };
        let wanted = Wanted {
            type_,
            holds: error.is_some(),
            reason,
            message,
        };
        let condition = wanted.over(&status.conditions, Some(generation), now);
        status.conditions.retain(|c| c.type_ != type_.as_str());
        status.conditions.push(condition);
    }
    status
}
