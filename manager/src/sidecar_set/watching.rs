//! Which sets to look at: what watches tell of sets, Pods, revisions and namespaces.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use kube::ResourceExt;
use sidecar_injector::Prepared;

use super::{Controller, key_of};
use crate::cache::{Change, Key};

/// Changes of sets and namespaces are gathered for so long before all Pods are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// So many Pods are looked at between two chances for others.
const AT_ONCE: usize = 200;

impl Controller {
    pub(super) fn on_set(&self, change: &Change) {
        let name = &change.key.name;
        let set = self.parts.sets.get("", name);
        let object = set.as_ref().and_then(|set| set.0.as_ref().ok());
        let generation = object.and_then(|set| set.metadata.generation);
        let known = match generation {
            Some(generation) => self.seen.lock().insert(name.clone(), generation),
            None => self.seen.lock().remove(name),
        };
        if change.deleted {
            self.by_uid.lock().remove(&change.uid);
        } else {
            let (uid, key) = (change.uid.clone(), change.key.clone());
            self.by_uid.lock().insert(uid, key);
        }
        if known != generation || generation.is_none() {
            let prepared = object.and_then(|set| Prepared::new(set.clone(), &[]).ok());
            let mut injected = self.injected.lock();
            match prepared {
                Some(set) => injected.put_set(set),
                None => injected.remove_set(name),
            }
            drop(injected);
            self.changed.notify_one();
        }
        self.queue.add(change.key.clone());
    }

    pub(super) fn on_pod(&self, change: &Change) {
        let Key { namespace, name } = &change.key;
        let pod = self.parts.pods.get(namespace, name);
        let labels = self.labels(namespace);
        let concerned = self
            .injected
            .lock()
            .look(&change.key, pod.as_deref(), &labels);
        self.wake(concerned);
    }

    pub(super) fn on_disruption_budget(&self) {
        for key in self.limited.lock().iter() {
            self.queue.add(key.clone());
        }
    }

    pub(super) fn on_revision(&self, change: &Change) {
        let owner = change.owner_uid.as_ref();
        let key = owner.and_then(|uid| self.by_uid.lock().get(uid).cloned());
        if let Some(key) = key {
            self.queue.add(key);
        }
    }

    pub(super) fn wake(&self, names: BTreeSet<Box<str>>) {
        for name in names {
            self.queue.add(key_of(&name));
        }
    }

    /// Labels of a namespace.
    pub(super) fn labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let known = self.parts.namespaces.get("", namespace);
        known
            .map(|known| known.labels().clone())
            .unwrap_or_default()
    }

    /// Keeps what is known of Pods right while sets and namespaces change.
    pub(super) async fn look_again(&self) {
        loop {
            self.changed.notified().await;
            tokio::time::sleep(LOOK_AGAIN).await;
            self.look_at_all().await;
            // Pods that remember a set count no more, or again, with the labels of their namespace.
            self.enqueue_all();
        }
    }

    pub(super) async fn look_at_all(&self) {
        let mut labels: HashMap<Box<str>, BTreeMap<String, String>> = HashMap::new();
        for keys in self.parts.pods.keys().chunks(AT_ONCE) {
            for key in keys {
                let pod = self.parts.pods.get(&key.namespace, &key.name);
                let labels = labels.entry(key.namespace.clone());
                let labels = labels.or_insert_with(|| self.labels(&key.namespace));
                let mut injected = self.injected.lock();
                let concerned = injected.look_again(key, pod.as_deref(), labels);
                drop(injected);
                self.wake(concerned);
            }
            tokio::task::yield_now().await;
        }
    }
}
