//! What the manager knows of the cluster: watched objects, indexed by owner, never going back in
//! time, with its own writes in it before the watch tells of them.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kube::{Resource, runtime::watcher::Event};
use parking_lot::{Mutex, RwLock};
use tokio::{sync::watch, time::Instant};

mod live;
mod state;
#[cfg(test)]
mod tests;
mod tombstones;
mod watching;

pub use live::settle_overdue;
use state::{Source, State};
pub use watching::{WatchConfig, run_watch};

/// How long an own write may stay unconfirmed by the watch before a live read is due.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(10);

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Empty for objects without a namespace.
    pub namespace: Box<str>,
    /// `metadata.name`.
    pub name: Box<str>,
}

impl Key {
    /// The key of `namespace/name`.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One step in the life of one object, as the cache learnt it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where the object is or was.
    pub key: Key,
    /// Which object; a name that comes back under another UID is two changes.
    pub uid: String,
    /// The controller owner's UID now; of a deleted object, the last one.
    pub owner_uid: Option<String>,
    /// The controller owner it had before, if that was another one.
    pub old_owner_uid: Option<String>,
    /// Whether the object is gone.
    pub deleted: bool,
    /// The resourceVersion the cache holds now, or held last.
    pub rv: String,
}

/// An own write that the watch has not confirmed in time: ask the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// Where the object should be.
    pub key: Key,
    /// Which object it should be.
    pub uid: String,
}

type Subscriber = Box<dyn Fn(&Change) + Send + Sync>;

/// An indexed cache of one kind of object.
///
/// Two sources feed it: the watch ([`event`](Self::event)) and the answers to our own writes
/// ([`observe_write`](Self::observe_write)). Whatever the order in which they arrive, an object
/// never goes back to an older resourceVersion, and a deleted UID never comes back.
pub struct Cache<K> {
    state: RwLock<State<K>>,
    /// Trims an object before it is stored.
    modify: Box<dyn Fn(&mut K) + Send + Sync>,
    subscribers: RwLock<Vec<Subscriber>>,
    /// Changes in the order of their making; filled under the lock of `state`.
    outbox: Mutex<VecDeque<Change>>,
    /// Held by the one thread that tells the subscribers.
    delivery: Mutex<()>,
    len: AtomicUsize,
    ready: watch::Sender<bool>,
}

impl<K> fmt::Debug for Cache<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("len", &self.len.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

/// The `modify` of most kinds: drops what nobody decides by and what costs the most memory.
pub fn without_managed_fields<K: Resource<DynamicType = ()>>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

impl<K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static> Cache<K> {
    /// An empty cache; `modify` trims every object before it is stored.
    pub fn new(modify: impl Fn(&mut K) + Send + Sync + 'static) -> Self {
        Self {
            state: RwLock::new(State::default()),
            modify: Box::new(modify),
            subscribers: RwLock::default(),
            outbox: Mutex::default(),
            delivery: Mutex::default(),
            len: AtomicUsize::new(0),
            ready: watch::Sender::new(false),
        }
    }

    /// Tells `subscriber` every change from now on, in order and outside the lock: it may read
    /// the cache, which can be ahead of the change. Register before the watch starts.
    pub fn subscribe(&self, subscriber: impl Fn(&Change) + Send + Sync + 'static) {
        self.subscribers.write().push(Box::new(subscriber));
    }

    /// The object at `namespace/name`.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.state.read().get(&Key::new(namespace, name))
    }

    /// The objects whose controller owner has this UID, by namespace and name.
    pub fn owned(&self, owner_uid: &str) -> Vec<Arc<K>> {
        self.state.read().owned(owner_uid)
    }

    /// The objects whose controller owner has one of these UIDs.
    pub fn owned_by_any<'u>(&self, owner_uids: impl Iterator<Item = &'u str>) -> Vec<Arc<K>> {
        let state = self.state.read();
        owner_uids.flat_map(|uid| state.owned(uid)).collect()
    }

    /// The objects of the namespace that have no controller owner, by name.
    pub fn orphans(&self, namespace: &str) -> Vec<Arc<K>> {
        self.state.read().orphans(namespace)
    }

    /// The keys of all objects, by namespace and name; for a resync.
    pub fn keys(&self) -> Vec<Key> {
        self.state.read().keys()
    }

    /// How many objects are cached.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether nothing is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the first list is complete.
    pub fn ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits for the first list to be complete.
    pub async fn wait_ready(&self) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Takes in an event of the watch.
    pub fn event(&self, event: Event<K>) {
        let is_done = matches!(event, Event::InitDone);
        let now = Instant::now();
        self.change(|state, out| match event {
            Event::Init => state.relist_begins(),
            Event::InitApply(object) => state.listed(self.trimmed(object), now, out),
            Event::InitDone => state.relist_ends(now, out),
            Event::Apply(object) => state.put(self.trimmed(object), Source::Watch, now, out),
            Event::Delete(object) => state.deleted(&object, now, out),
        });
        if is_done {
            self.ready.send_replace(true);
        }
    }

    /// Takes in the object that our own create, patch or delete call returned.
    pub fn observe_write(&self, object: K) {
        let now = Instant::now();
        self.change(|state, out| state.put(self.trimmed(object), Source::OwnWrite, now, out));
    }

    /// Takes in that the API server said "not found" of this very object.
    pub fn observe_gone(&self, namespace: &str, name: &str, uid: &str) {
        let now = Instant::now();
        self.change(|state, out| state.gone(&Key::new(namespace, name), uid, now, out));
    }

    /// The own writes that the watch has not confirmed within `bound`.
    pub fn overdue(&self, bound: Duration) -> Vec<Overdue> {
        self.state.read().overdue(bound, Instant::now())
    }

    /// How many own writes the watch has not confirmed.
    pub fn unconfirmed(&self) -> usize {
        self.state.read().unconfirmed()
    }

    /// Settles what [`overdue`](Self::overdue) asked, with what a live read found (`None`: gone).
    pub fn resolve_live(&self, uid: &str, found: Option<K>) {
        let now = Instant::now();
        let found = found.map(|object| self.trimmed(object));
        self.change(|state, out| state.resolve_live(uid, found, now, out));
    }

    fn trimmed(&self, mut object: K) -> K {
        (self.modify)(&mut object);
        object
    }

    fn change(&self, with: impl FnOnce(&mut State<K>, &mut Vec<Change>)) {
        {
            let mut out = Vec::new();
            let mut state = self.state.write();
            with(&mut state, &mut out);
            self.len.store(state.len(), Ordering::Relaxed);
            // Still under the lock, so that the outbox has the order of the changes.
            self.outbox.lock().extend(out);
        }
        self.deliver();
    }

    /// Whoever finds nobody delivering delivers everything, also what others add meanwhile.
    fn deliver(&self) {
        while !self.outbox.lock().is_empty() {
            let Some(_turn) = self.delivery.try_lock() else {
                return;
            };
            loop {
                let Some(change) = self.outbox.lock().pop_front() else {
                    break;
                };
                for subscriber in self.subscribers.read().iter() {
                    subscriber(&change);
                }
            }
        }
    }
}
