//! One Pod as the decision sees it.

use apis::lifecycle;
use apis::names;
use jiff::Timestamp;

use super::record::{self, Record};
use super::way::{self, Way};
use super::{Snapshot, twins};
use crate::Pod;
use crate::budget::Loss;
use crate::in_place::{self, Progress};
use crate::pod::{Facts, Gate};
use crate::reason::Reason;

/// A Pod with everything that was found out about it.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) pod: &'a Pod,
    pub(super) facts: &'a Facts,
    /// Its place in the snapshot.
    pub(super) place: usize,
    /// What it remembers, or the reason why that cannot be told.
    pub(super) record: Result<Record, Reason>,
    /// It has the set's present containers, as far as the API server knows.
    pub(super) updated: bool,
    /// How far the kubelet has come with those of the set.
    pub(super) progress: Progress,
    /// A twin of it is being replaced.
    pub(super) handing_over: bool,
    /// It serves, and nothing is under way that takes it away.
    pub(super) available: bool,
    /// Why it is not to be touched: somebody else is changing it.
    pub(super) busy: Option<Reason>,
    /// The set has taken it out of its Services.
    pub(super) is_shut: bool,
    /// How it gets to the set's present containers.
    pub(super) way: Way,
    /// Its one reason.
    pub(super) reason: Reason,
}

impl<'a> View<'a> {
    /// The Pod at `place`, and when time alone changes the judgement.
    pub(super) fn new(s: &Snapshot, place: usize, pod: &'a Pod) -> (Self, Option<Timestamp>) {
        let facts = pod.facts();
        let set = &s.set;
        let record = Record::read(pod, &set.name);
        let known = record.as_ref().ok();
        let progress = known.map_or(Progress::Done, |r| r.progress(pod, &set.name, s.now));
        let handing_over = known.is_some_and(|r| twins::is_handing_over(pod, r, set));
        let own = known.and_then(|record| {
            let mut revisions = s.revisions.iter();
            // Not by its name: a Pod may have been made before the newest one was recorded.
            revisions.find(|r| r.hash() == Some(&*record.hash))
        });
        let way = match &record {
            Ok(record) => way::way(pod, record, set, own),
            Err(reason) => Way::Recreate(reason.clone()),
        };
        let is_shut = pod.shut_by() == Some(&*set.name);
        let (busy, free_at) = busy(pod, is_shut, s.now);
        let settled = progress == Progress::Done && record::is_settled(pod);
        let mut view = Self {
            pod,
            facts,
            place,
            updated: way == Way::Arrived,
            available: facts.is_ready && settled && !is_shut && busy.is_none() && !handing_over,
            record,
            progress,
            handing_over,
            busy,
            is_shut,
            way,
            reason: Reason::UpToDate,
        };
        view.reason = view.health();
        let known = view.record.as_ref().ok();
        let look_at = known.and_then(|r| r.look_at(&set.name, s.now));
        (view, look_at.into_iter().chain(free_at).min())
    }

    /// What is lost when its sidecars restart now.
    pub(super) fn loss(&self) -> Loss {
        if self.available {
            Loss::Available
        } else {
            Loss::Nothing
        }
    }

    /// The sidecars of the set are ready, with the rest of the Pod.
    pub(super) fn is_ready(&self) -> bool {
        let serves = self.facts.is_ready && !self.facts.is_shut();
        serves && self.progress == Progress::Done && !self.handing_over
    }

    /// The reason of a Pod that has the set's present containers. How its own are doing is a matter
    /// of its workload.
    fn health(&self) -> Reason {
        match &self.progress {
            Progress::Unseen => Reason::WaitingKubelet,
            Progress::Restarting(reason) => reason.clone(),
            Progress::Done if self.is_shut => Reason::NotReady,
            Progress::Done if self.handing_over => Reason::HandingOver,
            Progress::Done => Reason::UpToDate,
        }
    }
}

/// Why `pod` is in other hands, if it is, and when time alone ends that. `is_shut` says that we took
/// it out of its Services: nobody began with it since.
fn busy(pod: &Pod, is_shut: bool, now: Timestamp) -> (Option<Reason>, Option<Timestamp>) {
    let facts = pod.facts();
    let workload = Some(Reason::WaitingWorkload);
    if in_place::is_midway(pod) || is_held(pod) {
        return (workload, None);
    }
    if is_shut {
        return (None, None);
    }
    if facts.is_shut_for_sidecars {
        return (Some(Reason::WaitingSidecars), None);
    }
    let is_out = matches!(facts.gate, Gate::Unset | Gate::Closed { .. });
    if is_out || is_shut_by_kruise(pod) {
        return (workload, None);
    }
    match pod.progress() {
        Progress::Done => (None, None),
        // The kubelet has left the containers alone, as far as time can tell.
        Progress::Restarting(Reason::Patched) => match in_place::kept_from(pod) {
            Some(at) if at <= now => (None, None),
            later => (workload, later),
        },
        Progress::Restarting(_) | Progress::Unseen => (workload, None),
    }
}

/// OpenKruise has taken it out of its Services.
fn is_shut_by_kruise(pod: &Pod) -> bool {
    let name = names::KRUISE_READY_CONDITION;
    let mut gates = pod.spec.readiness_gates.iter();
    let is_open = || {
        pod.condition(name)
            .is_some_and(|(_, c)| &*c.status == "True")
    };
    gates.any(|gate| &*gate.condition_type == name) && !is_open()
}

/// It is between the hooks of its workload.
fn is_held(pod: &Pod) -> bool {
    let at_rest = [lifecycle::State::Normal, lifecycle::State::PreparingNormal];
    let state = pod.labels().get(names::LIFECYCLE_STATE_LABEL);
    state.is_some_and(|state| at_rest.iter().all(|rest| rest.as_str() != state))
}
