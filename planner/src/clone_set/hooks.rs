//! Where hooks come in: before an update, before a deletion, and when a Pod is done.

use apis::lifecycle::{LifecycleHook, State};

use super::view::{Fate, PodView};
use super::{Context, Goal};
use crate::effect::{Effect, Target};
use crate::in_place::{Progress, Way};
use crate::lifecycle::{IN_PLACE_UPDATE, PRE_DELETE, PRE_NORMAL, holds, marks_not_ready};
use crate::order::delete_key;
use crate::order::spread::Rank;
use crate::pod::Gate;
use crate::reason::Reason;

/// Decides which Pods are on their way out before anything else is chosen: those that were named,
/// and those that a hook prepares for it as long as there are more Pods than wanted. The others of
/// the latter are taken back, rather than new ones made. `surge` Pods are wanted beside the
/// replicas.
pub(super) fn choose_leaving(goal: &Goal, surge: u32, pods: &mut [PodView<'_>]) {
    for p in pods.iter_mut() {
        p.leaving = p.specified;
    }
    let is_prepared = |p: &PodView<'_>| p.is_active() && p.state == State::PreparingDelete;
    let mut prepared: Vec<usize> = (0..pods.len())
        .filter(|i| is_prepared(&pods[*i]) && !pods[*i].specified)
        .collect();
    if prepared.is_empty() {
        return;
    }
    prepared.sort_by_cached_key(|i| delete_key(pods[*i].pod, pods[*i].loss(), Rank::default()));
    let counted = pods.iter().filter(|p| p.is_counted()).count();
    let wanted = goal.replicas as usize;
    let named = |p: &&PodView<'_>| p.is_counted() && p.specified;
    let named = pods.iter().filter(named).count();
    let is_excluded = |p: &PodView<'_>| p.excluded;
    if prepared.iter().all(|i| is_excluded(&pods[*i])) {
        take_back(goal, pods, &prepared, wanted.saturating_sub(counted));
    } else {
        let wanted = wanted.saturating_add(surge as usize);
        let surplus = counted.saturating_sub(wanted).saturating_sub(named);
        for &index in prepared.iter().take(surplus) {
            pods[index].leaving = true;
        }
    }
}

/// Of the Pods that do not count any more, those that would have to be made again count again.
fn take_back(goal: &Goal, pods: &mut [PodView<'_>], prepared: &[usize], missing: usize) {
    let old = pods.iter().filter(|p| p.is_counted() && !p.updated).count();
    let mut old_missing = (goal.kept() as usize).saturating_sub(old).min(missing);
    let mut new_missing = missing - old_missing;
    for &index in prepared.iter().rev() {
        let p = &mut pods[index];
        // One of the other revision would only be replaced again.
        let place = if p.updated {
            &mut new_missing
        } else {
            &mut old_missing
        };
        if *place > 0 {
            *place -= 1;
            p.excluded = false;
        } else {
            p.leaving = true;
        }
    }
}

impl Context<'_> {
    /// Why the Pod, whose containers are to restart, has to wait: its hook is asked first.
    ///
    /// One whose update has begun is not asked about again: whoever let it go knows.
    pub(super) fn prepare_update(&mut self, index: usize) -> Option<Reason> {
        let hook = self.hooks.in_place_update?;
        let p = &self.pods[index];
        if p.state == State::Updating || !holds(hook, p.pod) {
            return None;
        }
        let waiting = self.prepare(index, hook, State::PreparingUpdate);
        Some(waiting.unwrap_or(IN_PLACE_UPDATE))
    }

    /// Deletes a Pod, once its hook lets it go. Returns its reason.
    pub(super) fn remove(&mut self, index: usize, why: &str) -> Reason {
        let pod = self.pods[index].pod;
        let was_prepared = self.pods[index].state == State::PreparingDelete;
        let reason = match self.ask_to_delete(index) {
            Some(waiting) => waiting,
            None => match self.disrupt(index) {
                Err(waiting) => waiting,
                Ok(disruption) => {
                    if let Some(waiting) = self.settle_claims(index) {
                        waiting
                    } else {
                        let why = why.to_owned();
                        self.choose(move || Effect::DeletePod {
                            target: Target::of(&pod.metadata),
                            why,
                            disruption,
                        });
                        self.pods[index].fate = Fate::Deleted;
                        return Reason::Terminating;
                    }
                }
            },
        };
        if was_prepared {
            self.pods[index].fate = Fate::Leaving;
        }
        reason
    }

    /// Why the Pod, which is to be deleted, has to wait: the hook that holds it is asked first.
    pub(super) fn ask_to_delete(&mut self, index: usize) -> Option<Reason> {
        let pod = self.pods[index].pod;
        let hook = self.hooks.pre_delete.filter(|hook| holds(hook, pod))?;
        let waiting = self.prepare(index, hook, State::PreparingDelete);
        Some(waiting.unwrap_or(PRE_DELETE))
    }

    /// Has the hook that holds a Pod prepare it, within the budget: from now on the Pod does not
    /// count as available. Returns what it waits for, if it is not the hook.
    fn prepare(&mut self, index: usize, hook: &LifecycleHook, state: State) -> Option<Reason> {
        let p = &self.pods[index];
        let pod = p.pod;
        let drain = marks_not_ready(hook) && pod.gate() == Gate::Open;
        if p.state == state && !drain {
            return None;
        }
        match self.disrupt(index) {
            Err(waiting) => Some(waiting),
            Ok(disruption) => {
                let at = self.s.now;
                self.push(move || Effect::Transition {
                    target: Target::of(&pod.metadata),
                    state,
                    drain,
                    at,
                    disruption,
                });
                None
            }
        }
    }

    /// The hook that keeps `p` from counting as available, although it serves.
    pub(super) fn kept_by(&self, p: &PodView<'_>) -> Option<Reason> {
        let held = |hook: Option<&LifecycleHook>| hook.is_some_and(|hook| holds(hook, p.pod));
        let rests = || self.hooks.rest(p.pod, p.state) == p.state;
        match p.state {
            _ if !p.is_ready() => None,
            State::PreparingNormal => rests().then_some(PRE_NORMAL),
            State::Updated => rests().then_some(IN_PLACE_UPDATE),
            State::PreparingUpdate => held(self.hooks.in_place_update).then_some(IN_PLACE_UPDATE),
            State::PreparingDelete => held(self.hooks.pre_delete).then_some(PRE_DELETE),
            State::Normal | State::Updating => None,
        }
    }

    /// Whether `p` stays out of its Services until it is deleted.
    pub(super) fn is_kept_out(&self, p: &PodView<'_>) -> bool {
        p.fate == Fate::Leaving && self.hooks.pre_delete.is_some_and(marks_not_ready)
    }

    /// What `p`, of which nothing more is wanted, has to be called from now on, if that changes.
    /// `opening` says that its gate is about to open: one write is enough for both.
    pub(super) fn next_state(&self, p: &PodView<'_>, opening: bool) -> Option<State> {
        if p.fate != Fate::Stays || matches!(p.target, Some((_, Way::InPlace(_)))) {
            return None;
        }
        let is_closed = p.facts.is_shut();
        let is_done = p.progress == Progress::Done && (opening || !is_closed);
        if p.state == State::Updating && !is_done {
            return None;
        }
        // A key can be added only to a map that is there.
        if opening && is_closed && !p.pod.annotations().is_there() {
            return None;
        }
        let next = self.hooks.rest(p.pod, p.state);
        self.hooks.must_write(p.pod, next).then_some(next)
    }
}
