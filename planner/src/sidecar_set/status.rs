//! What is reported of a SidecarSet: counts of what was observed, and conditions that kstatus
//! understands.

use std::mem::discriminant;

use apis::SidecarSetStatus;
use apis::clone_set::ReasonCount;
use apis::sidecar_set::SidecarUpdateType;
use apis::validation::FieldError;
use jiff::Timestamp;

use super::view::View;
use super::{Revision, Snapshot};
use crate::reason::Reason;
use crate::status::{Judgement, conditions};

/// The status of a set as it is.
pub(super) fn observe(
    s: &Snapshot,
    latest: &Revision,
    pods: &[View<'_>],
    uninjected: usize,
) -> SidecarSetStatus {
    let old = s.old_status();
    let ready = || pods.iter().filter(|p| p.is_ready());
    let mut status = SidecarSetStatus {
        observed_generation: Some(s.generation()),
        matched_pods: number(pods.len()),
        updated_pods: number(pods.iter().filter(|p| p.updated).count()),
        ready_pods: number(ready().count()),
        updated_ready_pods: number(ready().filter(|p| p.updated).count()),
        latest_revision: Some(latest.name().to_owned()),
        collision_count: old.collision_count,
        uninjected_pods: (uninjected > 0).then(|| number(uninjected)),
        reasons: reasons(pods),
        conditions: Vec::new(),
    };
    let judgement = judge(s, pods, &status);
    status.conditions = conditions(&old.conditions, &judgement, s.generation(), s.now);
    status
}

/// The status of a set whose newest spec has no revision yet: all that was counted stays.
pub(super) fn before_revision(s: &Snapshot, collisions: i32) -> SidecarSetStatus {
    let old = s.old_status();
    let judgement = if s.is_deleting() {
        Judgement::deleting()
    } else {
        Judgement::working("RollingOut", "the containers are being recorded")
    };
    SidecarSetStatus {
        collision_count: (collisions > 0).then_some(collisions),
        conditions: conditions(&old.conditions, &judgement, s.generation(), s.now),
        ..old
    }
}

/// The status of a set whose spec was refused: everything else stays as last observed.
pub fn invalid(
    old: &SidecarSetStatus,
    generation: i64,
    errors: &[FieldError],
    now: Timestamp,
) -> SidecarSetStatus {
    let judgement = Judgement::refused(errors);
    SidecarSetStatus {
        observed_generation: Some(generation),
        conditions: conditions(&old.conditions, &judgement, generation, now),
        ..old.clone()
    }
}

fn judge(s: &Snapshot, pods: &[View<'_>], status: &SidecarSetStatus) -> Judgement {
    if s.is_deleting() {
        return Judgement::deleting();
    }
    let outdated = status.matched_pods - status.updated_pods;
    let done = format!(
        "{} of {} Pods are updated",
        status.updated_pods, status.matched_pods
    );
    // What cannot start goes before what only a new Pod can have: it is an outage.
    let in_need = |p: &&View<'_>| p.reason.needs_a_person();
    let rank = |p: &&View<'_>| (is_recreation(&p.reason), p.place);
    let is_working = pods
        .iter()
        .any(|p| !p.reason.is_rest() && !p.reason.needs_a_person());
    match pods.iter().filter(in_need).min_by_key(rank) {
        Some(p) if !(is_recreation(&p.reason) && is_working) => {
            let about = format!("{done}; Pod {}: {}", p.pod.name(), p.reason);
            return Judgement::stalled(p.reason.as_str(), about);
        }
        Some(_) | None => {}
    }
    if is_working {
        return Judgement::working("RollingOut", done);
    }
    if outdated == 0 {
        return Judgement::ready("AllUpdated", done);
    }
    let update = &s.set.update;
    if update.type_ == SidecarUpdateType::NotUpdate {
        return Judgement::ready("NotUpdate", done);
    }
    if update.paused {
        return Judgement::paused(done);
    }
    if pods.iter().any(|p| p.reason == Reason::WaitingPartition) {
        Judgement::ready("PartitionReached", done)
    } else {
        Judgement::ready("SelectorReached", done)
    }
}

fn is_recreation(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::NeedsRecreate { .. } | Reason::UnreadableRecord { .. }
    )
}

/// Pods by reason; those that are up to date are left out. Only reasons that somebody has to read
/// carry a Pod's name.
fn reasons(pods: &[View<'_>]) -> Vec<ReasonCount> {
    let mut by_reason: Vec<(i32, &View<'_>)> = Vec::new();
    for p in pods.iter().filter(|p| p.reason != Reason::UpToDate) {
        let same = |(_, first): &&mut (i32, &View<'_>)| {
            discriminant(&first.reason) == discriminant(&p.reason)
        };
        match by_reason.iter_mut().find(same) {
            None => by_reason.push((1, p)),
            Some((count, first)) => {
                *count += 1;
                if p.place < first.place {
                    *first = p;
                }
            }
        }
    }
    by_reason.sort_by_key(|(_, first)| first.reason.as_str());
    let counts = by_reason.into_iter().map(|(pods, first)| ReasonCount {
        reason: first.reason.as_str().to_owned(),
        pods,
        example: is_told(&first.reason).then(|| format!("{}: {}", first.pod.name(), first.reason)),
    });
    counts.collect()
}

/// Whether somebody has to read about it, or to look at another object.
fn is_told(reason: &Reason) -> bool {
    reason.needs_a_person() || matches!(reason, Reason::WaitingDisruptionBudget { .. })
}

fn number(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
