//! SidecarSet: the whole decision, in the order in which it is taken.
//!
//! A Pod is in two hands: its workload changes the Pod's own containers, and this the injected
//! ones. So each looks whether the other one is at work: here a Pod in the middle of its workload's
//! update is left alone, and there a Pod whose sidecars restart counts as not available.

use std::collections::{BTreeMap, BTreeSet};

use apis::names;
use apis::sidecar_set::SidecarUpdateType;
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

mod patch;
mod record;
pub mod revision;
mod snapshot;
mod status;
mod twins;
mod view;
mod way;

use record::Record;
pub(crate) use record::is_settled;
pub use revision::Revision;
pub use snapshot::{Plan, Snapshot};
pub use status::invalid;
use view::View;
use way::{Step, Way};

/// Decides what to do about `s`.
pub fn plan(s: &Snapshot) -> Plan {
    let uninjected = uninjected(s);
    let latest = match revision::wanted(s) {
        Wanted::Later => return nothing(s),
        Wanted::Is(latest) => latest,
        Wanted::Write { effect, collisions } => {
            return before_revision(s, effect, collisions, uninjected);
        }
    };
    let mut decision = Decision::new(s, &latest);
    let budget = decision.budget;
    if !s.is_deleting() {
        decision.hand_over();
        decision.update();
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
        let forgotten = revision::forget(s, latest.name(), &in_use(s));
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

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// Annotation on the image of a Pod that a kubelet runs from a file.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// Nobody is asked about the Pods of this namespace, or of the manager's own.
const SYSTEM: &str = "kube-system";

/// Whether the webhook is asked about Pods like `pod`: its registration says so.
fn is_asked_about(s: &Snapshot, pod: &Pod) -> bool {
    ![SYSTEM, &s.revision_namespace].contains(&namespace(pod))
        && !pod.annotations().contains_key(MIRROR_ANNOTATION)
        && !pod.labels().contains_key(names::WARMER_LABEL)
}

/// Pods that have to do without the containers although the set was there when they were made.
fn uninjected(s: &Snapshot) -> Vec<usize> {
    let since = s.set.object().metadata.creation_timestamp.as_ref();
    let is_missed = |pod: &Pod| {
        let made = pod.metadata.creation_timestamp.as_ref();
        let is_younger = since
            .zip(made)
            .is_some_and(|(since, made)| made.0 > since.0);
        pod.is_active() && is_younger && is_asked_about(s, pod)
    };
    let pods = s.without.iter().enumerate();
    pods.filter(|(_, pod)| is_missed(pod))
        .map(|(place, _)| place)
        .collect()
}

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
            if !p.handing_over || p.progress == Progress::Unseen || p.busy {
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

    /// Takes every Pod on that may have its turn. One that has to wait for the budget keeps its
    /// place below the partition; one that cannot be changed now leaves it to others.
    fn update(&mut self) {
        for index in 0..self.pods.len() {
            let Some(p) = self.pods.get(index) else { break };
            let begun = match &p.way {
                Way::Arrived => continue,
                Way::Recreate(reason) => Err(reason.clone()),
                Way::InPlace(step) => match self.may_begin(p) {
                    Err(reason) => Err(reason),
                    Ok(_) if self.room == 0 => Err(Reason::WaitingPartition),
                    Ok(record) => {
                        self.room -= 1;
                        self.begin((p, record), step)
                    }
                },
            };
            let reason = match begun {
                Err(reason) => reason,
                Ok((effect, loss)) => {
                    // It was asked before.
                    let _ = self.budget.may_lose(loss);
                    self.effects.push((namespace(p.pod).to_owned(), effect));
                    Reason::WaitingKubelet
                }
            };
            if let Some(p) = self.pods.get_mut(index) {
                p.reason = reason;
            }
        }
    }

    /// The patch of `p`, and what is lost by it, if the budget allows that.
    fn begin(
        &self,
        (p, record): (&View<'_>, &Record),
        step: &Step,
    ) -> Result<(Effect, Loss), Reason> {
        // Where only what is remembered changes, nobody notices.
        let loss = if step.images.is_empty() {
            Loss::Nothing
        } else {
            p.loss()
        };
        let mut budget = self.budget;
        if !budget.may_lose(loss) {
            return Err(self.waits_for_budget());
        }
        let disruption = match loss {
            Loss::Available => Disruption::Counted,
            Loss::Serving | Loss::Nothing => Disruption::None,
        };
        let pod = (p.pod, record);
        let effect = patch::update((self.s, self.latest), pod, step, disruption);
        Ok((effect, loss))
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
        } else if p.busy {
            Err(Reason::WaitingWorkload)
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
