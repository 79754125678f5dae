//! CloneSet: the whole decision, in the order in which it is taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use apis::update_strategy::UpdateStrategyType;
use jiff::Timestamp;

use crate::budget::{self, Budget};
use crate::effect::{Disruption, Effect, Target};
use crate::ownership;
use crate::plan::Plan;
use crate::reason::Reason;
use crate::revision::{self, Wanted};
use crate::status::{self, Counts};
use crate::{Pod, Revision, Snapshot};

mod create;
mod scale;
mod targets;
mod update;
mod view;

pub(crate) use view::PodView;

/// What is being worked towards, resolved to revisions and numbers.
#[derive(Debug)]
pub(crate) struct Goal {
    /// Revision of the template in the spec.
    pub(crate) update: Arc<Revision>,
    /// Revision that the partition keeps Pods at.
    pub(crate) current: Arc<Revision>,
    /// Desired Pods.
    pub(crate) replicas: u32,
    /// Of these, kept at the current revision.
    pub(crate) partition: u32,
    /// Pods that may be unavailable.
    pub(crate) max_unavailable: u32,
}

/// Decides what to do about `s`.
pub fn plan(s: &Snapshot) -> Plan {
    let (claims, owned) = ownership::claim(s);
    let (update, collisions, mut effects) = match revision::wanted(s) {
        Wanted::Is(update) => (update, None, claims),
        Wanted::Write { effect, collisions } => {
            return before_revision(s, effect, collisions, &owned);
        }
    };
    let goal = goal(s, update);
    if s.set.object().metadata.deletion_timestamp.is_some() {
        return deleting(s, &goal, &owned);
    }
    let mut ctx = Context::new(s, &goal, &owned);
    let budget = ctx.budget;

    ctx.remove_finished();
    ctx.finish_updates();
    ctx.scale();
    ctx.update();

    let Context {
        pods,
        effects: chosen,
        wake_at,
        ..
    } = ctx;
    effects.extend(chosen);
    effects.extend(revision::forget(s, goal.current.name(), goal.update.name()));
    effects.truncate(s.effects_max);
    let status = status::observe(s, &goal, &pods, collisions);
    let pods = pods
        .into_iter()
        .map(|p| (p.pod.name().to_owned(), p.reason))
        .collect();
    Plan {
        effects,
        status,
        wake_at,
        pods,
        budget,
    }
}

fn goal(s: &Snapshot, update: Arc<Revision>) -> Goal {
    let replicas = s.set.replicas;
    let recorded = s
        .set
        .object()
        .status
        .as_ref()
        .and_then(|st| st.current_revision.as_deref());
    let current = recorded.and_then(|name| s.revisions.iter().find(|r| r.name() == name));
    let partition = match s.set.strategy {
        UpdateStrategyType::RollingUpdate => budget::partition(s.set.partition, replicas),
        UpdateStrategyType::OnDelete => 0,
    };
    Goal {
        current: current.map_or_else(|| Arc::clone(&update), Arc::clone),
        update,
        replicas,
        partition,
        max_unavailable: budget::max_unavailable(s.set.max_unavailable, replicas),
    }
}

/// Nothing is decided about Pods before their template is recorded: whoever takes over after a
/// crash could not tell what they were made from.
fn before_revision(s: &Snapshot, effect: Effect, collisions: i32, owned: &[&Arc<Pod>]) -> Plan {
    let counts = Counts::of_all(owned.iter().map(|p| p.as_ref()), s);
    Plan {
        effects: vec![effect],
        status: status::before_revision(s, &counts, collisions),
        wake_at: None,
        pods: Vec::new(),
        budget: Budget::new(0, 0, 0),
    }
}

/// The garbage collector deletes the Pods through their owner references; we only report.
fn deleting(s: &Snapshot, goal: &Goal, owned: &[&Arc<Pod>]) -> Plan {
    let ctx = Context::new(s, goal, owned);
    let status = status::observe(s, goal, &ctx.pods, None);
    let pods = ctx
        .pods
        .into_iter()
        .map(|p| (p.pod.name().to_owned(), p.reason))
        .collect();
    Plan {
        effects: Vec::new(),
        status,
        wake_at: None,
        pods,
        budget: ctx.budget,
    }
}

/// The decision while it is being taken.
pub(crate) struct Context<'a> {
    pub(crate) s: &'a Snapshot,
    pub(crate) goal: &'a Goal,
    /// Every owned Pod, with its target, way and reason.
    pub(crate) pods: Vec<PodView<'a>>,
    pub(crate) budget: Budget,
    pub(crate) effects: Vec<Effect>,
    pub(crate) wake_at: Option<Timestamp>,
}

impl<'a> Context<'a> {
    fn new(s: &'a Snapshot, goal: &'a Goal, owned: &[&'a Arc<Pod>]) -> Self {
        let by_hash: BTreeMap<&str, &Arc<Revision>> =
            s.revisions.iter().map(|r| (r.hash(), r)).collect();
        let mut pods: Vec<PodView<'a>> = owned
            .iter()
            .map(|pod| PodView::new(s, goal, pod, &by_hash))
            .collect();
        pods.sort_by_cached_key(|p| crate::order::update_key(p.pod));
        targets::assign(s, goal, &mut pods);
        let wake_at = pods.iter().filter_map(|p| p.available_at).min();
        let available = pods.iter().filter(|p| p.available).count();
        let available = u32::try_from(available).unwrap_or(u32::MAX);
        let budget = Budget::new(goal.replicas, goal.max_unavailable, available);
        Self {
            s,
            goal,
            pods,
            budget,
            effects: Vec::new(),
            wake_at,
        }
    }

    /// Pods that ran to their end are replaced, and removed so that they do not pile up.
    fn remove_finished(&mut self) {
        for p in &self.pods {
            if p.pod.is_finished() && !p.pod.is_terminating() && !p.held {
                self.effects.push(Effect::DeletePod {
                    target: Target::of(&p.pod.metadata),
                    why: "it ran to its end".into(),
                    disruption: Disruption::None,
                });
            }
        }
    }

    /// Looks again at `at`, or sooner.
    pub(crate) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Asks the budget for one Pod: free when it is not available anyway.
    pub(crate) fn disrupt(&mut self, index: usize) -> Result<Disruption, Reason> {
        if !self.pods[index].available || self.pods[index].disrupted {
            return Ok(Disruption::None);
        }
        if self.budget.may_disrupt() {
            self.pods[index].disrupted = true;
            return Ok(Disruption::Counted);
        }
        Err(Reason::WaitingBudget {
            unavailable: self.goal.replicas.saturating_sub(self.budget.available),
            max: self.goal.max_unavailable,
        })
    }
}

#[cfg(test)]
mod tests;
