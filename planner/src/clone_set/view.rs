//! One Pod as the decision sees it.

use std::sync::Arc;

use apis::lifecycle::State;
use jiff::{SignedDuration, Timestamp};

use super::Goal;
use crate::budget::Loss;
use crate::in_place::{self, Progress, Way};
use crate::lifecycle::{Hooks, IN_PLACE_UPDATE, PRE_DELETE, PRE_NORMAL};
use crate::ownership::Owned;
use crate::pod::{self, Facts, Kin};
use crate::reason::Reason;
use crate::{Pod, Revision, Snapshot};

/// How much a Pod counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Not a replica: on its way out, or ran to its end.
    Gone,
    /// A replica that does not serve.
    NotReady,
    /// Serves, as the API server sees it.
    Ready,
    /// Ready for long enough and not in the middle of an update.
    Available,
}

/// What the plan does to a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// It serves no less than before.
    Stays,
    /// A chosen effect takes it away for a while.
    Disrupted,
    /// An earlier pass chose; whether it has happened is unknown, so it counts as lost.
    InFlight,
    /// It is to be deleted as soon as nothing holds it.
    Leaving,
    /// It is deleted.
    Deleted,
}

/// A Pod with everything that was found out about it.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug)]
pub(crate) struct PodView<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) facts: &'a Facts,
    /// Its place in the snapshot.
    pub(crate) place: usize,
    /// Those who are like it.
    pub(crate) kin: Option<&'a Arc<Kin>>,
    /// Labelled with the update revision.
    pub(crate) updated: bool,
    /// Labelled with the current revision.
    pub(crate) current: bool,
    /// How it stands.
    pub(crate) standing: Standing,
    /// What was decided about it.
    pub(crate) fate: Fate,
    /// How far the kubelet has come.
    pub(crate) progress: Progress,
    /// Where it is between its hooks.
    pub(crate) state: State,
    /// Left out of the count of replicas, because a hook holds it before it is deleted.
    pub(crate) excluded: bool,
    /// Somebody wants exactly this Pod deleted.
    pub(crate) specified: bool,
    /// It is to be deleted: specified, or one too many.
    pub(crate) leaving: bool,
    /// A write to it failed a moment ago, and none is under way.
    pub(crate) held: bool,
    /// Revision it was last brought to, where known.
    pub(crate) own: Option<&'a Arc<Revision>>,
    /// Where it should go, and how; set by `targets`.
    pub(crate) target: Option<(&'a Arc<Revision>, Way)>,
    /// Its one reason.
    pub(crate) reason: Reason,
}

/// What is the same for all Pods of a set.
pub(super) struct Eye<'a> {
    s: &'a Snapshot,
    hooks: Hooks<'a>,
    held: Marks,
    in_flight: Marks,
    /// Of each revision, whether it is the update revision, and the current one.
    sides: Vec<(bool, bool)>,
}

impl<'a> Eye<'a> {
    pub(super) fn new(s: &'a Snapshot, goal: &Goal) -> Self {
        let (update, current) = (goal.update.hash(), goal.current.hash());
        let side = |own: &Arc<Revision>| (own.hash() == update, own.hash() == current);
        Self {
            s,
            hooks: Hooks::of(&s.set.lifecycle),
            held: Marks::of(s.held.keys()),
            in_flight: Marks::of(s.in_flight.iter()),
            sides: s.revisions.iter().map(side).collect(),
        }
    }

    /// The Pod, and when time alone changes the judgement: it becomes available, its trouble is
    /// believed, or no restart is expected any more.
    pub(super) fn view(&self, owned: Owned<'a>) -> (PodView<'a>, Option<Timestamp>) {
        let s = self.s;
        let Owned {
            pod,
            place,
            finding,
        } = owned;
        let facts = &finding.facts;
        let own = finding.own.and_then(|own| s.revisions.get(own));
        let side = finding.own.and_then(|own| self.sides.get(own));
        let (updated, current) = side.copied().unwrap_or_default();
        let (progress, look_at) = if facts.is_settled {
            (Progress::Done, None)
        } else {
            in_time(s, pod)
        };
        let deadline = s.set.resize_deadline_seconds.filter(|_| !facts.is_settled);
        let given_up = in_place::given_up(pod, deadline);
        let given_up = given_up.map(|(at, _)| at).filter(|at| *at > s.now);
        let active = facts.is_active();
        let ready = active && facts.is_ready && !facts.is_shut();
        let state = self.hooks.state(pod);
        // A Pod whose sidecars restart may stop serving at any moment.
        let settled =
            ready && progress == Progress::Done && !facts.awaits_sidecars && state == State::Normal;
        let available_at = facts
            .ready_since
            .filter(|_| settled && s.set.min_ready_seconds > 0)
            .map(|since| {
                since.saturating_add(SignedDuration::from_secs(s.set.min_ready_seconds.into()))
            });
        let available_at = available_at.and_then(Result::ok).filter(|at| *at > s.now);
        let standing = match (active, ready) {
            (false, _) => Standing::Gone,
            (true, false) => Standing::NotReady,
            (true, true) if settled && available_at.is_none() => Standing::Available,
            (true, true) => Standing::Ready,
        };
        let is_in_flight = self.in_flight.may_have(facts) && s.in_flight.contains(pod.uid());
        let mut view = PodView {
            pod,
            facts,
            place,
            kin: finding.kin.as_ref(),
            updated,
            current,
            standing,
            fate: if is_in_flight {
                Fate::InFlight
            } else {
                Fate::Stays
            },
            progress,
            state,
            excluded: s.set.exclude_preparing_delete && state == State::PreparingDelete,
            specified: active && (facts.is_named_for_deletion || is_listed(s, pod)),
            leaving: false,
            // What is under way to it besides keeps its place: nobody else may take that.
            held: !is_in_flight && self.held.may_have(facts) && s.held.contains_key(pod.uid()),
            own,
            target: None,
            reason: Reason::UpToDate,
        };
        view.reason = view.health();
        let times = [look_at, available_at, given_up];
        (view, times.into_iter().flatten().min())
    }
}

/// UIDs, told apart by a number: looking each Pod's up among the texts would take longer than all
/// the rest.
struct Marks(Vec<u64>);

impl Marks {
    fn of<'u>(uids: impl Iterator<Item = &'u String>) -> Self {
        let mut marks: Vec<u64> = uids.map(|uid| pod::mark(uid)).collect();
        marks.sort_unstable();
        Self(marks)
    }

    /// Whether the UID of `pod` may be one of them.
    fn may_have(&self, facts: &Facts) -> bool {
        !self.0.is_empty() && self.0.binary_search(&facts.mark).is_ok()
    }
}

impl PodView<'_> {
    /// Is a replica.
    pub(crate) fn is_active(&self) -> bool {
        self.standing > Standing::Gone
    }

    /// Is a replica, as far as sums over replicas go.
    pub(crate) fn is_counted(&self) -> bool {
        self.is_active() && !self.excluded
    }

    /// A hook was asked to let it go, or to let it be updated.
    pub(crate) fn is_preparing(&self) -> bool {
        matches!(self.state, State::PreparingUpdate | State::PreparingDelete)
    }

    /// Serves.
    pub(crate) fn is_ready(&self) -> bool {
        self.standing >= Standing::Ready
    }

    /// Counts as available.
    pub(crate) fn is_available(&self) -> bool {
        self.standing == Standing::Available
    }

    /// It has a target, and is not there.
    pub(crate) fn is_to_change(&self) -> bool {
        let target = self.target.as_ref();
        target.is_some_and(|(_, way)| *way != Way::Arrived)
    }

    /// What is lost when it is drained or deleted now.
    pub(crate) fn loss(&self) -> Loss {
        match (self.fate, self.standing) {
            (Fate::Stays, Standing::Available) => Loss::Available,
            (Fate::Stays, Standing::Ready) => Loss::Serving,
            (Fate::Disrupted | Fate::InFlight | Fate::Leaving | Fate::Deleted, _)
            | (_, Standing::Gone | Standing::NotReady) => Loss::Nothing,
        }
    }

    /// The reason of a Pod that nothing is wanted of.
    fn health(&self) -> Reason {
        if !self.is_active() {
            return Reason::Terminating;
        }
        match &self.progress {
            Progress::Unseen => return Reason::WaitingKubelet,
            Progress::Restarting(reason) => return reason.clone(),
            Progress::Done => {}
        }
        if self.is_available() {
            return Reason::UpToDate;
        }
        if self.facts.is_shut_for_sidecars {
            return Reason::WaitingSidecars;
        }
        if !self.is_ready() {
            return in_place::trouble(self.pod, None).unwrap_or(Reason::NotReady);
        }
        match self.state {
            State::Normal if self.facts.awaits_sidecars => Reason::Patched,
            State::Normal => Reason::WaitingMinReady,
            // It is told apart from one that a hook holds with the very next write.
            State::Updating => Reason::Patched,
            State::PreparingNormal => PRE_NORMAL,
            State::PreparingUpdate | State::Updated => IN_PLACE_UPDATE,
            State::PreparingDelete => PRE_DELETE,
        }
    }
}

/// How far the kubelet has come with `pod`, as far as it can be told now, and when time alone tells
/// more.
fn in_time(s: &Snapshot, pod: &Pod) -> (Progress, Option<Timestamp>) {
    match remembering(s, pod.progress()) {
        Progress::Restarting(reason) if reason.needs_a_person() => {
            match in_place::doubtful_until(pod).filter(|until| *until > s.now) {
                Some(until) => (Progress::Restarting(Reason::Patched), Some(until)),
                None => (Progress::Restarting(reason), None),
            }
        }
        Progress::Restarting(Reason::Patched) => match in_place::kept_from(pod) {
            Some(at) if at <= s.now => (Progress::Done, None),
            later => (Progress::Restarting(Reason::Patched), later),
        },
        told => (told, None),
    }
}

/// The kubelet says why an image cannot be pulled for a moment only; during its pause it speaks of
/// the pause. Whoever read the reason before shall not see it come and go.
fn remembering(s: &Snapshot, progress: Progress) -> Progress {
    let status = s.set.object().status.as_ref();
    let mut reasons = status.into_iter().flat_map(|status| &status.reasons);
    match progress {
        Progress::Restarting(Reason::StartBackOff(trouble))
            if reasons.any(|r| r.reason == "ImagePull") =>
        {
            Progress::Restarting(Reason::ImagePull(trouble))
        }
        other => other,
    }
}

/// Named in `podsToDelete`.
fn is_listed(s: &Snapshot, pod: &Pod) -> bool {
    let named = &s.set.pods_to_delete;
    !named.is_empty() && named.contains(pod.name())
}
