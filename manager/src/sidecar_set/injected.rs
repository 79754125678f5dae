//! Which Pods remember which SidecarSets, and which do without a set that matches them. Keys only:
//! the Pods themselves are in the cache that all controllers share.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use apis::names::SIDECAR_LIST_ANNOTATION;
use apis::sidecar_set::record::parse_list;
use planner::Pod;
use sidecar_injector::{Prepared, SetIndex};

use crate::cache::Key;

/// An index of Pods by the names of SidecarSets.
#[derive(Debug, Default)]
pub(crate) struct Injected {
    sets: SetIndex,
    /// Only Pods that are in `by_set`.
    by_pod: HashMap<Key, Names>,
    by_set: HashMap<Box<str>, Pods>,
}

/// Names of sets.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    with: Vec<Box<str>>,
    without: Vec<Box<str>>,
}

/// The Pods of one set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pods {
    /// Those that remember it, or that it took out of their Services.
    pub(crate) with: BTreeSet<Key>,
    /// Those that it matches and that do not.
    pub(crate) without: BTreeSet<Key>,
}

impl Names {
    fn of(sets: &SetIndex, pod: &Pod, namespace: &BTreeMap<String, String>) -> Self {
        let list = pod.annotations().get(SIDECAR_LIST_ANNOTATION);
        let with = list.into_iter().flat_map(parse_list).map(Box::from);
        let mut names = Self {
            with: with.collect(),
            without: Vec::new(),
        };
        // Whoever took it out of its Services has to let it in, whatever else it remembers.
        if let Some(set) = pod
            .shut_by()
            .filter(|set| !names.with.iter().any(|name| &**name == *set))
        {
            names.with.push(set.into());
        }
        if sets.is_empty() {
            return names;
        }
        let in_namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let remembers = list.map(|list| (SIDECAR_LIST_ANNOTATION.to_owned(), list.to_owned()));
        let remembers = remembers.into_iter().collect();
        let labels = pod.labels().to_map();
        let missing = sets.not_injected(in_namespace, namespace, &labels, &remembers);
        names.without = missing.iter().map(|set| set.name().into()).collect();
        names
    }

    fn all(&self) -> impl Iterator<Item = &Box<str>> {
        self.with.iter().chain(&self.without)
    }
}

impl Injected {
    /// A set is new or changed. What it makes of Pods is seen when they are looked at again.
    pub(crate) fn put_set(&mut self, set: Prepared) {
        self.sets.apply(set);
    }

    /// A set is gone, or makes no sense.
    pub(crate) fn remove_set(&mut self, name: &str) {
        self.sets.remove(name);
    }

    /// Looks at the Pod `key`, which is `pod` now, in a namespace with these labels. Returns the sets
    /// that it matters to, before or now.
    pub(crate) fn look(
        &mut self,
        key: &Key,
        pod: Option<&Pod>,
        namespace: &BTreeMap<String, String>,
    ) -> BTreeSet<Box<str>> {
        let names = self.names(pod, namespace);
        self.file(key, names)
    }

    /// Of a Pod that is gone, none.
    fn names(&self, pod: Option<&Pod>, namespace: &BTreeMap<String, String>) -> Names {
        let names = pod.map(|pod| Names::of(&self.sets, pod, namespace));
        names.unwrap_or_default()
    }

    fn file(&mut self, key: &Key, names: Names) -> BTreeSet<Box<str>> {
        let mut concerned: BTreeSet<Box<str>> = names.all().cloned().collect();
        if concerned.is_empty() && !self.by_pod.contains_key(key) {
            return concerned;
        }
        let before = self.by_pod.remove(key).unwrap_or_default();
        concerned.extend(before.all().cloned());
        if before != names {
            for name in before.all() {
                let Some(pods) = self.by_set.get_mut(name) else {
                    continue;
                };
                pods.with.remove(key);
                pods.without.remove(key);
                if *pods == Pods::default() {
                    self.by_set.remove(name);
                }
            }
            for name in &names.with {
                let pods = self.by_set.entry(name.clone()).or_default();
                pods.with.insert(key.clone());
            }
            for name in &names.without {
                let pods = self.by_set.entry(name.clone()).or_default();
                pods.without.insert(key.clone());
            }
        }
        if names != Names::default() {
            self.by_pod.insert(key.clone(), names);
        }
        concerned
    }

    /// Looks at the Pod again after sets or labels of namespaces changed. Returns the sets that it
    /// matters to otherwise than before.
    pub(crate) fn look_again(
        &mut self,
        key: &Key,
        pod: Option<&Pod>,
        namespace: &BTreeMap<String, String>,
    ) -> BTreeSet<Box<str>> {
        let names = self.names(pod, namespace);
        let same = match self.by_pod.get(key) {
            Some(before) => *before == names,
            None => names == Names::default(),
        };
        if same {
            return BTreeSet::new();
        }
        self.file(key, names)
    }

    /// The Pods of the set called `name`.
    pub(crate) fn of(&self, name: &str) -> Pods {
        self.by_set.get(name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(name: &str, spec: &Value) -> Prepared {
        let mut set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": "web"}},
                "containers": [{"name": name, "image": "agent:1"}]}});
        for (key, value) in spec.as_object().unwrap() {
            set["spec"][key] = value.clone();
        }
        Prepared::new(serde_json::from_value(set).unwrap(), &[]).unwrap()
    }

    fn pod(app: &str, list: Option<&str>) -> Pod {
        let annotations = list.map(|list| json!({SIDECAR_LIST_ANNOTATION: list}));
        serde_json::from_value(json!({"metadata": {"name": "a", "namespace": "shop",
            "labels": {"app": app}, "annotations": annotations}}))
        .unwrap()
    }

    fn names(of: &BTreeSet<Box<str>>) -> Vec<&str> {
        of.iter().map(|name| &**name).collect()
    }

    #[test]
    fn pods_are_found_by_what_they_remember_and_by_what_they_miss() {
        let mut injected = Injected::default();
        let (key, anywhere) = (Key::new("shop", "a"), BTreeMap::new());
        injected.put_set(set("log", &json!({})));
        injected.put_set(set("mesh", &json!({})));
        let told = injected.look(&key, Some(&pod("web", Some("log"))), &anywhere);
        assert_eq!(names(&told), ["log", "mesh"]);
        assert!(injected.of("log").with.contains(&key));
        assert!(injected.of("mesh").without.contains(&key));
        // It is injected after all, and then it leaves the selector; it remembers both.
        let told = injected.look(&key, Some(&pod("web", Some("log,mesh"))), &anywhere);
        assert_eq!(names(&told), ["log", "mesh"]);
        assert!(injected.of("mesh").without.is_empty());
        injected.look(&key, Some(&pod("other", Some("log,mesh"))), &anywhere);
        assert_eq!(injected.of("mesh").with.len(), 1);
        let told = injected.look(&key, None, &anywhere);
        assert_eq!(names(&told), ["log", "mesh"]);
        assert!(injected.by_pod.is_empty() && injected.by_set.is_empty());
    }

    #[test]
    fn only_those_are_told_of_another_look_whom_it_matters_to() {
        let mut injected = Injected::default();
        let (key, plain) = (Key::new("shop", "a"), pod("web", None));
        let front = BTreeMap::from([("tier".to_owned(), "front".to_owned())]);
        injected.look(&key, Some(&plain), &front);
        assert!(injected.by_pod.is_empty(), "nobody cares");
        let selector = json!({"namespaceSelector": {"matchLabels": {"tier": "front"}}});
        injected.put_set(set("log", &selector));
        let told = injected.look_again(&key, Some(&plain), &front);
        assert_eq!(names(&told), ["log"]);
        assert!(injected.look_again(&key, Some(&plain), &front).is_empty());
        let told = injected.look_again(&key, Some(&plain), &BTreeMap::new());
        assert_eq!(names(&told), ["log"]);
        assert!(injected.by_set.is_empty());
    }
}
