//! Hooks: who holds a Pod before and after a change, and what its state label should say.
//!
//! A hook *holds* a Pod on which any of its labels or finalizers is, and is *complete* on one that
//! has all of them. Whoever owns the hook takes them away to let a change happen, and puts them
//! back once it has dealt with what came of it.
//!
//! A state means something only while the hook it is about is in the spec. So a set without hooks
//! reads no state at all, and Pods whose hook was removed go on as if there had never been one. A
//! Pod that was to be deleted may not have been let in before: its first hook is asked then.

use apis::lifecycle::{Lifecycle, LifecycleHook, State};
use apis::names;
use jiff::Timestamp;

use crate::Pod;
use crate::effect::{Effect, Op, Target, annotation_path, label_path, test_version, time};
use crate::reason::Reason;

/// Why a Pod waits that a hook holds.
pub(crate) const PRE_NORMAL: Reason = Reason::WaitingHook { hook: "preNormal" };
/// See [`PRE_NORMAL`].
pub(crate) const IN_PLACE_UPDATE: Reason = Reason::WaitingHook {
    hook: "inPlaceUpdate",
};
/// See [`PRE_NORMAL`].
pub(crate) const PRE_DELETE: Reason = Reason::WaitingHook { hook: "preDelete" };

/// The hooks of a set; one that names neither labels nor finalizers is none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hooks<'a> {
    pub(crate) pre_normal: Option<&'a LifecycleHook>,
    pub(crate) in_place_update: Option<&'a LifecycleHook>,
    pub(crate) pre_delete: Option<&'a LifecycleHook>,
}

impl<'a> Hooks<'a> {
    pub(crate) fn of(lifecycle: &'a Lifecycle) -> Self {
        let named = |hook: &'a Option<LifecycleHook>| {
            hook.as_ref()
                .filter(|h| !h.labels_handler.is_empty() || !h.finalizers_handler.is_empty())
        };
        Self {
            pre_normal: named(&lifecycle.pre_normal),
            in_place_update: named(&lifecycle.in_place_update),
            pre_delete: named(&lifecycle.pre_delete),
        }
    }

    fn is_empty(&self) -> bool {
        self.pre_normal.is_none() && self.in_place_update.is_none() && self.pre_delete.is_none()
    }

    /// What a new Pod is created as.
    pub(crate) fn first_state(&self) -> State {
        if self.pre_normal.is_some() {
            State::PreparingNormal
        } else {
            State::Normal
        }
    }

    /// The state of `pod`, as far as it means something.
    pub(crate) fn state(&self, pod: &Pod) -> State {
        if self.is_empty() {
            return State::Normal;
        }
        let state = label(pod).and_then(State::parse).unwrap_or(State::Normal);
        let hook = match state {
            State::Normal => None,
            State::PreparingNormal => self.pre_normal,
            State::PreparingUpdate | State::Updating | State::Updated => self.in_place_update,
            State::PreparingDelete => self.pre_delete,
        };
        match hook {
            Some(_) => state,
            None if state == State::PreparingDelete => self.rest(pod, state),
            None => State::Normal,
        }
    }

    /// What a Pod in `state` becomes when nothing more is wanted of it.
    pub(crate) fn rest(&self, pod: &Pod, state: State) -> State {
        let complete =
            |hook: Option<&LifecycleHook>| hook.is_none_or(|hook| is_complete(hook, pod));
        match state {
            State::Normal => State::Normal,
            // One that was never let in is not let in by having been spared.
            State::PreparingNormal | State::PreparingDelete => {
                if complete(self.pre_normal) {
                    State::Normal
                } else {
                    State::PreparingNormal
                }
            }
            State::PreparingUpdate | State::Updating | State::Updated => {
                if complete(self.in_place_update) {
                    State::Normal
                } else {
                    State::Updated
                }
            }
        }
    }

    /// Whether the label of `pod` has to be written to say `state`. A Pod without one is Normal,
    /// and without hooks nobody reads it.
    pub(crate) fn must_write(&self, pod: &Pod, state: State) -> bool {
        !self.is_empty() && label(pod).unwrap_or(State::Normal.as_str()) != state.as_str()
    }

    /// `patch`, which changes `pod` in place, with the state that goes with it.
    ///
    /// A Pod that was never Normal stays what it is: its first hook is still to come.
    pub(crate) fn patched(
        &self,
        pod: &Pod,
        mut patch: Effect,
        restarts: bool,
        at: Timestamp,
    ) -> Effect {
        let Effect::PatchPod {
            patch: ops, target, ..
        } = &mut patch
        else {
            return patch;
        };
        if self.is_empty() {
            // What another controller left there is put right where it costs nothing.
            if label(pod).is_some_and(|says| says != State::Normal.as_str()) {
                ops.extend([set_label(State::Normal)]);
            }
        } else if restarts && self.in_place_update.is_some() {
            // That nothing holds the Pod cannot be said by anything finer: a label or a finalizer
            // that is not there cannot be tested.
            ops.test_early(test_version(target));
            let state = self.state(pod);
            if !matches!(state, State::PreparingNormal | State::Updating) {
                // The record of the patch is an annotation, so there is a map to add to.
                ops.extend([set_label(State::Updating), set_time(at)]);
            }
        }
        patch
    }
}

/// Any of the hook's labels or finalizers is on the Pod.
pub(crate) fn holds(hook: &LifecycleHook, pod: &Pod) -> bool {
    let mut labels = hook.labels_handler.iter();
    let mut finalizers = hook.finalizers_handler.iter();
    labels.any(|(key, value)| pod.labels().get(key) == Some(value.as_str()))
        || finalizers.any(|name| has_finalizer(pod, name))
}

/// All of the hook's labels and finalizers are on the Pod.
fn is_complete(hook: &LifecycleHook, pod: &Pod) -> bool {
    let mut labels = hook.labels_handler.iter();
    let mut finalizers = hook.finalizers_handler.iter();
    labels.all(|(key, value)| pod.labels().get(key) == Some(value.as_str()))
        && finalizers.all(|name| has_finalizer(pod, name))
}

fn has_finalizer(pod: &Pod, name: &String) -> bool {
    let finalizers = pod.metadata.finalizers.as_ref();
    finalizers.is_some_and(|finalizers| finalizers.contains(name))
}

/// Whether the Pod is taken out of its Services while the hook holds it.
pub(crate) fn marks_not_ready(hook: &LifecycleHook) -> bool {
    hook.mark_pod_not_ready == Some(true)
}

fn label(pod: &Pod) -> Option<&str> {
    pod.labels().get(names::LIFECYCLE_STATE_LABEL)
}

/// JSON-patch operations that write `state` on a Pod that has labels and annotations.
pub(crate) fn ops(target: &Target, state: State, at: Timestamp) -> [Op; 3] {
    [test_version(target), set_label(state), set_time(at)]
}

fn set_label(state: State) -> Op {
    Op::add(label_path(names::LIFECYCLE_STATE_LABEL), state.as_str())
}

fn set_time(at: Timestamp) -> Op {
    Op::add(
        annotation_path(names::LIFECYCLE_TIMESTAMP_ANNOTATION),
        time(at),
    )
}

#[cfg(test)]
mod tests;
