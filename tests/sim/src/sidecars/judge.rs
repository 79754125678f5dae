//! What must hold of every write to the sidecars of a Pod.

use std::collections::{BTreeMap, BTreeSet};

use model::hooks;
use model::watchdog::{condition, is_active, is_ready, serves};
use serde_json::Value;

use super::{AGENT, find};
use crate::judge::uid;
use crate::world::World;

#[derive(Default)]
pub(super) struct Judge {
    /// Pods (UID) whose container was changed, and which have not come back: with the container that
    /// ran then, and whether they served.
    away: BTreeMap<String, (Value, bool)>,
}

impl Judge {
    /// Judges a write that the server has just made. So many Pods may be away by our doing, and the
    /// set asks for a drain or not.
    pub(super) fn check(
        &mut self,
        (before, after): (&Value, &Value),
        (most, drains): (usize, bool),
        world: &World,
    ) {
        let changed = changed(before, after);
        assert!(
            changed.iter().all(|name| *name == AGENT),
            "not ours: {changed:?} of {before}"
        );
        self.come_back(world);
        let closes = !is_shut(before) && is_shut(after);
        let opens = is_shut(before) && !is_shut(after);
        assert!(
            !opens || is_ours(before),
            "gate of another: opened: {before}"
        );
        if changed.is_empty() && !closes {
            return;
        }
        check_alone(before);
        let has_gate = before["spec"]["readinessGates"].is_array();
        assert!(
            changed.is_empty() || !drains || !has_gate || !is_ready(before),
            "traffic on a restart of sidecars: {before}"
        );
        // One that is away already is no further loss.
        if self.away.contains_key(uid(before)) {
            return;
        }
        let runs = status(before)["containerID"].clone();
        let served = serves(before);
        self.away.insert(uid(before).to_owned(), (runs, served));
        let away = self.away.values().filter(|(_, served)| *served).count();
        assert!(
            !served || away <= most,
            "budget of the sidecars broken: {away} Pods away, {most} may be, after {after}"
        );
    }

    /// Forgets Pods that are gone or that the set does not match any more, and those that serve with
    /// the container that they are to have.
    fn come_back(&mut self, world: &World) {
        self.away.retain(|away, (ran, _)| {
            let mut pods = world.server.pods.values();
            let pod = pods.find(|pod| uid(pod) == away);
            pod.is_some_and(|pod| is_matched(pod) && !(serves(pod) && has_come(pod, ran)))
        });
    }
}

fn is_matched(pod: &Value) -> bool {
    is_active(pod) && pod["metadata"]["labels"]["app"] == "web"
}

/// Another container than `ran` runs, or the one that runs is to go on after all.
fn has_come(pod: &Value, ran: &Value) -> bool {
    let (status, spec) = (status(pod), find(pod, AGENT));
    let seen = pod["metadata"]["generation"] == pod["status"]["observedGeneration"];
    let goes_on = seen && spec.is_some_and(|spec| spec["image"] == status["image"]);
    status["containerID"] != *ran || goes_on
}

/// The workload is not at work on the Pod. What is under way behind an old view cannot be known: the
/// version of the Pod is tested, so there is none.
fn check_alone(before: &Value) {
    assert!(
        is_active(before),
        "not alone: it is on its way out: {before}"
    );
    let gates = &before["spec"]["readinessGates"];
    let gate = condition(before, "InPlaceUpdateReady");
    assert!(
        gates.is_null() || gate == "True" || is_ours(before),
        "not alone: the gate is {gate}: {before}"
    );
    let state = hooks::label(before);
    assert!(
        ["", "Normal", "PreparingNormal"].contains(&state),
        "not alone: {state}: {before}"
    );
    let meta = &before["metadata"]["generation"];
    let seen = &before["status"]["observedGeneration"];
    assert!(
        seen.is_null() || seen == meta,
        "not alone: the kubelet has seen {seen}: {before}"
    );
}

fn gate(pod: &Value) -> &Value {
    let conditions = pod["status"]["conditions"].as_array();
    let mut all = conditions.into_iter().flatten();
    all.find(|c| c["type"] == "InPlaceUpdateReady")
        .unwrap_or(&Value::Null)
}

fn is_shut(pod: &Value) -> bool {
    gate(pod)["status"] == "False"
}

/// The set has taken it out of its Services.
pub(crate) fn is_ours(pod: &Value) -> bool {
    is_shut(pod) && gate(pod)["message"] == "SidecarSet log"
}

fn status(pod: &Value) -> &Value {
    let lists = ["containerStatuses", "initContainerStatuses"].into_iter();
    let mut all = lists
        .filter_map(|list| pod["status"][list].as_array())
        .flatten();
    all.find(|status| status["name"] == AGENT)
        .unwrap_or(&Value::Null)
}

/// Names of the containers that differ.
fn changed<'a>(before: &'a Value, after: &'a Value) -> BTreeSet<&'a str> {
    let lists = ["containers", "initContainers"].into_iter();
    let all = lists
        .filter_map(|list| after["spec"][list].as_array())
        .flatten();
    all.filter_map(|container| {
        let name = container["name"].as_str()?;
        (find(before, name) != Some(container)).then_some(name)
    })
    .collect()
}
