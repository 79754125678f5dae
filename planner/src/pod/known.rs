//! What every decision asks of every Pod, found once: when the Pod is decoded. Labels, conditions
//! and annotations are spread all over memory; looking them up anew in each pass, and parsing the
//! record each time, is what a pass over thousands of Pods would spend its time on.

use apis::in_place_state::InPlaceState;
use apis::names;
use jiff::Timestamp;
use serde::Deserialize;

use super::{Gate, Pod};
use crate::in_place::Progress;
use crate::sidecar_set;

/// What follows from a Pod alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    pub(super) facts: Facts,
    pub(super) revision_hash: Option<Box<str>>,
    /// How far the kubelet has come, where it is not done.
    pub(super) progress: Option<Box<Progress>>,
}

/// What every decision asks of every Pod. It is one small piece of memory.
#[allow(clippy::struct_excessive_bools, reason = "facts, not states")]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) gate: Gate,
    pub(crate) ready_since: Option<Timestamp>,
    /// The lower the later it was made; lowest where that is not known, which counts as now.
    pub(crate) age_key: u64,
    /// The same of the time since which it serves.
    pub(crate) since_key: u64,
    /// Hash of its UID: another Pod is most likely to have another one.
    pub(crate) mark: u64,
    pub(crate) restarts: i32,
    /// How far it has come: not begun, in between, or running.
    pub(crate) stage: u8,
    pub(crate) is_assigned: bool,
    pub(crate) is_ready: bool,
    /// Out of its Services for good; see [`Pod::is_drained`].
    pub(crate) is_drained: bool,
    pub(crate) is_terminating: bool,
    pub(crate) is_finished: bool,
    pub(crate) is_named_for_deletion: bool,
    pub(crate) waits_for_kruise: bool,
    /// In the middle of batches of containers.
    pub(crate) has_more: bool,
    /// Its record asks for changes: more batches, or a resize.
    pub(crate) asks: bool,
    /// Everything runs as its record says.
    pub(crate) is_settled: bool,
    /// Injected containers that were updated have not come to run.
    pub(crate) awaits_sidecars: bool,
    /// Its gate is closed by a SidecarSet; see [`Pod::shut_by`].
    pub(crate) is_shut_for_sidecars: bool,
}

impl Facts {
    /// Counts as a replica.
    pub(crate) fn is_active(&self) -> bool {
        !self.is_terminating && !self.is_finished
    }

    /// Its gate is closed.
    pub(crate) fn is_shut(&self) -> bool {
        matches!(self.gate, Gate::Closed { .. })
    }
}

impl Known {
    pub(super) fn of(pod: &Pod, record: Option<&InPlaceState>) -> Self {
        let phase = pod.status.phase.as_deref();
        let ready = pod.condition(names::READY_CONDITION).map(|(_, c)| c);
        let is_ready = phase == Some("Running") && ready.is_some_and(|c| &*c.status == "True");
        let since = ready.and_then(|c| c.last_transition_time.as_ref());
        let ready_since = since.map(|t| t.0).filter(|_| is_ready);
        let created = pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
        let gate = gate(pod);
        let is_shut = matches!(gate, Gate::Closed { .. });
        let facts = Facts {
            gate,
            ready_since,
            age_key: newest_first(created),
            since_key: newest_first(ready_since),
            mark: mark(pod.uid()),
            restarts: pod.container_statuses().map(|s| s.restart_count).sum(),
            stage: match phase {
                Some("Pending") | None => 0,
                Some("Running") => 2,
                Some(_) => 1,
            },
            is_assigned: pod.spec.node_name.is_some(),
            is_ready,
            is_drained: is_shut && ready.is_none_or(|c| &*c.status != "True"),
            is_terminating: pod.metadata.deletion_timestamp.is_some(),
            is_finished: matches!(phase, Some("Succeeded" | "Failed")),
            is_named_for_deletion: pod.labels().contains_key(names::SPECIFIED_DELETE_LABEL),
            waits_for_kruise: waits_for_kruise(pod),
            has_more: record.is_some_and(InPlaceState::has_more),
            asks: record.is_some_and(|record| record.has_more() || !record.resizes.is_empty()),
            is_settled: false,
            awaits_sidecars: !sidecar_set::is_settled(pod),
            is_shut_for_sidecars: is_shut && shut_by(pod).is_some(),
        };
        Self {
            facts,
            revision_hash: revision_hash(pod).map(Into::into),
            progress: None,
        }
    }

    /// Takes in what follows from the other facts.
    pub(super) fn settle(&mut self, progress: Progress) {
        self.facts.is_settled = progress == Progress::Done;
        self.progress = (progress != Progress::Done).then(|| Box::new(progress));
    }
}

/// A number that is the lower the later `time` is, and the lowest for a time that is not known,
/// which counts as now. Nanoseconds are enough for the years until 2262.
fn newest_first(time: Option<Timestamp>) -> u64 {
    let Some(time) = time else {
        return 0;
    };
    let nanos = i64::try_from(time.as_nanosecond());
    let nanos = nanos.unwrap_or(if time < Timestamp::UNIX_EPOCH {
        i64::MIN
    } else {
        i64::MAX
    });
    (nanos.cast_unsigned() ^ !(1 << 63)).max(1)
}

/// FNV-1a, 64 bits: whoever has another one is another Pod.
pub(crate) fn mark(uid: &str) -> u64 {
    uid.bytes().fold(FNV_SEED, fnv1a)
}

/// The FNV-1a hash of nothing.
pub(super) const FNV_SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of what has the hash `so_far`, followed by `byte`.
pub(super) fn fnv1a(so_far: u64, byte: u8) -> u64 {
    (so_far ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

fn revision_hash(pod: &Pod) -> Option<&str> {
    let label = pod.labels().get(names::REVISION_LABEL)?;
    label.rsplit('-').next().filter(|hash| !hash.is_empty())
}

fn waits_for_kruise(pod: &Pod) -> bool {
    let mut gates = pod.spec.readiness_gates.iter();
    if !gates.any(|g| &*g.condition_type == names::KRUISE_READY_CONDITION) {
        return false;
    }
    match pod.condition(names::KRUISE_READY_CONDITION) {
        None => true,
        Some((_, c)) if &*c.status == "True" => false,
        Some((_, c)) => held_by_hooks_only(c.message.as_deref().unwrap_or_default()),
    }
}

/// The message of OpenKruise's gate lists who keeps it closed. What cannot be read is somebody's.
fn held_by_hooks_only(message: &str) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Holder {
        user_agent: String,
    }
    let holders: Option<Vec<Holder>> = match message {
        "" => Some(Vec::new()),
        message => serde_json::from_str(message).ok(),
    };
    holders.is_some_and(|all| all.iter().all(|h| h.user_agent == "Lifecycle"))
}

/// The SidecarSet that the condition of the gate names.
pub(super) fn shut_by(pod: &Pod) -> Option<&str> {
    let (_, gate) = pod.condition(names::IN_PLACE_READY_CONDITION)?;
    let is_said = gate.reason.as_deref() == Some(names::REASON_START_SIDECAR_UPDATE);
    let message = gate.message.as_deref().filter(|_| is_said)?;
    let name = message.strip_prefix(names::SIDECAR_SET_CLOSER)?;
    (!name.is_empty()).then_some(name)
}

fn gate(pod: &Pod) -> Gate {
    let carried = &pod.spec.readiness_gates;
    if !carried
        .iter()
        .any(|g| &*g.condition_type == names::IN_PLACE_READY_CONDITION)
    {
        return Gate::Missing;
    }
    match pod.condition(names::IN_PLACE_READY_CONDITION) {
        None => Gate::Unset,
        Some((_, c)) if &*c.status == "True" => Gate::Open,
        Some((_, c)) => Gate::Closed {
            since: c.last_transition_time.as_ref().map(|t| t.0),
        },
    }
}
