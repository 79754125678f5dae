//! Which SidecarSets match a Pod, without a look at those that cannot.
//!
//! Sets are filed by one label that they ask of namespaces, and below that by one that they ask of
//! Pods. So a Pod costs as much as it and its namespace have labels, whatever sets there are for
//! other namespaces or labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apis::names::{NAMESPACE_NAME_LABEL, SIDECAR_LIST_ANNOTATION};
use apis::sidecar_set::record::parse_list;
use kube::core::{Expression, Selector, SelectorExt};

use crate::prepared::Prepared;

/// Every SidecarSet there is.
#[derive(Clone, Debug, Default)]
pub struct SetIndex {
    /// What is filed, and under which namespaces and label.
    filed: BTreeMap<String, (Arc<Prepared>, Place)>,
    everywhere: Shelf,
    /// By key and value of a label of the namespace.
    namespaces: BTreeMap<String, BTreeMap<String, Shelf>>,
}

/// Where a set is filed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// A label that namespaces must have, and the values that it may have; None is everywhere.
    namespaces: Option<(String, BTreeSet<String>)>,
    label: Option<(String, String)>,
}

/// Names of sets, by one label that they ask for.
#[derive(Clone, Debug, Default)]
struct Shelf {
    by_label: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Those that ask for no certain value of any label.
    others: BTreeSet<String>,
}

impl SetIndex {
    /// A set that is new or changed.
    pub fn apply(&mut self, set: impl Into<Arc<Prepared>>) {
        let set = set.into();
        let name = set.name().to_owned();
        let place = Place::of(&set);
        if let Some((filed, before)) = self.filed.get_mut(&name)
            && *before == place
        {
            *filed = set;
            return;
        }
        self.remove(&name);
        match &place.namespaces {
            None => self.everywhere.insert(&name, place.label.as_ref()),
            Some((key, values)) => {
                let shelves = self.namespaces.entry(key.clone()).or_default();
                for value in values {
                    let shelf = shelves.entry(value.clone()).or_default();
                    shelf.insert(&name, place.label.as_ref());
                }
            }
        }
        self.filed.insert(name, (set, place));
    }

    /// A set that is gone.
    pub fn remove(&mut self, name: &str) {
        let Some((_, place)) = self.filed.remove(name) else {
            return;
        };
        match &place.namespaces {
            None => self.everywhere.remove(name, place.label.as_ref()),
            Some((key, values)) => {
                let Some(shelves) = self.namespaces.get_mut(key) else {
                    return;
                };
                for value in values {
                    if let Some(shelf) = shelves.get_mut(value) {
                        shelf.remove(name, place.label.as_ref());
                        if shelf.is_empty() {
                            shelves.remove(value);
                        }
                    }
                }
                if shelves.is_empty() {
                    self.namespaces.remove(key);
                }
            }
        }
    }

    /// How many sets there are.
    pub fn len(&self) -> usize {
        self.filed.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.filed.is_empty()
    }

    /// The set of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Prepared>> {
        self.filed.get(name).map(|(set, _)| set)
    }

    /// All sets, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Prepared>> {
        self.filed.values().map(|(set, _)| set)
    }

    /// The sets to inject into a Pod with these labels, sorted by name. Those whose injection is
    /// paused are none of them, nor is one that a canary set stands in for.
    pub fn matching(
        &self,
        namespace: &str,
        namespace_labels: &BTreeMap<String, String>,
        pod_labels: &BTreeMap<String, String>,
    ) -> Vec<&Arc<Prepared>> {
        // Every API server has put it there; some callers have not seen it yet.
        let mut labels = namespace_labels.clone();
        labels.insert(NAMESPACE_NAME_LABEL.to_owned(), namespace.to_owned());
        let shelf = |(key, value)| self.namespaces.get(key)?.get(value);
        let shelves = std::iter::once(&self.everywhere).chain(labels.iter().filter_map(shelf));
        let mut names: Vec<&String> = Vec::new();
        for shelf in shelves {
            shelf.candidates(pod_labels, &mut names);
        }
        names.sort_unstable();
        names.dedup();
        let candidates = names.into_iter().filter_map(|name| self.get(name));
        let mut matching: Vec<&Arc<Prepared>> = candidates
            .filter(|set| {
                let spec = set.spec();
                let in_namespace = spec.namespaces.as_ref().is_none_or(|s| s.matches(&labels));
                !spec.injection_paused && in_namespace && spec.selector.matches(pod_labels)
            })
            .collect();
        let bases: BTreeSet<String> = matching
            .iter()
            .filter_map(|set| set.spec().canary_of.clone())
            .collect();
        matching.retain(|set| !bases.contains(set.name()));
        matching
    }

    /// Of the sets that match a Pod, those that it does not remember: it was created before them,
    /// they were left out, or nobody asked.
    pub fn not_injected(
        &self,
        namespace: &str,
        namespace_labels: &BTreeMap<String, String>,
        pod_labels: &BTreeMap<String, String>,
        pod_annotations: &BTreeMap<String, String>,
    ) -> Vec<&Arc<Prepared>> {
        let mut sets = self.matching(namespace, namespace_labels, pod_labels);
        if let Some(list) = pod_annotations.get(SIDECAR_LIST_ANNOTATION) {
            sets.retain(|set| parse_list(list).all(|name| name != set.name()));
        }
        sets
    }
}

impl<T: Into<Arc<Prepared>>> FromIterator<T> for SetIndex {
    fn from_iter<I: IntoIterator<Item = T>>(sets: I) -> Self {
        let mut index = Self::default();
        for set in sets {
            index.apply(set);
        }
        index
    }
}

impl Place {
    fn of(set: &Prepared) -> Self {
        let spec = set.spec();
        let namespaces = spec.namespaces.as_ref().and_then(|selector| {
            let named = terms(selector).filter_map(|term| match term {
                Expression::Equal(key, value) => Some((key, BTreeSet::from([value]))),
                Expression::In(key, values) => Some((key, values)),
                _ => None,
            });
            // Names leave the fewest, then whatever leaves the fewest values.
            named.min_by_key(|(key, values)| (key != NAMESPACE_NAME_LABEL, values.len()))
        });
        let mut terms = terms(&spec.selector);
        let label = terms.find_map(|term| match term {
            Expression::Equal(key, value) => Some((key, value)),
            _ => None,
        });
        Self { namespaces, label }
    }
}

fn terms(selector: &Selector) -> impl Iterator<Item = Expression> {
    selector.clone().into_iter()
}

impl Shelf {
    fn insert(&mut self, name: &str, label: Option<&(String, String)>) {
        let names = match label {
            None => &mut self.others,
            Some((key, value)) => {
                let values = self.by_label.entry(key.clone()).or_default();
                values.entry(value.clone()).or_default()
            }
        };
        names.insert(name.to_owned());
    }

    fn remove(&mut self, name: &str, label: Option<&(String, String)>) {
        let Some((key, value)) = label else {
            self.others.remove(name);
            return;
        };
        let Some(values) = self.by_label.get_mut(key) else {
            return;
        };
        if let Some(names) = values.get_mut(value) {
            names.remove(name);
            if names.is_empty() {
                values.remove(value);
            }
        }
        if values.is_empty() {
            self.by_label.remove(key);
        }
    }

    fn is_empty(&self) -> bool {
        self.by_label.is_empty() && self.others.is_empty()
    }

    fn candidates<'a>(&'a self, labels: &BTreeMap<String, String>, into: &mut Vec<&'a String>) {
        into.extend(&self.others);
        for (key, value) in labels {
            let names = self.by_label.get(key).and_then(|values| values.get(value));
            into.extend(names.into_iter().flatten());
        }
    }
}
