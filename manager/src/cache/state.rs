//! The rules of the cache, without locks and clocks.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use kube::Resource;
use tokio::time::Instant;

use super::{
    Change, Key, Overdue,
    tombstones::{Proof, Tombstones},
};

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The watch or its list: ordered and complete, but late.
    Watch,
    /// The answer to a call of ours: true when it was given, but it may arrive late.
    OwnWrite,
    /// A read of ours, for an own write that the watch did not confirm.
    LiveRead,
}

/// An own write that is in the cache and that the watch has not told of yet.
#[derive(Debug)]
struct Unconfirmed {
    key: Key,
    rv: String,
    since: Instant,
}

#[derive(Debug)]
pub(super) struct State<K> {
    by_key: BTreeMap<Key, Arc<K>>,
    /// The same objects: a pass over a set wants all of its Pods, and looks none up by its key.
    by_owner: HashMap<String, BTreeMap<Key, Arc<K>>>,
    /// Objects without a controller owner, by namespace.
    orphans: HashMap<String, BTreeMap<Key, Arc<K>>>,
    tombstones: Tombstones,
    unconfirmed: HashMap<String, Unconfirmed>,
    /// The keys that the running relist has shown.
    seen: Option<HashSet<Key>>,
}

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_owner: HashMap::new(),
            orphans: HashMap::new(),
            tombstones: Tombstones::default(),
            unconfirmed: HashMap::new(),
            seen: None,
        }
    }
}

/// Resource versions of one kind are integers of any length without leading zeros.
pub(super) fn compare_versions(a: &str, b: &str) -> Ordering {
    (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes()))
}

fn is_older(a: &str, b: &str) -> bool {
    compare_versions(a, b) == Ordering::Less
}

fn key<K: Resource<DynamicType = ()>>(object: &K) -> Key {
    let meta = object.meta();
    let of = |field: &Option<String>| field.as_deref().unwrap_or_default().into();
    Key {
        namespace: of(&meta.namespace),
        name: of(&meta.name),
    }
}

fn uid<K: Resource<DynamicType = ()>>(object: &K) -> &str {
    object.meta().uid.as_deref().unwrap_or_default()
}

fn rv<K: Resource<DynamicType = ()>>(object: &K) -> &str {
    object
        .meta()
        .resource_version
        .as_deref()
        .unwrap_or_default()
}

fn owner<K: Resource<DynamicType = ()>>(object: &K) -> Option<&str> {
    let owners = object
        .meta()
        .owner_references
        .as_deref()
        .unwrap_or_default();
    let controller = owners.iter().find(|owner| owner.controller == Some(true));
    controller.map(|owner| owner.uid.as_str())
}

fn all<K>(index: Option<&BTreeMap<Key, Arc<K>>>) -> Vec<Arc<K>> {
    let objects = index.map(|index| index.values().cloned().collect());
    objects.unwrap_or_default()
}

impl<K: Resource<DynamicType = ()>> State<K> {
    pub(super) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.by_key.get(key).cloned()
    }

    pub(super) fn owned(&self, owner_uid: &str) -> Vec<Arc<K>> {
        all(self.by_owner.get(owner_uid))
    }

    pub(super) fn orphans(&self, namespace: &str) -> Vec<Arc<K>> {
        all(self.orphans.get(namespace))
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.by_key.keys().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn relist_begins(&mut self) {
        self.seen = Some(HashSet::new());
    }

    pub(super) fn listed(&mut self, object: K, now: Instant, out: &mut Vec<Change>) {
        if let Some(seen) = &mut self.seen {
            seen.insert(key(&object));
        }
        self.put(object, Source::Watch, now, out);
    }

    /// Drops what the list did not show. Own writes that the watch has not confirmed stay: the
    /// list may be older than they are.
    pub(super) fn relist_ends(&mut self, now: Instant, out: &mut Vec<Change>) {
        let Some(seen) = self.seen.take() else { return };
        let vanished: Vec<Key> = self
            .by_key
            .iter()
            .filter(|(key, object)| {
                !seen.contains(*key) && !self.unconfirmed.contains_key(uid(object.as_ref()))
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in vanished {
            if let Some((uid, rv)) = self.remove(&key, out) {
                self.tombstones.bury(&uid, Proof::NotListed(rv), now);
            }
        }
    }

    pub(super) fn put(&mut self, object: K, source: Source, now: Instant, out: &mut Vec<Change>) {
        match self.tombstones.get(uid(&object), now) {
            None => {}
            Some(Proof::NotListed(last))
                if source == Source::Watch && !is_older(rv(&object), last) =>
            {
                self.tombstones.unbury(uid(&object));
            }
            Some(Proof::Seen | Proof::NotListed(_)) => return,
        }
        let key = key(&object);
        if source == Source::Watch {
            self.confirm(uid(&object), rv(&object), now);
        }
        if let Some(cached) = self.by_key.get(&key) {
            let is_same = uid(cached.as_ref()) == uid(&object);
            match compare_versions(rv(&object), rv(cached.as_ref())) {
                Ordering::Less => return,
                Ordering::Equal if is_same => return,
                _ if is_same => {}
                // The name came back: the first one is gone, whatever the watch tells later.
                _ => {
                    if let Some((uid, _)) = self.remove(&key, out) {
                        self.tombstones.bury(&uid, Proof::Seen, now);
                    }
                }
            }
        }
        let is_ahead_of_list = source == Source::LiveRead && self.seen.is_some();
        if source == Source::OwnWrite || is_ahead_of_list {
            self.expect(&key, &object, now);
        }
        self.store(key, object, out);
    }

    /// A Delete event of the watch: final, whatever is cached.
    pub(super) fn deleted(&mut self, object: &K, now: Instant, out: &mut Vec<Change>) {
        self.gone(&key(object), uid(object), now, out);
    }

    pub(super) fn gone(&mut self, key: &Key, gone: &str, now: Instant, out: &mut Vec<Change>) {
        self.unconfirmed.remove(gone);
        if self
            .by_key
            .get(key)
            .is_some_and(|cached| uid(cached.as_ref()) == gone)
        {
            self.remove(key, out);
        }
        self.tombstones.bury(gone, Proof::Seen, now);
    }

    pub(super) fn overdue(&self, bound: Duration, now: Instant) -> Vec<Overdue> {
        let late = self
            .unconfirmed
            .iter()
            .filter(|(_, write)| now - write.since >= bound);
        let mut late: Vec<_> = late
            .map(|(uid, write)| Overdue {
                key: write.key.clone(),
                uid: uid.clone(),
            })
            .collect();
        late.sort_by(|a, b| a.key.cmp(&b.key));
        late
    }

    pub(super) fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    pub(super) fn resolve_live(
        &mut self,
        asked: &str,
        found: Option<K>,
        now: Instant,
        out: &mut Vec<Change>,
    ) {
        let is_alive = found.as_ref().is_some_and(|object| uid(object) == asked);
        if is_alive {
            if let Some(write) = self.unconfirmed.get_mut(asked)
                && self.seen.is_some()
            {
                // The list that runs may be older than this read, or younger: ask again after it.
                write.since = now;
            } else {
                self.unconfirmed.remove(asked);
            }
        } else if let Some(write) = self.unconfirmed.get(asked) {
            let key = write.key.clone();
            self.gone(&key, asked, now, out);
        }
        if let Some(object) = found {
            self.put(object, Source::LiveRead, now, out);
        }
    }

    /// Notes an own write that changes the cache. The clock of an earlier one goes on: a watch
    /// that is stuck must not look healthy because we keep writing.
    fn expect(&mut self, key: &Key, object: &K, now: Instant) {
        let entry = self.unconfirmed.entry(uid(object).to_owned());
        let write = entry.or_insert_with(|| Unconfirmed {
            key: key.clone(),
            rv: String::new(),
            since: now,
        });
        rv(object).clone_into(&mut write.rv);
    }

    fn confirm(&mut self, uid: &str, rv: &str, now: Instant) {
        let Some(write) = self.unconfirmed.get_mut(uid) else {
            return;
        };
        if is_older(rv, &write.rv) {
            // The watch moves, it only has not come to our write.
            write.since = now;
        } else {
            self.unconfirmed.remove(uid);
        }
    }

    fn store(&mut self, key: Key, object: K, out: &mut Vec<Change>) {
        let new_owner = owner(&object).map(str::to_owned);
        let old_owner = self
            .by_key
            .get(&key)
            .map(|cached| owner(cached.as_ref()).map(str::to_owned))
            .filter(|old| *old != new_owner);
        if let Some(old) = &old_owner {
            self.unindex(&key, old.as_deref());
        }
        let index = match &new_owner {
            Some(owner) => self.by_owner.entry(owner.clone()),
            None => self.orphans.entry(key.namespace.to_string()),
        };
        let object = Arc::new(object);
        index.or_default().insert(key.clone(), Arc::clone(&object));
        out.push(Change {
            key: key.clone(),
            uid: uid(object.as_ref()).to_owned(),
            owner_uid: new_owner,
            old_owner_uid: old_owner.flatten(),
            deleted: false,
            rv: rv(object.as_ref()).to_owned(),
        });
        self.by_key.insert(key, object);
    }

    /// Takes an object out; returns its UID and last resourceVersion, for the tombstone.
    fn remove(&mut self, key: &Key, out: &mut Vec<Change>) -> Option<(String, String)> {
        let object = self.by_key.remove(key)?;
        let (object, owner) = (object.as_ref(), owner(object.as_ref()));
        self.unindex(key, owner);
        self.unconfirmed.remove(uid(object));
        out.push(Change {
            key: key.clone(),
            uid: uid(object).to_owned(),
            owner_uid: owner.map(str::to_owned),
            old_owner_uid: None,
            deleted: true,
            rv: rv(object).to_owned(),
        });
        Some((uid(object).to_owned(), rv(object).to_owned()))
    }

    fn unindex(&mut self, key: &Key, owner: Option<&str>) {
        let (index, name) = match owner {
            Some(owner) => (&mut self.by_owner, owner),
            None => (&mut self.orphans, key.namespace.as_ref()),
        };
        if let Some(keys) = index.get_mut(name) {
            keys.remove(key);
            if keys.is_empty() {
                index.remove(name);
            }
        }
    }
}
