//! Having nodes pull images ahead of updates in place, a few nodes at a time.
//!
//! What is remembered are the warmers: one that has done its work stays until no Pod of its node
//! waits for it any more.

use std::collections::BTreeMap;

use apis::validation::clone_set::Warm;
use jiff::{SignedDuration, Timestamp};

use super::{Context, PodView};
use crate::effect::{Effect, Target};
use crate::in_place::Changes;
use crate::reason::Reason;
use crate::warm::{self, Pull, Wish};
use crate::{Pod, Revision, Snapshot, status};

/// Warmers, and what was asked of them in this pass.
#[derive(Debug, Default)]
pub(super) struct Warming<'a> {
    warmers: BTreeMap<&'a str, &'a Pod>,
    /// The answer that every Pod with the same wish gets.
    answers: BTreeMap<String, Option<Reason>>,
    at_work: u32,
    /// When the first of those at work makes room for another one, at the latest.
    room_at: Option<Timestamp>,
    updated_ready: u32,
}

impl<'a> Warming<'a> {
    pub(super) fn new(s: &'a Snapshot, pods: &[PodView<'_>]) -> Self {
        let ready = pods.iter().filter(|p| p.updated && p.is_ready());
        // Where every Pod is a replica nobody has to ask.
        let others = s.pods.iter().filter(|_| pods.len() < s.pods.len());
        let warmers = others.filter(|pod| warm::is_warmer(s, pod));
        let warmers: BTreeMap<&str, &Pod> = warmers.map(|p| (p.name(), &**p)).collect();
        let timeout = s.set.warm.map_or(0, |warm| warm.timeout_seconds);
        // One that takes too long makes room for others: a single node never stops all.
        let busy_until = |pod: &&Pod| {
            let until = until(pod, timeout).filter(|until| *until > s.now)?;
            (!pod.is_terminating() && warm::is_at_work(pod)).then_some(until)
        };
        let at_work: Vec<Timestamp> = warmers.values().filter_map(busy_until).collect();
        Self {
            at_work: u32::try_from(at_work.len()).unwrap_or(u32::MAX),
            room_at: at_work.into_iter().min(),
            updated_ready: u32::try_from(ready.count()).unwrap_or(u32::MAX),
            warmers,
            answers: BTreeMap::new(),
        }
    }
}

impl Context<'_> {
    /// Why the Pod has to wait for its node, if it does. Only Pods that serve lose anything by a
    /// slow or impossible pull.
    pub(super) fn warm(
        &mut self,
        index: usize,
        target: &Revision,
        changes: &Changes,
    ) -> Option<Reason> {
        let settings = self.s.set.warm?;
        let pod = self.pods[index].pod;
        if !pod.is_ready() || self.warming.updated_ready < settings.min_updated_ready {
            return None;
        }
        let wish = Wish::of(self.s, pod, target, changes)?;
        if let Some(answer) = self.warming.answers.get(&wish.name) {
            return answer.clone();
        }
        let answer = self.answer(&wish, settings);
        self.warming.answers.insert(wish.name, answer.clone());
        answer
    }

    fn answer(&mut self, wish: &Wish<'_>, settings: Warm) -> Option<Reason> {
        let now = self.s.now;
        let timeout = settings.timeout_seconds;
        let waiting = Reason::WarmingImage {
            node: wish.node.into(),
        };
        let there = self.warming.warmers.get(&*wish.name).copied();
        if let Some(warmer) = there {
            return match wish.pull(warmer) {
                Pull::Done => None,
                // Nobody was stopped yet, and nobody will be for an image that is not to be had.
                Pull::Failed(reason) => Some(reason),
                Pull::UnderWay => {
                    let until = until(warmer, timeout).filter(|until| *until > now)?;
                    self.wake(until);
                    Some(waiting)
                }
            };
        }
        if self.warming.at_work >= settings.parallelism {
            if let Some(room_at) = self.warming.room_at {
                self.wake(room_at);
            }
            return Some(waiting);
        }
        self.warming.at_work += 1;
        // Warmers may be refused for ever, by a quota for example. That shows only by nothing's
        // going on.
        let until = self.nothing_goes_on_since(timeout);
        let until = after(until, timeout).filter(|until| *until > now)?;
        self.wake(until);
        if let Some(error) = self.s.held.get(&wish.name) {
            return Some(Reason::BackingOff {
                error: error.as_str().into(),
            });
        }
        let warmer = wish.create(self.s);
        self.push(|| warmer);
        Some(waiting)
    }

    /// The last progress of the set, or the end of the time of the last warmer that was made.
    fn nothing_goes_on_since(&self, timeout: u32) -> Timestamp {
        let warmers = self.warming.warmers.values();
        let made = warmers.filter_map(|warmer| until(warmer, timeout)).max();
        let progress = status::last_progress_of(self.s);
        made.map_or(progress, |made| made.max(progress))
    }

    /// Deletes warmers that no Pod waits for any more. Comes after every Pod was asked.
    pub(super) fn end_warmers(&mut self) {
        // A Pod that is left alone for a moment was not asked.
        let held = self.pods.iter().filter(|p| p.held && p.is_active());
        let held: Vec<Option<&str>> = held.map(|p| p.pod.spec.node_name.as_deref()).collect();
        let is_over = |warmer: &&&Pod| {
            let wanted = self.warming.answers.contains_key(warmer.name());
            let node = warmer.spec.node_name.as_deref();
            let left_alone = self.s.held.contains_key(warmer.uid()) || held.contains(&node);
            !wanted && !left_alone && !warmer.is_terminating()
        };
        let over = self.warming.warmers.values().filter(is_over);
        let targets: Vec<Target> = over.map(|warmer| Target::of(&warmer.metadata)).collect();
        for target in targets {
            self.push(|| Effect::DeleteWarmer { target });
        }
    }
}

fn until(warmer: &Pod, timeout: u32) -> Option<Timestamp> {
    after(warmer.metadata.creation_timestamp.as_ref()?.0, timeout)
}

fn after(at: Timestamp, seconds: u32) -> Option<Timestamp> {
    at.saturating_add(SignedDuration::from_secs(seconds.into()))
        .ok()
}
