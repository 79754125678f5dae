//! A cache of the manager, and what it is told: objects of the model are decoded on their way.

use std::collections::BTreeMap;

use kube::Resource;
use kube::runtime::watcher::Event;
use manager::cache::{CONFIRM_WITHIN, Cache};
use model::object::Object;
use serde::de::DeserializeOwned;

use crate::stream::Entry;

pub(crate) struct Told<K> {
    pub(crate) cache: Cache<K>,
    /// What own writes were answered with: the watch will tell of the same objects.
    answers: Vec<(Object, K)>,
}

impl<K> Default for Told<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    fn default() -> Self {
        Self {
            cache: Cache::new(|_| ()),
            answers: Vec::new(),
        }
    }
}

impl<K> Told<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + DeserializeOwned + 'static,
{
    /// The watch tells of `entry`.
    pub(crate) fn tell(&mut self, entry: &Entry) {
        let known = self.answers.iter().position(|(o, _)| o.is(&entry.object));
        let object = match known {
            Some(at) => self.answers.swap_remove(at).1,
            None => decode(&entry.object),
        };
        self.cache.event(if entry.deleted {
            Event::Delete(object)
        } else {
            Event::Apply(object)
        });
    }

    /// The watch lists anew.
    pub(crate) fn list(&mut self, state: &[Entry]) {
        self.answers.clear();
        self.cache.event(Event::Init);
        for entry in state {
            self.cache.event(Event::InitApply(decode(&entry.object)));
        }
    }

    /// The list is through.
    pub(crate) fn end_list(&self) {
        self.cache.event(Event::InitDone);
    }

    /// An own write was answered with `object`.
    pub(crate) fn learn(&mut self, object: &Object) {
        let decoded: K = decode(object);
        self.answers.push((object.clone(), decoded.clone()));
        self.cache.observe_write(decoded);
    }

    /// Reads live what the watch keeps silent on, as the manager does every second.
    pub(crate) fn settle_overdue(&self, objects: &BTreeMap<String, Object>) {
        for overdue in self.cache.overdue(CONFIRM_WITHIN) {
            let found = objects.get(&*overdue.key.name).map(decode);
            self.cache.resolve_live(&overdue.uid, found);
        }
    }
}

fn decode<K: DeserializeOwned>(object: &Object) -> K {
    K::deserialize(&**object).expect("the model's objects decode")
}
