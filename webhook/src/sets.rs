//! What the door knows of the cluster: the SidecarSets, and what it takes to inject them.
//!
//! Each replica follows for itself. What it knows may be a moment old; of a namespace or a set
//! that it has not heard of, it asks the API server before it says anything about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use apis::SidecarSet;
use apis::sidecar_set::white_list::{KEY, WhiteList};
use kube::Client;
use parking_lot::{RwLock, RwLockReadGuard};
use process::health::Check;
use serde::Deserialize;
use serde_json::Value;
use sidecar_injector::{Prepared, Revision, SetIndex};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::validate::containers_readable;

mod following;

pub use following::{Followed, follow};

/// After so long the process is ready without the sets: a conversion that the list of the sets needs
/// may be waiting for it, and so may everybody who writes a CloneSet.
const READY_WITHOUT: Duration = Duration::from_secs(20);
/// For how long a question waits for what is missing.
const LEARN_WITHIN: Duration = Duration::from_secs(1);

/// What an answer takes and is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The first lists are not complete.
    #[error("the SidecarSets are not known yet: try again")]
    Everything,
    /// The labels of a namespace.
    #[error("the namespace {0:?} is not known yet: try again")]
    Namespace(String),
    /// A SidecarSet.
    #[error("the SidecarSet {0:?} is not known yet: try again")]
    Set(String),
}

/// How often the same question was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Not yet: what is missing can be learnt.
    First,
    /// What is missing does not exist.
    Last,
}

/// What is known, kept up to date by [`follow`].
pub struct Sets {
    view: RwLock<View>,
    filled: watch::Sender<bool>,
    source: Option<Client>,
}

/// What is known at one moment.
#[derive(Debug)]
pub struct View {
    index: SetIndex,
    revisions: BTreeMap<String, Revision>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    white_list: WhiteList,
    listed: BTreeSet<Followed>,
}

impl fmt::Debug for Sets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sets").field(&*self.view.read()).finish()
    }
}

impl Default for View {
    fn default() -> Self {
        Self {
            index: SetIndex::default(),
            revisions: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            white_list: WhiteList::nothing(),
            listed: BTreeSet::new(),
        }
    }
}

impl Default for Sets {
    /// Nothing is known, and nobody will ever say.
    fn default() -> Self {
        Self::new(None)
    }
}

impl Sets {
    /// Nothing is known yet. What is missing is asked for by `source`.
    pub fn new(source: Option<Client>) -> Self {
        Self {
            view: RwLock::default(),
            filled: watch::Sender::new(false),
            source,
        }
    }

    /// These objects are all there is.
    pub fn of(objects: &[(Followed, Value)]) -> Self {
        let sets = Self::default();
        for (followed, object) in objects {
            sets.put(*followed, object);
        }
        for followed in Followed::ALL {
            sets.list_is_complete(followed, None);
        }
        sets
    }

    /// What is known now. Not to be held for long.
    pub fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read()
    }

    /// As a question for /readyz.
    pub fn check(self: &Arc<Self>) -> Check {
        let (sets, begun) = (Arc::clone(self), Instant::now());
        Check::new("sidecarsets", move || sets.ask(begun.elapsed()))
    }

    fn ask(&self, since_start: Duration) -> Result<(), String> {
        if *self.filled.borrow() || since_start >= READY_WITHOUT {
            Ok(())
        } else {
            Err("the SidecarSets, or what goes with them, are not listed yet".to_owned())
        }
    }

    /// An object that is new or changed.
    fn put(&self, followed: Followed, object: &Value) {
        self.view.write().put(followed, object);
    }

    /// An object that is gone.
    fn remove(&self, followed: Followed, name: &str) {
        self.view.write().remove(followed, name);
    }

    /// All objects were put; there are no others than `names`.
    fn list_is_complete(&self, followed: Followed, names: Option<&BTreeSet<String>>) {
        let mut view = self.view.write();
        for name in names.map_or_else(Vec::new, |names| view.others(followed, names)) {
            view.remove(followed, &name);
        }
        view.listed.insert(followed);
        let is_filled = view.is_filled();
        drop(view);
        let is_new = is_filled && !self.filled.send_replace(is_filled);
        if is_new {
            let sets = self.read().index.len();
            tracing::info!(sets, "the SidecarSets are known");
        }
    }

    /// Learns what is missing, if it can be had at once.
    pub(crate) async fn learn(&self, missing: &Missing) {
        let learning = async {
            match missing {
                Missing::Everything => {
                    let mut filled = self.filled.subscribe();
                    // The sender lives as long as `self`.
                    let _ = filled.wait_for(|filled| *filled).await;
                }
                Missing::Namespace(name) => self.get(Followed::Namespaces, name).await,
                Missing::Set(name) => self.get(Followed::SidecarSets, name).await,
            }
        };
        // Too late is as good as not there.
        let _ = tokio::time::timeout(LEARN_WITHIN, learning).await;
    }

    async fn get(&self, followed: Followed, name: &str) {
        let Some(client) = &self.source else { return };
        let object = match followed.get(client.clone(), name).await {
            Ok(object) => object,
            Err(error) => {
                tracing::warn!(?followed, name, %error, "failed to ask for an object");
                return;
            }
        };
        let mut view = self.view.write();
        // What the watch said meanwhile is at least as new.
        if let Some(object) = object.filter(|_| !view.has(followed, name)) {
            view.put(followed, &object);
        }
    }
}

impl View {
    /// Whether all lists were complete once.
    pub fn is_filled(&self) -> bool {
        self.listed.len() == Followed::ALL.len()
    }

    /// The sets that make sense.
    pub fn index(&self) -> &SetIndex {
        &self.index
    }

    /// Which annotations they may give to Pods.
    pub fn white_list(&self) -> &WhiteList {
        &self.white_list
    }

    /// The labels of a namespace.
    pub fn namespace(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(name)
    }

    /// A set with the revision that it may be pinned to.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn prepare(&self, set: SidecarSet) -> Result<Prepared, Vec<apis::FieldError>> {
        let own: Vec<Revision> = if is_pinned(&set) {
            self.revisions.values().cloned().collect()
        } else {
            Vec::new()
        };
        Prepared::new(set, &own)
    }

    fn has(&self, followed: Followed, name: &str) -> bool {
        match followed {
            Followed::SidecarSets => self.index.get(name).is_some(),
            Followed::Namespaces => self.namespaces.contains_key(name),
            Followed::Revisions => self.revisions.contains_key(name),
            Followed::WhiteList => false,
        }
    }

    /// Names of what is known beside `names`.
    fn others(&self, followed: Followed, names: &BTreeSet<String>) -> Vec<String> {
        let all: Vec<String> = match followed {
            Followed::SidecarSets => self.index.iter().map(|set| set.name().to_owned()).collect(),
            Followed::Namespaces => self.namespaces.keys().cloned().collect(),
            Followed::Revisions => self.revisions.keys().cloned().collect(),
            Followed::WhiteList => vec![following::WHITE_LIST.to_owned()],
        };
        all.into_iter()
            .filter(|name| !names.contains(name))
            .collect()
    }

    fn put(&mut self, followed: Followed, object: &Value) {
        let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str) else {
            return;
        };
        match followed {
            Followed::SidecarSets => self.put_set(name, object),
            Followed::Namespaces => {
                let labels = object.pointer("/metadata/labels");
                let labels = labels.and_then(|labels| BTreeMap::deserialize(labels).ok());
                self.namespaces
                    .insert(name.to_owned(), labels.unwrap_or_default());
            }
            Followed::Revisions => {
                if let Some(revision) = Revision::read(object) {
                    let set = revision.set.clone();
                    self.revisions.insert(name.to_owned(), revision);
                    self.prepare_again(&set);
                }
            }
            Followed::WhiteList => self.white_list = white_list(object),
        }
    }

    fn remove(&mut self, followed: Followed, name: &str) {
        match followed {
            Followed::SidecarSets => self.index.remove(name),
            Followed::Namespaces => {
                self.namespaces.remove(name);
            }
            Followed::Revisions => {
                if let Some(revision) = self.revisions.remove(name) {
                    self.prepare_again(&revision.set);
                }
            }
            Followed::WhiteList => self.white_list = WhiteList::nothing(),
        }
    }

    /// One that makes no sense was stored when nobody looked, and is not injected.
    fn put_set(&mut self, name: &str, object: &Value) {
        let prepared = SidecarSet::deserialize(object)
            .map_err(|error| error.to_string())
            .and_then(|set| {
                let spec = object.get("spec").unwrap_or(&Value::Null);
                containers_readable(spec).map_err(|error| error.to_string())?;
                let first = |errors: Vec<apis::FieldError>| {
                    errors.first().map(ToString::to_string).unwrap_or_default()
                };
                self.prepare(set).map_err(first)
            });
        match prepared {
            Ok(prepared) => self.index.apply(prepared),
            Err(why) => {
                tracing::warn!(name, why, "a SidecarSet makes no sense and is not injected");
                self.index.remove(name);
            }
        }
    }

    /// The revision that a set is pinned to may have come or gone.
    fn prepare_again(&mut self, name: &str) {
        let pinned = self
            .index
            .get(name)
            .filter(|set| set.spec().pinned.is_some());
        let set = pinned.map(|set| set.current().object().clone());
        if let Some(Ok(prepared)) = set.map(|set| self.prepare(set)) {
            self.index.apply(prepared);
        }
    }
}

fn is_pinned(set: &SidecarSet) -> bool {
    let strategy = set.spec.injection_strategy.as_ref();
    strategy.is_some_and(|strategy| strategy.revision.is_some())
}

fn white_list(config_map: &Value) -> WhiteList {
    let text = config_map.get("data").and_then(|data| data.get(KEY));
    let Some(text) = text.and_then(Value::as_str) else {
        return WhiteList::nothing();
    };
    WhiteList::parse(text).unwrap_or_else(|why| {
        tracing::warn!(why, "the white list cannot be read, and allows nothing");
        WhiteList::nothing()
    })
}

#[cfg(test)]
mod tests;
