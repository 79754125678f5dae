//! Pods that have to do without the containers, although the set was there when they were made: which
//! ones there are, and which of them a new Pod shall take the place of, where the set asks for that.
//!
//! Nobody tells whether the door is open now. What can be known is who came through it last: so
//! nothing is done unless the youngest of all Pods that the set is for was injected. And a Pod is not
//! deleted for the second time in vain: a new one is expected to be injected only after one of the
//! same owner, made later, was. The first of an owner is tried once, with an older one beside it that
//! bears witness of how that ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use apis::names;
use jiff::Timestamp;

use super::{Decision, MIRROR_ANNOTATION, SYSTEM, Snapshot, namespace};
use crate::Pod;
use crate::effect::{Disruption, Effect, Target};

/// Whether the webhook is asked about Pods like `pod`: its registration says so.
fn is_asked_about(s: &Snapshot, pod: &Pod) -> bool {
    ![SYSTEM, &s.revision_namespace].contains(&namespace(pod))
        && !pod.annotations().contains_key(MIRROR_ANNOTATION)
        && !pod.labels().contains_key(names::WARMER_LABEL)
}

/// Places of Pods that have to do without the containers although the set was there when they were
/// made.
pub(super) fn uninjected(s: &Snapshot) -> Vec<usize> {
    let pods = s.without.iter().enumerate();
    pods.filter(|(_, pod)| pod.is_active() && is_missed(s, pod))
        .map(|(place, _)| place)
        .collect()
}

fn is_missed(s: &Snapshot, pod: &Pod) -> bool {
    let since = s.set.object().metadata.creation_timestamp.as_ref();
    let since = since.zip(made(pod));
    since.is_some_and(|(since, made)| made > since.0) && is_asked_about(s, pod)
}

fn made(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|at| at.0)
}

/// UID of whoever makes another Pod in the place of this one.
fn owner(pod: &Pod) -> Option<&str> {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    Some(&owner.uid)
}

/// Pods of one owner.
#[derive(Default)]
struct Siblings<'a> {
    /// When the youngest was made that was injected.
    injected: Option<Timestamp>,
    /// Those that were not, the oldest first.
    missed: Vec<(Timestamp, &'a Arc<Pod>)>,
    /// One of the latter is on its way out: how its successor fares is not known.
    is_tried: bool,
}

/// What is known of Pods that came through the door, and of those that did not.
struct Door<'a> {
    /// When Pods that were injected were made.
    injected: Vec<Timestamp>,
    siblings: BTreeMap<&'a str, Siblings<'a>>,
}

impl<'a> Door<'a> {
    fn new(s: &'a Snapshot, uninjected: &[usize]) -> Self {
        let mut door = Self {
            injected: Vec::new(),
            siblings: BTreeMap::new(),
        };
        for pod in &s.pods {
            let Some(made) = made(pod) else { continue };
            door.injected.push(made);
            if let Some(owner) = owner(pod) {
                let youngest = &mut door.siblings.entry(owner).or_default().injected;
                *youngest = Some(made).max(*youngest);
            }
        }
        for pod in s.without.iter().filter(|pod| pod.is_terminating()) {
            if let Some(owner) = owner(pod) {
                door.siblings.entry(owner).or_default().is_tried = true;
            }
        }
        for pod in uninjected.iter().filter_map(|place| s.without.get(*place)) {
            if let (Some(owner), Some(made)) = (owner(pod), made(pod)) {
                let siblings = door.siblings.entry(owner).or_default();
                siblings.missed.push((made, pod));
            }
        }
        for siblings in door.siblings.values_mut() {
            siblings
                .missed
                .sort_by_key(|(made, pod)| (*made, pod.name()));
        }
        door
    }

    /// Whether the youngest of all was injected.
    fn was_open_last(&self, s: &Snapshot, uninjected: &[usize]) -> bool {
        let missed = uninjected.iter().filter_map(|place| s.without.get(*place));
        let youngest = missed.filter_map(|pod| made(pod)).max();
        self.injected.iter().max() > youngest.as_ref()
    }

    /// The Pods that another one is made of, of which a better one is to be expected.
    fn chosen(&self) -> Vec<&'a Arc<Pod>> {
        let mut chosen = Vec::new();
        for siblings in self.siblings.values() {
            let before = |made: &Timestamp| siblings.injected.is_some_and(|last| *made < last);
            let sure = siblings.missed.iter().filter(|(made, _)| before(made));
            let sure: Vec<&Arc<Pod>> = sure.map(|(_, pod)| *pod).collect();
            if sure.is_empty() {
                chosen.extend(self.trial(siblings));
            } else {
                chosen.extend(sure);
            }
        }
        chosen
    }

    /// The one to try it with. Whoever was injected between the oldest and the youngest bears witness
    /// that the door was open for others, and not for these: that was tried before.
    fn trial(&self, siblings: &Siblings<'a>) -> Option<&'a Arc<Pod>> {
        let [(oldest, _), .., (youngest, pod)] = &siblings.missed[..] else {
            return None;
        };
        let mut others = self.injected.iter();
        let was_tried = others.any(|made| (*oldest..=*youngest).contains(made));
        (!was_tried && !siblings.is_tried).then_some(*pod)
    }
}

impl Decision<'_> {
    /// Deletes Pods that have to do without the containers, where the set asks for that, as far as the
    /// budgets allow it: whoever owns them makes others.
    pub(super) fn recreate(&mut self, uninjected: &[usize]) {
        let s = self.s;
        if !s.set.recreates_uninjected || s.set.injection_paused || uninjected.is_empty() {
            return;
        }
        let door = Door::new(s, uninjected);
        if !door.was_open_last(s, uninjected) {
            return;
        }
        let matched = super::number(self.pods.len());
        let unready = |pod: &&Arc<Pod>| {
            let serves = pod.is_ready() && !pod.is_terminating();
            !serves && !pod.is_finished() && is_missed(s, pod)
        };
        let mut away = matched.saturating_sub(self.budget.available);
        away = away.saturating_add(super::number(s.without.iter().filter(unready).count()));
        for pod in door.chosen() {
            let is_last = away >= self.max_unavailable;
            if s.held.contains_key(pod.uid()) || (pod.is_ready() && is_last) {
                continue;
            }
            if self.take(pod).is_err() {
                continue;
            }
            away = away.saturating_add(u32::from(pod.is_ready()));
            let effect = Effect::DeletePod {
                target: Target::of(&pod.metadata),
                why: "it was made without the containers of the set".into(),
                disruption: Disruption::None,
            };
            self.effects.push((namespace(pod).to_owned(), effect));
        }
    }
}
