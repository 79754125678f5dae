//! Taking a Pod out of its Services before its sidecars restart, and letting it in again. The
//! condition of the gate says which set closed it: that one opens it, and nobody else.

use apis::lifecycle;
use apis::names;
use jiff::Timestamp;

use super::view::View;
use super::way::Step;
use super::{Snapshot, namespace};
use crate::Pod;
use crate::effect::{Disruption, Effect, Judged, Target};
use crate::in_place::{self, Progress};
use crate::pod::Gate;

/// Whether `p` has to leave its Services before `step`: a sidecar restarts in it that has no twin,
/// and it serves, or may at any moment, because what is to restart runs.
pub(super) fn must_close(s: &Snapshot, p: &View<'_>, step: &Step) -> bool {
    let turns = || step.working.iter().map(|(_, turn)| &turn.works);
    let mut stopped = step.images.iter().map(|change| &change.container);
    let runs = |name: &String| {
        let status = p.pod.container_status(name);
        status.is_some_and(|status| status.state.running.is_some())
    };
    s.set.update.mark_pod_not_ready
        && p.facts.gate == Gate::Open
        && stopped.any(|name| !turns().any(|works| works == name))
        && (p.facts.is_ready || step.images.iter().all(|change| runs(&change.container)))
}

/// Takes `pod` out of its Services.
pub(super) fn close(s: &Snapshot, pod: &Pod, disruption: Disruption) -> Effect {
    Effect::Drain {
        target: Target::of(&pod.metadata),
        at: s.now,
        sidecar_set: Some(s.set.name.clone()),
        disruption,
    }
}

/// Lets `pod` in, once the kubelet has seen what was patched last; from then on the readiness of the
/// containers decides.
pub(super) fn open(pod: &Pod, progress: &Progress, now: Timestamp) -> Option<Effect> {
    // A hook may want it to stay out until it is deleted.
    let state = pod.labels().get(names::LIFECYCLE_STATE_LABEL);
    let leaves = state == Some(lifecycle::State::PreparingDelete.as_str());
    let is_seen = !pod.is_unseen() && in_place::is_seen(pod, progress);
    let may_open = is_seen && !leaves && pod.is_active();
    may_open.then(|| Effect::OpenGate {
        target: Target::of(&pod.metadata),
        at: now,
        judged: Judged::of(pod, None),
        state: None,
        kruise: false,
    })
}

/// Lets every one of `pods` in that the set called `set` took out, and which it has nothing more to
/// do with: it is gone, or does not count the Pod any more. Each effect comes with its namespace.
pub fn release<'a>(
    set: &str,
    pods: impl IntoIterator<Item = &'a Pod>,
    now: Timestamp,
) -> Vec<(String, Effect)> {
    let shut = pods.into_iter().filter(|pod| pod.shut_by() == Some(set));
    let opened = shut.filter_map(|pod| {
        let progress = super::record::progress_of(pod, set, now);
        Some((namespace(pod).to_owned(), open(pod, &progress, now)?))
    });
    opened.collect()
}
