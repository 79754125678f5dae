//! CloneSet: the whole decision, in the order in which it is taken.

use std::collections::BTreeSet;
use std::sync::Arc;

use apis::names;
use apis::update_strategy::UpdateStrategyType;
use jiff::Timestamp;

use crate::budget::{self, Budget, Loss};
use crate::effect::{Disruption, Effect, Target};
use crate::findings::Ways;
use crate::lifecycle::Hooks;
use crate::ownership::{self, Owned};
use crate::plan::Plan;
use crate::reason::Reason;
use crate::revision::{self, Wanted};
use crate::status::{self, Counts};
use crate::{Findings, Revision, Snapshot};

mod claims;
mod create;
mod hooks;
mod lost_claims;
mod rollback;
mod scale;
mod sequence;
mod size;
mod targets;
mod update;
mod view;
mod warming;

pub(crate) use claims::Claims;
pub(crate) use size::Size;
pub(crate) use view::{Fate, PodView, Standing};

/// What is being worked towards, resolved to revisions and numbers.
#[derive(Debug)]
pub(crate) struct Goal {
    /// Revision of the template in the spec.
    pub(crate) update: Arc<Revision>,
    /// Revision that the partition keeps Pods at.
    pub(crate) current: Arc<Revision>,
    /// Name of that revision where its record is gone and Pods are still at it, or nothing stands in
    /// for it. `current` is what stands in then: the revision that other Pods were made from, or the
    /// update revision.
    pub(crate) lost: Option<String>,
    /// Desired Pods.
    pub(crate) replicas: u32,
    /// Of these, kept at the current revision.
    pub(crate) partition: u32,
    /// Pods that may be unavailable.
    pub(crate) max_unavailable: u32,
    /// The update revision was given up: nothing goes to it, and all comes back from it.
    pub(crate) given_up: bool,
    /// Pods there may be above `replicas` while Pods are replaced; 0 while none are.
    pub(crate) max_surge: u32,
    /// Pods that may be unavailable while Pods are added.
    pub(crate) scale_max_unavailable: Option<u32>,
}

impl Goal {
    /// How many Pods the partition keeps from the update revision. Where the current revision is
    /// the update revision there is nothing to keep: whoever takes a canary back by applying the
    /// old template again wants the canary Pods back too, whatever the partition says.
    pub(crate) fn kept(&self) -> u32 {
        if self.given_up {
            self.replicas
        } else if self.current_name() == self.update.name() {
            0
        } else {
            self.partition
        }
    }

    /// Name of the revision that the partition keeps Pods at, whether it is known or not.
    pub(crate) fn current_name(&self) -> &str {
        self.lost.as_deref().unwrap_or(self.current.name())
    }

    /// The same where no record tells what it was and nothing stands in for it: Pods stay at it, and
    /// none can be brought to it or made from it.
    pub(crate) fn irretrievable(&self) -> Option<&str> {
        let nothing_else = || self.current.name() == self.update.name();
        self.lost.as_deref().filter(|_| nothing_else())
    }

    /// Why a Pod that stays at another than the update revision does so.
    fn rest(&self) -> Reason {
        if self.given_up {
            Reason::RolledBack
        } else {
            Reason::WaitingPartition
        }
    }
}

/// Decides what to do about `s`.
pub fn plan(s: &Snapshot) -> Plan {
    plan_knowing(s, &mut Findings::default())
}

/// The same, by what was found out before and still holds.
pub fn plan_knowing(s: &Snapshot, findings: &mut Findings) -> Plan {
    findings.look(s);
    let wanted = revision::wanted(s, findings.canonical(s));
    let Findings { pods, ways, .. } = findings;
    let (effects, owned) = ownership::claim(s, pods);
    let adoptions = ownership::claim_revisions(s);
    if !adoptions.is_empty() {
        return before_revision(s, adoptions, 0, &owned);
    }
    let update = match wanted {
        Wanted::Is(update) => update,
        Wanted::Write { effect, collisions } => {
            return before_revision(s, vec![effect], collisions, &owned);
        }
        Wanted::Later => return Plan::nothing(s),
    };
    let goal = goal(s, update);
    if s.is_deleting() {
        return deleting(s, &goal, (&owned, ways));
    }
    let adopted = ownership::adoptions(&effects);
    let mut ctx = Context::new(s, &goal, (&owned, ways), adopted);
    let budget = ctx.budget;

    ctx.remove_finished();
    ctx.scale();
    ctx.take_back_claims();
    ctx.tend_claims();
    ctx.update();
    ctx.replace_lost_claims();
    ctx.finish_updates();
    ctx.end_warmers();

    let Context {
        pods,
        effects: chosen,
        wake_at,
        ..
    } = ctx;
    let forgotten = revision::forget(s, goal.current.name(), goal.update.name());
    let mut effects = due(s, effects, chosen, forgotten);
    let mut status = status::observe(s, &goal, &pods);
    let mut wake_at = sooner(wake_at, status::look_at(s, &status));
    match rollback::judge(s, &goal, &pods, &status) {
        rollback::Verdict::Wait(at) => wake_at = sooner(wake_at, at),
        rollback::Verdict::GiveUp(why) => {
            effects.clear();
            status = status::give_up(s, &goal, status, &why);
        }
    }
    Plan {
        effects,
        status,
        wake_at,
        pods: reasons(s, pods),
        budget,
    }
}

/// The effects that go out, built in the order in which they matter; what is more than may go out
/// is not built.
fn due(
    s: &Snapshot,
    claimed: Vec<Effect>,
    chosen: Vec<Chosen<'_>>,
    forgotten: impl IntoIterator<Item = Effect>,
) -> Vec<Effect> {
    let is_asked = |uid: Option<&str>| uid.is_some_and(|uid| s.in_flight.contains(uid));
    let chosen = chosen.into_iter().map(|effect| effect());
    let all = claimed.into_iter().chain(chosen).chain(forgotten);
    all.filter(|e| !(e.is_step() && is_asked(e.uid())))
        .take(s.effects_max)
        .collect()
}

fn sooner(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

/// Every Pod with its reason.
fn reasons(s: &Snapshot, pods: Vec<PodView<'_>>) -> Vec<(usize, Reason)> {
    // Where nobody goes, nobody was put in another place.
    if pods.is_sorted_by_key(|p| p.place) {
        return pods.into_iter().map(|p| (p.place, p.reason)).collect();
    }
    let mut by_place: Vec<Option<Reason>> = Vec::new();
    by_place.resize_with(s.pods.len(), || None);
    for p in pods {
        if let Some(there) = by_place.get_mut(p.place) {
            *there = Some(p.reason);
        }
    }
    let by_place = by_place.into_iter().enumerate();
    by_place
        .filter_map(|(place, reason)| Some((place, reason?)))
        .collect()
}

fn goal(s: &Snapshot, update: Arc<Revision>) -> Goal {
    let replicas = s.set.replicas;
    let recorded = s
        .set
        .object()
        .status
        .as_ref()
        .and_then(|st| st.current_revision.as_deref());
    let known = recorded.and_then(|name| s.revisions.iter().find(|r| r.name() == name));
    let current = known.or_else(|| newest_in_use(s, &update));
    let partition = match s.set.strategy {
        UpdateStrategyType::RollingUpdate => budget::partition(s.set.partition, replicas),
        UpdateStrategyType::OnDelete => 0,
    };
    let lost = match known {
        Some(_) => None,
        None => lost(s, recorded, &update, current.is_some()).map(str::to_owned),
    };
    let current = current.map_or_else(|| Arc::clone(&update), Arc::clone);
    let current_name = lost.as_deref().unwrap_or(current.name());
    Goal {
        given_up: rollback::is_given_up(s, update.name(), current_name),
        lost,
        current,
        update,
        replicas,
        partition,
        max_unavailable: budget::max_unavailable(&s.set),
        max_surge: budget::max_surge(&s.set),
        scale_max_unavailable: budget::scale_max_unavailable(&s.set),
    }
}

/// What stands in for a current revision that was never recorded, or whose record is lost: the
/// newest one that a Pod was made from, so that a partition keeps what runs.
fn newest_in_use<'a>(s: &'a Snapshot, update: &Revision) -> Option<&'a Arc<Revision>> {
    let in_use: BTreeSet<&str> = s.pods.iter().filter_map(|p| p.revision_hash()).collect();
    let used = |r: &&Arc<Revision>| r.name() != update.name() && in_use.contains(r.hash());
    s.revisions.iter().filter(used).max_by_key(|r| r.number)
}

/// Name of the current revision, which has no record; `recorded` is what the status says. A status
/// that was never written, or is not known of yet, says nothing: the Pods tell what they are at.
fn lost<'a>(
    s: &'a Snapshot,
    recorded: Option<&'a str>,
    update: &Revision,
    is_replaced: bool,
) -> Option<&'a str> {
    let Some(name) = recorded else {
        let own = |name: &&str| {
            name.strip_prefix(s.name())
                .is_some_and(|h| h.starts_with('-'))
        };
        let mut names = s
            .pods
            .iter()
            .filter_map(|p| p.labels().get(names::REVISION_LABEL));
        return names
            .find(|name| own(name) && *name != update.name())
            .filter(|_| !is_replaced);
    };
    // As long as a Pod is at it, the revision that stands in is another one: applied again, its
    // template is an update like any other, and not what the partition keeps.
    let hash = name.rsplit('-').next();
    let is_in_use = || s.pods.iter().any(|p| p.revision_hash() == hash);
    (name != update.name() && (!is_replaced || is_in_use())).then_some(name)
}

/// Nothing is decided about Pods before their template is recorded: whoever takes over after a
/// crash could not tell what they were made from.
fn before_revision(
    s: &Snapshot,
    effects: Vec<Effect>,
    collisions: i32,
    owned: &[Owned<'_>],
) -> Plan {
    let counts = Counts::of_all(owned.iter().map(|owned| &**owned.pod));
    let effects = if s.is_deleting() { Vec::new() } else { effects };
    let status = status::before_revision(s, &counts, collisions);
    Plan {
        effects,
        wake_at: status::look_at(s, &status),
        status,
        pods: Vec::new(),
        budget: Budget::new(0, 0, 0),
    }
}

/// The garbage collector deletes the Pods through their owner references; we only report. Warmers
/// are not for anybody to keep, also where the Pods are to stay behind.
fn deleting(s: &Snapshot, goal: &Goal, known: (&[Owned<'_>], &mut Ways)) -> Plan {
    let mut ctx = Context::new(s, goal, known, 0);
    ctx.end_warmers();
    Plan {
        effects: std::mem::take(&mut ctx.effects)
            .into_iter()
            .map(|effect| effect())
            .collect(),
        status: status::observe(s, goal, &ctx.pods),
        wake_at: None,
        pods: reasons(s, ctx.pods),
        budget: ctx.budget,
    }
}

/// An effect that was chosen, and is built if it goes out: what it takes most of the time to say
/// (a patch with all its `test`s) is not said of more Pods than are written to.
pub(crate) type Chosen<'a> = Box<dyn FnOnce() -> Effect + 'a>;

/// The decision while it is being taken.
pub(crate) struct Context<'a> {
    pub(crate) s: &'a Snapshot,
    pub(crate) goal: &'a Goal,
    /// How many Pods there should be.
    pub(crate) size: Size,
    /// Claims by the instances they belong to.
    pub(crate) claims: Claims<'a>,
    /// Every owned Pod, with its target, way and reason.
    pub(crate) pods: Vec<PodView<'a>>,
    pub(crate) budget: Budget,
    pub(crate) hooks: Hooks<'a>,
    pub(crate) effects: Vec<Chosen<'a>>,
    pub(crate) wake_at: Option<Timestamp>,
    warming: warming::Warming<'a>,
}

impl<'a> Context<'a> {
    /// `adopted` Pods are about to become the set's own: none is created in their place.
    fn new(
        s: &'a Snapshot,
        goal: &'a Goal,
        (owned, ways): (&[Owned<'a>], &mut Ways),
        adopted: u32,
    ) -> Self {
        let eye = view::Eye::new(s, goal);
        let mut wake_at = None;
        let views = owned.iter().map(|owned| {
            let (view, look_at) = eye.view(*owned);
            if look_at.is_some() {
                wake_at = sooner(wake_at, look_at);
            }
            view
        });
        let mut pods: Vec<PodView<'a>> = views.collect();
        // Who goes first matters only where somebody goes: a hand edit is found with the targets.
        let quiet = targets::is_quiet(goal, &pods);
        if !quiet {
            sequence::arrange(s, &mut pods);
        }
        let surge = Size::surge(goal, &pods);
        hooks::choose_leaving(goal, surge, &mut pods);
        let claims = Claims::new(s);
        let size = Size::of(goal, &pods, adopted.saturating_add(claims.awaited(s)));
        targets::assign((s, ways), goal, &size, &mut pods);
        if quiet && pods.iter().any(PodView::is_to_change) {
            sequence::arrange(s, &mut pods);
        }
        let at_least = |standing| {
            let stays = |p: &&PodView<'_>| p.standing >= standing && p.fate != Fate::InFlight;
            let count = pods.iter().filter(stays).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let available = at_least(Standing::Available);
        let budget = Budget::new(goal.replicas, goal.max_unavailable, available)
            .with_serving(at_least(Standing::Ready));
        Self {
            warming: warming::Warming::new(s, &pods),
            s,
            goal,
            size,
            claims,
            pods,
            budget,
            hooks: Hooks::of(&s.set.lifecycle),
            effects: Vec::new(),
            wake_at,
        }
    }

    /// Pods that ran to their end are replaced, and removed so that they do not pile up.
    fn remove_finished(&mut self) {
        for index in 0..self.pods.len() {
            let p = &self.pods[index];
            let pod = p.pod;
            if !p.facts.is_finished || p.facts.is_terminating || p.held {
                continue;
            }
            if let Some(waiting) = self.ask_to_delete(index) {
                self.pods[index].reason = waiting;
            } else if !self.takes_claims(pod) {
                self.choose(|| Effect::DeletePod {
                    target: Target::of(&pod.metadata),
                    why: "it ran to its end".into(),
                    disruption: Disruption::None,
                });
            }
        }
    }

    /// Chooses an effect.
    pub(crate) fn choose(&mut self, effect: impl FnOnce() -> Effect + 'a) {
        self.effects.push(Box::new(effect));
    }

    /// Chooses an effect, unless there are more already than will be carried out: the next pass
    /// decides about the rest.
    pub(crate) fn push(&mut self, effect: impl FnOnce() -> Effect + 'a) {
        if self.effects.len() < self.s.effects_max {
            self.choose(effect);
        }
    }

    /// [`push`](Self::push) for the Pod at `index`, unless a write to it is under way: what it was
    /// is what is decided again, and would be asked for twice.
    pub(crate) fn push_once(&mut self, index: usize, effect: impl FnOnce() -> Effect + 'a) {
        if self.pods[index].fate != Fate::InFlight {
            self.push(effect);
        }
    }

    /// Looks again at `at`, or sooner.
    pub(crate) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Asks the budget for one Pod: free when it serves nobody anyway.
    pub(crate) fn disrupt(&mut self, index: usize) -> Result<Disruption, Reason> {
        let loss = self.pods[index].loss();
        if self.budget.may_lose(loss) {
            self.pods[index].fate = self.pods[index].fate.max(Fate::Disrupted);
            return Ok(match loss {
                Loss::Available => Disruption::Counted,
                Loss::Serving | Loss::Nothing => Disruption::None,
            });
        }
        Err(Reason::WaitingBudget {
            unavailable: self.goal.replicas.saturating_sub(self.budget.available),
            max: self.goal.max_unavailable,
        })
    }
}

#[cfg(test)]
mod tests;
