//! Is an update in place done?
//!
//! Done means: the kubelet has seen the patch (`observedGeneration`), and every container that the
//! patch restarts runs under another container ID than the one recorded at the patch - or under
//! the same one, if that was started with the very image the spec names again (a change taken back
//! before the kubelet acted). Image IDs and names prove nothing: two tags of one digest restart
//! the container and keep both.

use apis::in_place_state::{InPlaceState, LastContainer};
use jiff::{SignedDuration, Timestamp};

use crate::Pod;
use crate::pod::{ContainerStatus, Gate};
use crate::reason::{Reason, Trouble};

/// How far the kubelet has come with the Pod's spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everything runs as the spec says.
    Done,
    /// The kubelet has seen the spec and restarts or resizes containers.
    Restarting(Reason),
    /// The kubelet has not seen the spec.
    Unseen,
}

/// For so long after a patch, what the kubelet says of a container may be about the image before:
/// it repeats its last words together with the generation it has just seen. Believing them would
/// call a set stalled in the very moment in which it is healed.
const LAST_WORDS: SignedDuration = SignedDuration::from_secs(5);

/// Until when trouble of `pod` may be about the image before its last patch.
pub(crate) fn doubtful_until(pod: &Pod) -> Option<Timestamp> {
    doubtful_since(&pod.in_place_state()?.update_timestamp)
}

/// The same of a patch that was asked for at the time `asked`.
pub(crate) fn doubtful_since(asked: &str) -> Option<Timestamp> {
    let asked: Timestamp = asked.parse().ok()?;
    asked.saturating_add(LAST_WORDS).ok()
}

/// So long after the kubelet has seen a spec, and the containers' grace period, the API server knows
/// of what it stopped: the kubelet acts in the sync in which it says that it has seen the spec, and
/// Pods of a node that is not heard of for 50 seconds are not Ready (`--node-monitor-grace-period`).
const NEWS: SignedDuration = SignedDuration::from_mins(1);

/// What containers have to end by themselves where the Pod does not say it (Kubernetes' default).
const GRACE_SECONDS: i64 = 30;

/// From when on `pod`, whose containers are awaited, is taken for one that the kubelet has left
/// alone. An image that somebody put there by hand, that the kubelet saw, and that was taken back
/// may have restarted the container, or not: nothing says which of the two it was started with. But
/// where it serves, and the kubelet has had the time to stop it, then it is not going to.
///
/// None while it may still be stopped. Time counts from when the kubelet is known to have seen the
/// spec: a Pod with a gate is Ready only after that. A kubelet before 1.34 never says so, and then
/// the Pod is not let in either; there it counts from the patch, and the runtime has to report the
/// very image that the spec names.
pub(crate) fn kept_from(pod: &Pod) -> Option<Timestamp> {
    let seen_since = match (pod.status.observed_generation, pod.gate()) {
        (_, Gate::Missing) => return None,
        (None, _) => None,
        (Some(seen), Gate::Open) if seen == pod.generation() => Some(pod.ready_since()?),
        (Some(_), _) => return None,
    };
    // Parsing it takes longer than all the rest, and in a rollout few come here.
    let state = pod.in_place_state()?;
    let since = match seen_since {
        Some(since) => since,
        None => state.update_timestamp.parse().ok()?,
    };
    let serves = |name: &String| {
        let status = pod.container_status(name);
        let is_told = |status| seen_since.is_some() || image_is_reported(pod, name, status);
        status.is_some_and(|status| status.ready && is_told(status))
    };
    if !state.resizes.is_empty() || !state.last.keys().all(serves) {
        return None;
    }
    let grace = pod.spec.termination_grace_period_seconds;
    let grace = SignedDuration::from_secs(grace.unwrap_or(GRACE_SECONDS).max(1));
    since.saturating_add(grace).ok()?.saturating_add(NEWS).ok()
}

/// Whether the kubelet has seen what was patched. One before 1.34 never says so, so there the new
/// containers have to run.
pub(crate) fn is_seen(pod: &Pod, progress: &Progress) -> bool {
    match progress {
        Progress::Done => true,
        Progress::Restarting(_) => pod.status.observed_generation.is_some(),
        Progress::Unseen => false,
    }
}

/// Judges `pod` by its record.
pub(crate) fn progress(pod: &Pod, record: Option<&InPlaceState>) -> Progress {
    // A Pod that was patched before its containers were reported has none on record. The kubelet
    // may be starting the old ones all the same.
    let asks = |state: &&InPlaceState| {
        !state.last.is_empty() || !state.resizes.is_empty() || state.generation.is_some()
    };
    let Some(state) = record.filter(asks) else {
        return Progress::Done;
    };
    // Where the kubelet never says so, the container IDs below have to do.
    if pod.is_unseen() {
        return Progress::Unseen;
    }
    let awaited = state
        .last
        .iter()
        .filter(|(name, last)| is_awaited(pod, name, last, &state.update_timestamp));
    let reasons = awaited.map(|(name, last)| match trouble(pod, Some(name)) {
        // The old container cannot be what crashes: the new one was never started.
        Some(Reason::CrashLoop(trouble))
            if last.container_id.is_some()
                && pod
                    .container_status(name)
                    .map(|s| s.container_id.as_deref())
                    == Some(last.container_id.as_deref()) =>
        {
            Reason::StartBackOff(trouble)
        }
        Some(reason) => reason,
        None => Reason::Patched,
    });
    let reasons = reasons.chain(super::resize::unfinished(pod, state));
    // The most telling reason first: a container that cannot start rather than one that may yet.
    match reasons.max_by_key(Reason::needs_a_person) {
        Some(reason) => Progress::Restarting(reason),
        None => Progress::Done,
    }
}

/// Whether any of `containers` is still restarted or resized.
pub(super) fn awaits(pod: &Pod, containers: &[&str]) -> bool {
    let Some(state) = pod.in_place_state() else {
        return false;
    };
    let asked = &state.update_timestamp;
    let is_restarting = |name: &&str| {
        let last = state.last.get(*name);
        last.is_some_and(|last| is_awaited(pod, name, last, asked))
    };
    let mut containers = containers.iter();
    containers.any(|name| is_restarting(name) || super::resize::awaits(pod, &state, name))
}

/// Whether the container recorded as `last` at the time `asked` has yet to be replaced.
pub(crate) fn is_awaited(pod: &Pod, name: &str, last: &LastContainer, asked: &str) -> bool {
    let Some(status) = pod.container_status(name) else {
        return true;
    };
    if status.state.running.is_none() {
        return true;
    }
    match &last.container_id {
        Some(id) if status.container_id.as_deref() == Some(id) => !was_kept(pod, name, last),
        Some(_) => false,
        // OpenKruise's record has the image ID only, which two tags of one digest share.
        None => {
            *status.image_id == *last.image_id
                && !image_is_reported(pod, name, status)
                && pod.gate() != Gate::Open
                && !started_since(status, asked)
        }
    }
}

/// The spec names the image again that the recorded container was started with.
fn was_kept(pod: &Pod, name: &str, last: &LastContainer) -> bool {
    let spec = pod.container(name).map(|c| &*c.image);
    spec.is_some() && spec == last.image.as_deref()
}

/// It was started after it was asked for. OpenKruise opens the gate and looks at the runtime
/// itself; what we have is the kubelet's clock.
fn started_since(status: &ContainerStatus, asked: &str) -> bool {
    let running = status.state.running.as_ref();
    let started = running.and_then(|running| running.started_at.as_ref());
    let asked: Option<Timestamp> = asked.parse().ok();
    started
        .zip(asked)
        .is_some_and(|(started, asked)| started.0 > asked)
}

/// The runtime says that it runs the image of the spec. It writes names out in full.
fn image_is_reported(pod: &Pod, name: &str, status: &ContainerStatus) -> bool {
    let reported = &*status.image;
    let short = reported.strip_prefix("docker.io/");
    let shortest = short.and_then(|name| name.strip_prefix("library/"));
    let spec = pod.container(name).map(|spec| &*spec.image);
    spec.is_some_and(|spec| [Some(reported), short, shortest].contains(&Some(spec)))
}

/// A container that cannot run, of all or of the one called `only`.
pub(crate) fn trouble(pod: &Pod, only: Option<&str>) -> Option<Reason> {
    let mut statuses = pod
        .container_statuses()
        .filter(|s| only.is_none_or(|n| &*s.name == n));
    statuses.find_map(|status| {
        let waiting = status.state.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        let container = status.name.to_string();
        let message = match waiting.message.as_deref() {
            Some(message) => format!("{reason}: {message}"),
            None => reason.to_owned(),
        };
        let trouble = Trouble { container, message };
        match reason {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "RegistryUnavailable"
            | "ImageInspectError" => Some(Reason::ImagePull(trouble.into())),
            "CrashLoopBackOff"
            | "CreateContainerError"
            | "CreateContainerConfigError"
            | "RunContainerError"
            | "StartError" => Some(Reason::CrashLoop(trouble.into())),
            _ => None,
        }
    })
}
