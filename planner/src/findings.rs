//! What was found out about single Pods of one set, for as long as it is true of them.
//!
//! Matching a selector, comparing a Pod with a template, even asking a Pod whether it is ready are
//! looks at places all over memory. Between two passes few Pods change, so most of what was found
//! in the pass before still holds: a finding is about one object (not an equal one), one selector
//! and one pair of revisions.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::{Selector, SelectorExt};
use serde_json::Value;

use crate::in_place::{self, Changes, Way};
use crate::pod::Facts;
use crate::reason::Reason;
use crate::template::canonical;
use crate::{Pod, Revision, Snapshot};

/// Pairs of revisions, and ways to change Pods, that are remembered: more are not in use at once.
const KINDS_MAX: usize = 64;

/// Findings about the Pods of one set. An empty one knows nothing, and finds out everything anew.
#[derive(Debug, Default)]
pub struct Findings {
    selector: Option<Selector>,
    /// The template, and its canonical form.
    template: (Value, Value),
    revisions: Vec<Arc<Revision>>,
    pub(crate) pods: Pods,
    pub(crate) ways: Ways,
}

/// The Pods of the last snapshot, in its order.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    all: Vec<Finding>,
    /// Their order is that of their names.
    pub(crate) by_name: bool,
}

/// What is known of one Pod.
#[derive(Debug)]
pub(crate) struct Finding {
    pod: Arc<Pod>,
    /// Kept here, where those of all Pods are side by side.
    pub(crate) facts: Facts,
    /// It matches the selector.
    pub(crate) matches: bool,
    /// Its own revision, by its place in the snapshot.
    pub(crate) own: Option<usize>,
}

/// How Pods get to revisions.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    /// Of each Pod, the last one that was asked for.
    of: Vec<Option<Known>>,
    /// What stands in the way from one revision to another.
    obstacles: Vec<(Arc<Revision>, Arc<Revision>, Option<Reason>)>,
    /// Most Pods change in the same way: each way is kept once.
    changes: Vec<Arc<Changes>>,
}

/// How a Pod gets from one revision to another.
#[derive(Debug)]
struct Known {
    from: Arc<Revision>,
    to: Arc<Revision>,
    way: Way,
}

impl Findings {
    /// The template of `s` in canonical form.
    pub(crate) fn canonical(&mut self, s: &Snapshot) -> &Value {
        let (template, form) = &mut self.template;
        if *template != s.set.template {
            *form = canonical(&s.set.template);
            template.clone_from(&s.set.template);
        }
        form
    }

    /// Forgets what does not hold for `s` any more, and looks at what is new.
    pub(crate) fn look(&mut self, s: &Snapshot) {
        if self.selector.as_ref() != Some(&s.set.selector) {
            self.pods.all.clear();
            self.selector = Some(s.set.selector.clone());
        }
        // Of two revisions of one hash the later one counts.
        let by_hash: BTreeMap<&str, usize> = s
            .revisions
            .iter()
            .enumerate()
            .map(|(place, revision)| (revision.hash(), place))
            .collect();
        let own = |pod: &Pod| by_hash.get(pod.revision_hash()?).copied();
        if !same(&self.revisions, &s.revisions) {
            self.revisions.clone_from(&s.revisions);
            for finding in &mut self.pods.all {
                finding.own = own(&finding.pod);
            }
        }
        let find = |pod: &Arc<Pod>| Finding {
            pod: Arc::clone(pod),
            facts: *pod.facts(),
            matches: s.set.selector.matches(pod.labels()),
            own: own(pod),
        };
        if self.pods.all.len() == s.pods.len() {
            self.replace(s, find);
        } else {
            self.merge(s, find);
        }
    }

    /// The Pods are the same ones, most of them unchanged.
    fn replace(&mut self, s: &Snapshot, find: impl Fn(&Arc<Pod>) -> Finding) {
        let mut names_change = false;
        for (place, (known, pod)) in self.pods.all.iter_mut().zip(&s.pods).enumerate() {
            if !Arc::ptr_eq(&known.pod, pod) {
                names_change |= known.pod.name() != pod.name();
                *known = find(pod);
                if let Some(way) = self.ways.of.get_mut(place) {
                    *way = None;
                }
            }
        }
        if names_change {
            self.pods.by_name = s.pods.is_sorted_by_key(|pod| pod.name());
        }
    }

    /// Pods came or went.
    fn merge(&mut self, s: &Snapshot, find: impl Fn(&Arc<Pod>) -> Finding) {
        // Both are in order of names. Where they are not, more is found out than needs to be.
        let known = std::mem::take(&mut self.pods.all).into_iter();
        let mut known = known.zip(std::mem::take(&mut self.ways.of)).peekable();
        self.pods.all.reserve_exact(s.pods.len());
        self.ways.of.reserve_exact(s.pods.len());
        for pod in &s.pods {
            let is_it = |(f, _): &(Finding, _)| Arc::ptr_eq(&f.pod, pod);
            while known
                .next_if(|f| !is_it(f) && f.0.pod.name() <= pod.name())
                .is_some()
            {}
            let (finding, way) = known.next_if(is_it).unwrap_or_else(|| (find(pod), None));
            self.pods.all.push(finding);
            self.ways.of.push(way);
        }
        self.pods.by_name = s.pods.is_sorted_by_key(|pod| pod.name());
    }
}

impl Pods {
    /// The Pods of `s`, which is what was looked at last, with their places.
    pub(crate) fn of<'a>(
        &'a self,
        s: &'a Snapshot,
    ) -> impl Iterator<Item = (usize, &'a Arc<Pod>, &'a Finding)> {
        let pairs = s.pods.iter().zip(&self.all).enumerate();
        pairs.map(|(place, (pod, finding))| (place, pod, finding))
    }
}

impl Ways {
    /// How `pod`, at `place` in the snapshot, gets from `own` to `target`.
    pub(crate) fn way(
        &mut self,
        (place, pod): (usize, &Pod),
        own: &Arc<Revision>,
        target: &Arc<Revision>,
    ) -> Way {
        if let Some(Some(known)) = self.of.get(place)
            && Arc::ptr_eq(&known.from, own)
            && Arc::ptr_eq(&known.to, target)
        {
            return known.way.clone();
        }
        let pair = self.pair(own, target);
        let obstacle = self.obstacles.get(pair).and_then(|known| known.2.as_ref());
        let mut way = in_place::way(pod, own, target, obstacle);
        if let Way::InPlace(changes) = &mut way {
            self.share(changes);
        }
        if let Some(known) = self.of.get_mut(place) {
            *known = Some(Known {
                from: Arc::clone(own),
                to: Arc::clone(target),
                way: way.clone(),
            });
        }
        way
    }

    /// The place of a pair of revisions among the obstacles.
    fn pair(&mut self, own: &Arc<Revision>, target: &Arc<Revision>) -> usize {
        let is_it = |(a, b, _): &(Arc<_>, Arc<_>, _)| Arc::ptr_eq(a, own) && Arc::ptr_eq(b, target);
        if let Some(place) = self.obstacles.iter().position(is_it) {
            return place;
        }
        if self.obstacles.len() >= KINDS_MAX {
            self.obstacles.clear();
        }
        let obstacle = in_place::obstacle(own, target);
        self.obstacles
            .push((Arc::clone(own), Arc::clone(target), obstacle));
        self.obstacles.len() - 1
    }

    /// Replaces `changes` by the same ones of another Pod.
    fn share(&mut self, changes: &mut Arc<Changes>) {
        if let Some(known) = self.changes.iter().find(|known| *known == changes) {
            *changes = Arc::clone(known);
            return;
        }
        if self.changes.len() >= KINDS_MAX {
            self.changes.clear();
        }
        self.changes.push(Arc::clone(changes));
    }
}

/// Whether both hold the very same objects.
pub(crate) fn same<T>(before: &[Arc<T>], now: &[Arc<T>]) -> bool {
    let mut pairs = before.iter().zip(now);
    before.len() == now.len() && pairs.all(|(a, b)| Arc::ptr_eq(a, b))
}
