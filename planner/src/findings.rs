//! What was found out about single Pods of one set, for as long as it is true of them.
//!
//! Matching a selector, comparing a Pod with a template, even asking a Pod whether it is ready are
//! looks at places all over memory. Between two passes few Pods change, so most of what was found
//! in the pass before still holds: a finding is about one object (not an equal one), one selector
//! and one pair of revisions.

use std::collections::BTreeMap;
use std::sync::Arc;

use apis::names::INSTANCE_ID_LABEL;
use kube::core::{Selector, SelectorExt};
use serde_json::Value;

use crate::clone_set::PodView;
use crate::in_place::{self, Alike, Changes, Way};
use crate::pod::{Facts, Kin};
use crate::reason::Reason;
use crate::template::canonical;
use crate::{Pod, Revision, Snapshot};

/// Pairs of revisions, and ways to change Pods, that are remembered: more are not in use at once.
const KINDS_MAX: usize = 64;
/// Answers that are remembered; their numbers have to stay small.
const ANSWERS_MAX: usize = 256;

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
}

/// What is known of one Pod.
#[derive(Debug)]
pub(crate) struct Finding {
    pod: Arc<Pod>,
    /// Kept here, where those of all Pods are side by side.
    pub(crate) facts: Facts,
    /// See [`Pod::kin`].
    pub(crate) kin: Option<Arc<Kin>>,
    /// It matches the selector.
    pub(crate) matches: bool,
    /// Its own revision, by its place in the snapshot.
    pub(crate) own: Option<usize>,
}

/// How Pods get to revisions.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    /// Of each Pod, which of the answers was the last one.
    of: Vec<Option<u16>>,
    answers: Vec<Answer>,
    /// From one revision to another.
    pairs: Vec<Pair>,
    /// Of Pods that are kin.
    of_kin: Vec<OfKin>,
    /// Most Pods change in the same way: each way is kept once.
    changes: Vec<Arc<Changes>>,
}

/// What stands in the way from one revision to another.
#[derive(Debug)]
struct Pair {
    from: Arc<Revision>,
    to: Arc<Revision>,
    obstacle: Option<Reason>,
}

/// How kin get from one revision to another, if that is the same for all of them.
#[derive(Debug)]
struct OfKin {
    kin: Arc<Kin>,
    from: Arc<Revision>,
    to: Arc<Revision>,
    alike: Option<Alike>,
}

/// How Pods get from one revision to another.
#[derive(Debug)]
struct Answer {
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
        // No two kin have the same instance, so what asks for it is not known of one by another.
        let asks_kin = !s.set.selector.to_string().contains(INSTANCE_ID_LABEL);
        let mut kinds = Vec::new();
        let find = |pod: &Arc<Pod>| {
            let look = || (s.set.selector.matches(&pod.labels().to_map()), own(pod));
            let kin = pod.kin().filter(|_| asks_kin);
            let (matches, own) = kin.map_or_else(look, |kin| known_of(&mut kinds, kin, look));
            Finding {
                pod: Arc::clone(pod),
                facts: *pod.facts(),
                kin: pod.kin().cloned(),
                matches,
                own,
            }
        };
        if self.pods.all.len() == s.pods.len() {
            self.replace(s, find);
        } else {
            self.merge(s, find);
        }
    }

    /// The Pods are the same ones, most of them unchanged.
    fn replace(&mut self, s: &Snapshot, mut find: impl FnMut(&Arc<Pod>) -> Finding) {
        for (place, (known, pod)) in self.pods.all.iter_mut().zip(&s.pods).enumerate() {
            if !Arc::ptr_eq(&known.pod, pod) {
                *known = find(pod);
                if let Some(way) = self.ways.of.get_mut(place) {
                    *way = None;
                }
            }
        }
    }

    /// Pods came or went.
    fn merge(&mut self, s: &Snapshot, mut find: impl FnMut(&Arc<Pod>) -> Finding) {
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
    }
}

/// What was found out about `kin`, or is found out by `look`.
fn known_of<T: Copy>(
    kinds: &mut Vec<(Arc<Kin>, T)>,
    kin: &Arc<Kin>,
    look: impl FnOnce() -> T,
) -> T {
    // One who is like this one was mostly among the last.
    let mut known = kinds.iter().rev();
    if let Some((_, known)) = known.find(|(other, _)| Arc::ptr_eq(other, kin)) {
        return *known;
    }
    let found = look();
    if kinds.len() >= KINDS_MAX {
        kinds.clear();
    }
    kinds.push((Arc::clone(kin), found));
    found
}

impl Answer {
    fn is_about(&self, own: &Arc<Revision>, target: &Arc<Revision>) -> bool {
        Arc::ptr_eq(&self.from, own) && Arc::ptr_eq(&self.to, target)
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
    /// How `p` gets from `own` to `target`.
    pub(crate) fn way(
        &mut self,
        p: &PodView<'_>,
        own: &Arc<Revision>,
        target: &Arc<Revision>,
    ) -> Way {
        let known = self.of.get(p.place).copied().flatten();
        let known = known.and_then(|known| self.answers.get(usize::from(known)));
        if let Some(known) = known.filter(|known| known.is_about(own, target)) {
            return known.way.clone();
        }
        let way = self.of_kin(p, own, target).unwrap_or_else(|| {
            let mut way = in_place::way(p.pod, own, target, self.obstacle(own, target));
            self.share(&mut way);
            way
        });
        let answer = self.answer(&way, own, target);
        if let Some(known) = self.of.get_mut(p.place) {
            *known = Some(answer);
        }
        way
    }

    /// The number of the answer `way`.
    fn answer(&mut self, way: &Way, own: &Arc<Revision>, target: &Arc<Revision>) -> u16 {
        // Mostly it was among the last.
        let is_it = |known: &Answer| known.is_about(own, target) && known.way == *way;
        let place = self.answers.iter().rposition(is_it).unwrap_or_else(|| {
            if self.answers.len() >= ANSWERS_MAX {
                self.answers.clear();
                self.of.fill(None);
            }
            self.answers.push(Answer {
                from: Arc::clone(own),
                to: Arc::clone(target),
                way: way.clone(),
            });
            self.answers.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    /// The way of `p` if it is the one of its kin.
    fn of_kin(
        &mut self,
        p: &PodView<'_>,
        own: &Arc<Revision>,
        target: &Arc<Revision>,
    ) -> Option<Way> {
        let kin = p.kin.filter(|_| !p.facts.asks)?;
        let pod = p.pod;
        let is_it = |known: &OfKin| {
            Arc::ptr_eq(&known.kin, kin)
                && Arc::ptr_eq(&known.from, own)
                && Arc::ptr_eq(&known.to, target)
        };
        if let Some(known) = self.of_kin.iter().rev().find(|known| is_it(known)) {
            return known.alike.as_ref()?.way(pod);
        }
        let mut alike = in_place::alike(pod, own, target, self.obstacle(own, target));
        if let Some(alike) = &mut alike {
            self.share(&mut alike.way);
        }
        let way = alike.as_ref().and_then(|alike| alike.way(pod));
        if self.of_kin.len() >= KINDS_MAX {
            self.of_kin.clear();
        }
        self.of_kin.push(OfKin {
            kin: Arc::clone(kin),
            from: Arc::clone(own),
            to: Arc::clone(target),
            alike,
        });
        way
    }

    /// What stands in the way of every Pod from `own` to `target`.
    fn obstacle(&mut self, own: &Arc<Revision>, target: &Arc<Revision>) -> Option<&Reason> {
        let is_it = |pair: &Pair| Arc::ptr_eq(&pair.from, own) && Arc::ptr_eq(&pair.to, target);
        let place = self.pairs.iter().position(is_it).unwrap_or_else(|| {
            if self.pairs.len() >= KINDS_MAX {
                self.pairs.clear();
            }
            self.pairs.push(Pair {
                from: Arc::clone(own),
                to: Arc::clone(target),
                obstacle: in_place::obstacle(own, target),
            });
            self.pairs.len() - 1
        });
        self.pairs.get(place)?.obstacle.as_ref()
    }

    /// Replaces the changes of `way` by the same ones of another Pod.
    fn share(&mut self, way: &mut Way) {
        let Way::InPlace(changes) = way else {
            return;
        };
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
