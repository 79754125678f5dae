//! Bringing Pods to their targets: drain, patch, undrain; or delete.

use std::rc::Rc;
use std::sync::Arc;

use apis::update_strategy::PodUpdatePolicy;
use jiff::SignedDuration;

use super::view::{Fate, PodView};
use super::{Chosen, Context};
use crate::effect::{Disruption, Effect, Judged, Target};
use crate::in_place::{self, Batch, Changes, Progress, Way};
use crate::pod::Gate;
use crate::reason::Reason;
use crate::{Pod, Revision};

impl<'a> Context<'a> {
    /// Opens gates: of new Pods, and of Pods whose patch the kubelet has seen. From then on the
    /// containers' own readiness decides. Waiting for the new container to run instead would cost
    /// another relist of the kubelet (about a second per Pod). With them goes what the Pods are
    /// between their hooks.
    ///
    /// Comes last, because a Pod that is deleted needs no gate; its effects go out first, because
    /// they bring Pods back.
    pub(super) fn finish_updates(&mut self) {
        let mut opened: Vec<Chosen<'_>> = Vec::new();
        let is_left_alone =
            |p: &PodView<'_>| !matches!(p.fate, Fate::Disrupted | Fate::InFlight | Fate::Deleted);
        let staying = |p: &&PodView<'_>| p.is_active() && !p.held && is_left_alone(p);
        for p in self.pods.iter().filter(staying) {
            let more = matches!(&p.target, Some((_, Way::InPlace(c))) if c.touches_spec());
            if more {
                continue;
            }
            let at = self.s.now;
            let opens = self.opens(p);
            let state = self.next_state(p, opens);
            if !opens && state.is_none() {
                continue;
            }
            let (pod, kruise) = (p.pod, p.facts.waits_for_kruise);
            opened.push(match state {
                _ if opens => Box::new(move || Effect::OpenGate {
                    target: Target::of(&pod.metadata),
                    at,
                    judged: Judged::of(pod, in_place::test_owner(pod)),
                    kruise,
                    state,
                }),
                Some(state) => Box::new(move || Effect::Transition {
                    target: Target::of(&pod.metadata),
                    state,
                    drain: false,
                    at,
                    disruption: Disruption::None,
                }),
                None => continue,
            });
        }
        self.effects.splice(0..0, opened);
    }

    /// Whether the gate of `p` opens now. A Pod that was patched before it ever served is let in no
    /// sooner than others.
    fn opens(&self, p: &PodView<'_>) -> bool {
        // Whoever closed it opens it: containers that are not ours may be about to restart.
        if p.facts.is_shut_for_sidecars {
            return false;
        }
        let shut = match p.facts.gate {
            Gate::Unset | Gate::Closed { .. } => may_undrain(p.pod, &p.progress),
            // OpenKruise closed a gate of its own for a hook, and is not there to open it.
            Gate::Open => p.facts.waits_for_kruise,
            Gate::Missing => false,
        };
        shut && !self.is_kept_out(p)
    }

    /// Takes the next step of every Pod that is not at its target. Pods are in update order;
    /// a Pod that the budget forbids is skipped, not stopped at, because a broken one further on
    /// may be replaced at no cost.
    pub(super) fn update(&mut self) {
        let mut batches = Batches::default();
        for index in 0..self.pods.len() {
            let p = &self.pods[index];
            let reason = match &p.target {
                None | Some((_, Way::Arrived)) => continue,
                Some((target, Way::InPlace(changes))) => {
                    let (target, changes) = (*target, Arc::clone(changes));
                    let batch = batches.of(target, &changes);
                    self.step(index, target, &changes, &batch)
                }
                Some((_, Way::Recreate(reason))) => self.recreate(index, reason.clone()),
            };
            // The budget may be what it waits for only because hooks hold Pods, itself among them: what
            // has to be released is the hook.
            let hook = matches!(reason, Reason::WaitingBudget { .. })
                .then(|| self.kept_by(&self.pods[index]))
                .flatten();
            self.pods[index].reason = hook.unwrap_or(reason);
        }
    }

    fn step(
        &mut self,
        index: usize,
        target: &'a Revision,
        changes: &Changes,
        batch: &Rc<Batch>,
    ) -> Reason {
        let PodView { pod, facts, .. } = self.pods[index];
        let now = self.s.now;
        if facts.is_shut_for_sidecars {
            return Reason::WaitingSidecars;
        }
        let progress = &self.pods[index].progress;
        if facts.has_more
            && let Some(waiting) = in_place::waits_for(pod, target, &batch.now, progress)
        {
            return waiting;
        }
        let stops = changes.stops();
        if !changes.images.is_empty()
            && let Some(waiting) = self.warm(index, target, changes)
        {
            return waiting;
        }
        if stops && let Some(waiting) = self.prepare_update(index) {
            return waiting;
        }
        let disruption = match facts.gate {
            // Labels and annotations disturb nobody.
            _ if !changes.touches_spec() => Disruption::None,
            Gate::Closed { .. } if !stops => Disruption::None,
            Gate::Closed { .. } if !facts.is_drained => return Reason::Draining,
            Gate::Closed { since } => {
                let grace = SignedDuration::from_secs(self.s.set.grace_seconds.into());
                let until = since.and_then(|since| since.saturating_add(grace).ok());
                if let Some(until) = until.filter(|until| *until > now) {
                    self.wake(until);
                    return Reason::WaitingGrace;
                }
                Disruption::None
            }
            Gate::Open if stops && (facts.is_ready || in_place::may_serve(pod, changes)) => {
                return match self.disrupt(index) {
                    Err(waiting) => waiting,
                    Ok(disruption) => {
                        let target = &pod.metadata;
                        self.push_once(index, move || Effect::Drain {
                            target: Target::of(target),
                            at: now,
                            sidecar_set: None,
                            disruption,
                        });
                        Reason::Draining
                    }
                };
            }
            // The second half of a resize that was counted when it was announced.
            _ if !batch.now.needs_patch() => Disruption::None,
            Gate::Open | Gate::Unset if stops => Disruption::None,
            // A resize that restarts nothing needs no drain. It counts all the same, until it is
            // done: too little memory, say, should not meet every Pod at once.
            Gate::Open | Gate::Unset | Gate::Missing => match self.disrupt(index) {
                Err(waiting) => return waiting,
                Ok(disruption) => disruption,
            },
        };
        let hooks = self.hooks;
        if batch.now.needs_patch() {
            let batch = Rc::clone(batch);
            self.push_once(index, move || {
                let patch = in_place::patch_pod(pod, target, &batch, now, disruption);
                hooks.patched(pod, patch, stops, now)
            });
            Reason::WaitingKubelet
        } else {
            let batch = Rc::clone(batch);
            self.push_once(index, move || {
                in_place::resize_pod(pod, &batch.now, disruption)
            });
            Reason::Resizing
        }
    }

    fn recreate(&mut self, index: usize, reason: Reason) -> Reason {
        if self.s.set.policy == PodUpdatePolicy::InPlaceOnly {
            return reason;
        }
        let why = format!("it is replaced because {reason}");
        self.remove(index, &why)
    }
}

/// The last batch: most Pods in turn change in the same way.
#[derive(Default)]
struct Batches<'a> {
    last: Option<(&'a Arc<Revision>, Arc<Changes>, Rc<Batch>)>,
}

impl<'a> Batches<'a> {
    fn of(&mut self, target: &'a Arc<Revision>, changes: &Arc<Changes>) -> Rc<Batch> {
        if let Some((revision, same, batch)) = &self.last
            && Arc::ptr_eq(revision, target)
            && Arc::ptr_eq(same, changes)
        {
            return Rc::clone(batch);
        }
        let batch = Rc::new(in_place::batch(changes, target));
        self.last = Some((target, Arc::clone(changes), Rc::clone(&batch)));
        batch
    }
}

/// Whether the kubelet has seen what was patched. One before 1.34 never says, so there the new
/// containers have to run. A restart by a resize comes when the node has room for it.
fn may_undrain(pod: &Pod, progress: &Progress) -> bool {
    in_place::is_seen(pod, progress)
        && (*progress == Progress::Done || !in_place::awaits_restart(pod))
}
