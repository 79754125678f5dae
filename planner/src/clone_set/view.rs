//! One Pod as the decision sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Goal;
use crate::in_place::{self, Progress, Way};
use crate::pod::Gate;
use crate::reason::Reason;
use crate::{Pod, Revision, Snapshot};

/// A Pod with everything that was found out about it.
#[derive(Debug)]
pub(crate) struct PodView<'a> {
    pub(crate) pod: &'a Pod,
    /// Counts as a replica.
    pub(crate) active: bool,
    /// Labelled with the update revision.
    pub(crate) updated: bool,
    /// Serves, as the API server sees it.
    pub(crate) ready: bool,
    /// Ready for long enough and not in the middle of an update.
    pub(crate) available: bool,
    /// An effect that was chosen takes its availability away.
    pub(crate) disrupted: bool,
    /// When it becomes available, if it stays as it is.
    pub(crate) available_at: Option<Timestamp>,
    /// How far the kubelet has come.
    pub(crate) progress: Progress,
    /// Somebody wants exactly this Pod deleted.
    pub(crate) specified: bool,
    /// A write to it failed a moment ago.
    pub(crate) held: bool,
    /// Revision it was last brought to, where known.
    pub(crate) own: Option<Arc<Revision>>,
    /// Where it should go, and how; set by `targets`.
    pub(crate) target: Option<(Arc<Revision>, Way)>,
    /// Its one reason.
    pub(crate) reason: Reason,
}

impl<'a> PodView<'a> {
    pub(super) fn new(
        s: &Snapshot,
        goal: &Goal,
        pod: &'a Pod,
        by_hash: &BTreeMap<&str, &Arc<Revision>>,
    ) -> Self {
        let hash = pod.revision_hash();
        let progress = in_place::progress(pod);
        let active = pod.is_active();
        let ready = active && pod.is_ready() && !matches!(pod.gate(), Gate::Closed { .. });
        let settled = ready && progress == Progress::Done;
        let available_at = pod
            .ready_since()
            .filter(|_| settled && s.set.min_ready_seconds > 0)
            .map(|since| {
                since.saturating_add(SignedDuration::from_secs(s.set.min_ready_seconds.into()))
            });
        let available_at = available_at.and_then(Result::ok).filter(|at| *at > s.now);
        let available = settled && available_at.is_none();
        let mut view = Self {
            pod,
            active,
            updated: hash == Some(goal.update.hash()),
            ready,
            available,
            disrupted: false,
            available_at,
            progress,
            specified: active && is_specified(s, pod),
            held: s.held.contains_key(pod.uid()),
            own: hash.and_then(|h| by_hash.get(h)).map(|r| Arc::clone(r)),
            target: None,
            reason: Reason::UpToDate,
        };
        view.reason = view.health();
        if let (Reason::UpToDate, None) = (&view.reason, &view.own) {
            let revision = hash.unwrap_or_default().to_owned();
            view.reason = Reason::UnknownRevision { revision };
        }
        view
    }

    /// The reason of a Pod that nothing is wanted of.
    fn health(&self) -> Reason {
        if !self.active {
            return Reason::Terminating;
        }
        match &self.progress {
            Progress::Unseen => return Reason::WaitingKubelet,
            Progress::Restarting(reason) => return reason.clone(),
            Progress::Done => {}
        }
        if self.available {
            Reason::UpToDate
        } else if self.ready {
            Reason::WaitingMinReady
        } else {
            in_place::trouble(self.pod, None).unwrap_or(Reason::NotReady)
        }
    }
}

/// Named in `podsToDelete` or labelled for deletion.
fn is_specified(s: &Snapshot, pod: &Pod) -> bool {
    s.set.pods_to_delete.contains(pod.name())
        || pod
            .labels()
            .contains_key(apis::names::SPECIFIED_DELETE_LABEL)
}
