//! What every decision asks of every Pod, found once: when the Pod is decoded. Labels, conditions
//! and annotations are spread all over memory; looking them up anew in each pass, and parsing the
//! record each time, is what a pass over thousands of Pods would spend its time on.

use apis::in_place_state::InPlaceState;
use apis::names;
use jiff::Timestamp;
use serde::Deserialize;

use super::{Gate, Pod};

/// What follows from a Pod alone.
#[allow(clippy::struct_excessive_bools, reason = "facts, not states")]
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    pub(super) revision_hash: Option<Box<str>>,
    pub(super) record: Option<Box<InPlaceState>>,
    pub(super) gate: Gate,
    pub(super) ready_since: Option<Timestamp>,
    pub(super) restarts: i32,
    pub(super) stage: u8,
    pub(super) is_ready: bool,
    pub(super) is_finished: bool,
    pub(super) is_named_for_deletion: bool,
    pub(super) waits_for_kruise: bool,
    /// By the other facts: set last.
    pub(super) is_settled: bool,
}

impl Known {
    pub(super) fn of(pod: &Pod) -> Self {
        let phase = pod.status.phase.as_deref();
        let ready = pod.condition(names::READY_CONDITION).map(|(_, c)| c);
        let is_ready = phase == Some("Running") && ready.is_some_and(|c| &*c.status == "True");
        let since = ready.and_then(|c| c.last_transition_time.as_ref());
        let annotations = pod.annotations();
        let record = annotations
            .get(names::IN_PLACE_STATE_ANNOTATION)
            .or_else(|| annotations.get(names::OLD_IN_PLACE_STATE_ANNOTATION));
        Self {
            revision_hash: revision_hash(pod).map(Into::into),
            record: record
                .and_then(|text| InPlaceState::parse(text))
                .map(Box::new),
            gate: gate(pod),
            ready_since: since.map(|t| t.0).filter(|_| is_ready),
            restarts: pod.container_statuses().map(|s| s.restart_count).sum(),
            stage: match phase {
                Some("Pending") | None => 0,
                Some("Running") => 2,
                Some(_) => 1,
            },
            is_ready,
            is_finished: matches!(phase, Some("Succeeded" | "Failed")),
            is_named_for_deletion: pod.labels().contains_key(names::SPECIFIED_DELETE_LABEL),
            waits_for_kruise: waits_for_kruise(pod),
            is_settled: false,
        }
    }
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
