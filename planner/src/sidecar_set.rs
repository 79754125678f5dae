//! SidecarSet: the whole decision, in the order in which it is taken.
//!
//! A Pod is in two hands: its workload changes the Pod's own containers, and this the injected
//! ones. So each looks whether the other one is at work: here a Pod in the middle of its workload's
//! update is left alone, and there a Pod whose sidecars restart counts as not available.

use std::collections::{BTreeMap, BTreeSet};

use apis::names;
use apis::sidecar_set::SidecarUpdateType;
use apis::sidecar_set::record::parse_list;
use jiff::Timestamp;
use kube::core::SelectorExt;

use crate::Pod;
use crate::budget::{self, Budget, Loss};
use crate::effect::{Disruption, Effect};
use crate::in_place::Progress;
use crate::order::{priority, scatter, update_key};
use crate::pod::Words;
use crate::reason::Reason;
use crate::revision::Wanted;

mod gate;
mod limits;
mod memo;
mod missed;
mod patch;
mod record;
pub mod revision;
mod snapshot;
mod status;
mod twins;
mod view;
mod way;

pub use gate::release;
use limits::Limits;
pub use memo::Memo;
use record::Record;
pub(crate) use record::is_settled;
pub use revision::Revision;
pub use snapshot::{Plan, Snapshot};
pub use status::invalid;
use view::View;
use way::{Step, Way};

/// Decides what to do about `s`.
pub fn plan(s: &Snapshot) -> Plan {
    let uninjected = missed::uninjected(s);
    let latest = match revision::wanted(s) {
        Wanted::Later => return nothing(s),
        Wanted::Is(latest) => latest,
        Wanted::Write { effect, collisions } => {
            return before_revision(s, effect, collisions, uninjected);
        }
    };
    let mut decision = Decision::new(s, &latest);
    let budget = decision.budget;
    decision.release();
    if !s.is_deleting() {
        decision.hand_over();
        decision.update();
        decision.recreate(&uninjected);
    }
    let Decision {
        pods,
        mut effects,
        wake_at,
        ..
    } = decision;
    let status = status::observe(s, &latest, &pods, uninjected.len());
    if !s.is_deleting() {
        let of_revisions = revision::name(s, &latest).into_iter();
        let forgotten = revision::forget(s, latest.name(), || in_use(s));
        let all = of_revisions.chain(forgotten);
        effects.extend(all.map(|effect| (s.revision_namespace.clone(), effect)));
    }
    effects.truncate(s.effects_max);
    let mut reasons: Vec<_> = pods.into_iter().map(|p| (p.place, p.reason)).collect();
    reasons.sort_by_key(|(place, _)| *place);
    Plan {
        effects,
        status,
        wake_at,
        pods: reasons,
        uninjected,
        budget,
    }
}

/// `s` is older than what others know: nothing is done, and the status stays as it is.
fn nothing(s: &Snapshot) -> Plan {
    Plan {
        effects: Vec::new(),
        status: s.old_status(),
        wake_at: None,
        pods: Vec::new(),
        uninjected: Vec::new(),
        budget: Budget::new(0, 0, 0),
    }
}

/// Nothing is decided about Pods before it is recorded what they are brought to.
fn before_revision(s: &Snapshot, effect: Effect, collisions: i32, uninjected: Vec<usize>) -> Plan {
    let effects = if s.is_deleting() {
        Vec::new()
    } else {
        vec![(s.revision_namespace.clone(), effect)]
    };
    Plan {
        effects,
        status: status::before_revision(s, collisions),
        uninjected,
        ..nothing(s)
    }
}

/// Whether the set counts `pod`, which remembers it: that is in force still, and the Pod is.
fn counts(s: &Snapshot, pod: &Pod) -> bool {
    // One that it took out of its Services is its business even after it forgot the set.
    if pod.facts().is_shut_for_sidecars && !remembers(s, pod) {
        return false;
    }
    if !pod.is_active() || !s.set.selector.matches(&pod.labels().to_map()) {
        return false;
    }
    let Some(namespaces) = &s.set.namespaces else {
        return true;
    };
    let namespace = namespace(pod);
    let mut labels = s.namespaces.get(namespace).cloned().unwrap_or_default();
    labels.insert(names::NAMESPACE_NAME_LABEL.into(), namespace.to_owned());
    namespaces.matches(&labels)
}

fn remembers(s: &Snapshot, pod: &Pod) -> bool {
    let list = pod.annotations().get(names::SIDECAR_LIST_ANNOTATION);
    parse_list(list.unwrap_or_default()).any(|name| name == s.set.name)
}

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// Annotation on the image of a Pod that a kubelet runs from a file.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// Nobody is asked about the Pods of this namespace, or of the manager's own.
const SYSTEM: &str = "kube-system";

/// Names of the revisions that Pods remember.
fn in_use(s: &Snapshot) -> BTreeSet<String> {
    let records = s.pods.iter().map(|pod| Record::read(pod, &s.set.name));
    records
        .flatten()
        .filter_map(|record| record.revision)
        .collect()
}

/// The decision while it is being taken.
struct Decision<'a> {
    s: &'a Snapshot,
    latest: &'a Revision,
    /// Pods that count, in the order in which they are updated.
    pods: Vec<View<'a>>,
    /// So many more may have the present containers.
    room: u32,
    budget: Budget,
    max_unavailable: u32,
    /// What PodDisruptionBudgets leave; found when it is first asked for.
    limits: Option<Limits<'a>>,
    effects: Vec<(String, Effect)>,
    wake_at: Option<Timestamp>,
}

impl<'a> Decision<'a> {
    fn new(s: &'a Snapshot, latest: &'a Revision) -> Self {
        let mut wake_at: Option<Timestamp> = None;
        let counting = s.pods.iter().enumerate().filter(|(_, pod)| counts(s, pod));
        let views = counting.map(|(place, pod)| {
            let (view, look_at) = View::new(s, place, pod);
            wake_at = wake_at.into_iter().chain(look_at).min();
            view
        });
        let mut pods: Vec<View<'a>> = views.collect();
        if pods.iter().any(|p| !p.updated) {
            arrange(s, &mut pods);
            // What was begun is gone on with.
            pods.sort_by_key(|p| !p.is_shut);
        }
        let count = |of: &dyn Fn(&View<'_>) -> bool| number(pods.iter().filter(|p| of(p)).count());
        let matched = number(pods.len());
        let update = &s.set.update;
        let kept = budget::partition(update.partition, matched);
        let updated = count(&|p| p.updated);
        let max = update.max_unavailable;
        let max_unavailable = max.budget_of(matched, apis::int_or_percent::Round::Up);
        Self {
            room: matched.saturating_sub(kept).saturating_sub(updated),
            budget: Budget::new(matched, max_unavailable, count(&|p| p.available)),
            max_unavailable,
            limits: None,
            s,
            latest,
            pods,
            effects: Vec::new(),
            wake_at,
        }
    }

    /// Finishes what was begun with twins, whatever the strategy says: two of them at work are one
    /// too many.
    fn hand_over(&mut self) {
        for p in &mut self.pods {
            let Ok(record) = &p.record else { continue };
            let is_taken = p.busy.is_some() || p.is_shut;
            if !p.handing_over || p.progress == Progress::Unseen || is_taken {
                continue;
            }
            let error = self.s.held.get(p.pod.uid());
            if let Some(error) = error {
                p.reason = Reason::of_refusal(error);
            } else if let Some(step) = twins::hand_over(p.pod, record, &self.s.set) {
                let effect = patch::hand_over((self.s, self.latest), (p.pod, record), &step);
                self.effects.push((namespace(p.pod).to_owned(), effect));
            }
        }
    }

    /// Lets Pods in that the set took out, and has nothing more to do with.
    fn release(&mut self) {
        let s = self.s;
        let counted: BTreeSet<usize> = if s.is_deleting() {
            BTreeSet::new()
        } else {
            self.pods.iter().map(|p| p.place).collect()
        };
        let others = s.pods.iter().enumerate();
        let others = others.filter(|(place, pod)| {
            pod.facts().is_shut_for_sidecars
                && !counted.contains(place)
                && !s.held.contains_key(pod.uid())
        });
        let others = others.map(|(_, pod)| &**pod);
        self.effects
            .extend(gate::release(&s.set.name, others, s.now));
    }

    /// Takes every Pod on that may have its turn. One that has to wait for the budget keeps its
    /// place below the partition. One that cannot be changed now, or not by the word of a
    /// PodDisruptionBudget, leaves it to others, and if it was taken out of its Services before, is
    /// let in again.
    fn update(&mut self) {
        for index in 0..self.pods.len() {
            let Some(p) = self.pods.get(index) else { break };
            let next = match &p.way {
                Way::Arrived => Next::Stay(p.reason.clone()),
                Way::Recreate(reason) => Next::Stay(reason.clone()),
                Way::InPlace(step) => match self.may_begin(p) {
                    Err(reason) => Next::Stay(reason),
                    Ok(_) if self.room == 0 => Next::Stay(Reason::WaitingPartition),
                    Ok(record) => self.step((p, record), step),
                },
            };
            let reason = match next {
                Next::Stay(reason) => {
                    self.let_in(index);
                    reason
                }
                Next::Wait(reason) => {
                    self.room -= 1;
                    reason
                }
                Next::Write(effect, loss, reason) => match self.lose(index, &effect, loss) {
                    Err(waiting) => waiting,
                    Ok(()) => {
                        self.room -= 1;
                        self.push(index, effect);
                        reason
                    }
                },
            };
            if let Some(p) = self.pods.get_mut(index) {
                p.reason = reason;
            }
        }
    }

    /// Takes what `effect` costs from the budgets. That of the set was asked before.
    fn lose(&mut self, index: usize, effect: &Effect, loss: Loss) -> Result<(), Reason> {
        let Some(p) = self.pods.get(index) else {
            return Ok(());
        };
        let stops = match effect {
            Effect::PatchPod { images, .. } => !images.is_empty(),
            _ => true,
        };
        let pod = p.pod;
        if stops {
            self.take(pod)?;
        }
        let _ = self.budget.may_lose(loss);
        Ok(())
    }

    /// Takes `pod` from the PodDisruptionBudgets that are about it.
    fn take(&mut self, pod: &Pod) -> Result<(), Reason> {
        if !limits::is_healthy(pod) {
            return Ok(());
        }
        let limits = self.limits.get_or_insert_with(|| Limits::new(self.s));
        limits.take(pod)
    }

    fn push(&mut self, index: usize, effect: Effect) {
        if let Some(p) = self.pods.get(index) {
            self.effects.push((namespace(p.pod).to_owned(), effect));
        }
    }

    /// Lets the Pod at `index` in, if the set took it out: nothing more is done to it now.
    fn let_in(&mut self, index: usize) {
        let shut = self.pods.get(index).filter(|p| p.is_shut);
        let shut = shut.filter(|p| !self.s.held.contains_key(p.pod.uid()));
        let opened = shut.and_then(|p| gate::open(p.pod, &p.progress, self.s.now));
        if let Some(effect) = opened {
            self.push(index, effect);
        }
    }

    /// The next step of `p`, as far as the budget allows it.
    fn step(&self, (p, record): (&View<'_>, &Record), step: &Step) -> Next {
        if p.is_shut && !p.facts.is_drained {
            return Next::Wait(Reason::Draining);
        }
        // Where only what is remembered changes, nobody notices.
        let loss = if step.images.is_empty() {
            Loss::Nothing
        } else {
            p.loss()
        };
        let mut budget = self.budget;
        if !budget.may_lose(loss) {
            return Next::Wait(self.waits_for_budget());
        }
        let disruption = match loss {
            Loss::Available => Disruption::Counted,
            Loss::Serving | Loss::Nothing => Disruption::None,
        };
        if gate::must_close(self.s, p, step) {
            let effect = gate::close(self.s, p.pod, disruption);
            return Next::Write(effect, loss, Reason::Draining);
        }
        let pod = (p.pod, record);
        let effect = patch::update((self.s, self.latest), pod, step, disruption);
        Next::Write(effect, loss, Reason::WaitingKubelet)
    }

    fn waits_for_budget(&self) -> Reason {
        let matched = number(self.pods.len());
        Reason::WaitingBudget {
            unavailable: matched.saturating_sub(self.budget.available),
            max: self.max_unavailable,
        }
    }

    /// Whether `p` may be chosen at all.
    fn may_begin<'p>(&self, p: &'p View<'_>) -> Result<&'p Record, Reason> {
        let update = &self.s.set.update;
        let is_selected = |p: &View<'_>| {
            let selector = update.selector.as_ref();
            selector.is_none_or(|selector| selector.matches(&p.pod.labels().to_map()))
        };
        if update.type_ == SidecarUpdateType::NotUpdate {
            Err(Reason::NotUpdate)
        } else if !is_selected(p) {
            Err(Reason::WaitingSelector)
        } else if update.paused {
            Err(Reason::Paused)
        } else if let Some(busy) = &p.busy {
            Err(busy.clone())
        } else if let Some(error) = self.s.held.get(p.pod.uid()) {
            Err(Reason::of_refusal(error))
        } else if p.progress == Progress::Unseen {
            // It is about the last change of the Pod, maybe ours.
            Err(Reason::WaitingKubelet)
        } else {
            p.record.as_ref().map_err(Clone::clone)
        }
    }
}

/// What becomes of one Pod.
enum Next {
    /// Nothing more, now.
    Stay(Reason),
    /// It goes on later, and until then is left as it is.
    Wait(Reason),
    /// This, at this cost; and what it waits for then.
    Write(Effect, Loss, Reason),
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Sorts `pods` by who is updated first: what the spec says, and below that what serves least, the
/// youngest first.
fn arrange(s: &Snapshot, pods: &mut Vec<View<'_>>) {
    let update = &s.set.update;
    pods.sort_by_cached_key(|p| (update_key(p.facts), p.place));
    if !priority::is_none(&update.priority) {
        pods.sort_by_cached_key(|p| priority::place(&update.priority, p.pod.labels()));
    }
    if update.scatter.is_empty() {
        return;
    }
    let all: Vec<&Words> = pods.iter().map(|p| p.pod.labels()).collect();
    let outdated: Vec<usize> = (0..pods.len())
        .filter(|i| pods.get(*i).is_some_and(|p| !p.updated))
        .collect();
    let labels: Vec<&Words> = outdated
        .iter()
        .filter_map(|i| pods.get(*i))
        .map(|p| p.pod.labels())
        .collect();
    let sequence = scatter::sequence(&update.scatter, &labels, &all);
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    for (position, member) in sequence.into_iter().enumerate() {
        if let Some(index) = outdated.get(member) {
            places.insert(*index, position);
        }
    }
    let mut placed: Vec<_> = std::mem::take(pods)
        .into_iter()
        .enumerate()
        .map(|(index, p)| (places.get(&index).copied(), p))
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    pods.extend(placed.into_iter().map(|(_, p)| p));
}
