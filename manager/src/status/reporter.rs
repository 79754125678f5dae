//! When the status of a set is written: where it changed, and for counters alone not all the time.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Api, Resource};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{Status, is_urgent, write};
use crate::cache::{Cache, Key};
use crate::events::Events;
use crate::metrics::Metrics;
use crate::story;
use crate::worker::Pass;

/// Counters alone are written no more often than this; what programs wait for is written at once.
const STATUS_PAUSE: Duration = Duration::from_millis(500);

/// Reports what became of the sets of one kind.
pub(crate) struct Reporter<K> {
    sets: Arc<Cache<K>>,
    /// What metrics call the status.
    resource: &'static str,
    /// How Events name a set.
    about: fn(&K) -> ObjectReference,
    events: Events,
    metrics: Metrics,
    written: Mutex<HashMap<Key, Instant>>,
}

impl<K> Reporter<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    pub(crate) fn new(
        sets: &Arc<Cache<K>>,
        (resource, about): (&'static str, fn(&K) -> ObjectReference),
        (events, metrics): (&Events, &Metrics),
    ) -> Self {
        Self {
            sets: Arc::clone(sets),
            resource,
            about,
            events: events.clone(),
            metrics: metrics.clone(),
            written: Mutex::default(),
        }
    }

    /// The set `key` is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.written.lock().remove(key);
    }

    /// Writes the status of `set` if it differs; counters alone no more often than [`STATUS_PAUSE`].
    pub(crate) async fn report<S: Status + PartialEq>(
        &self,
        key: &Key,
        (api, set): (&Api<K>, &K),
        (old, new): (&S, &S),
    ) -> Pass {
        if old == new {
            return Pass::Settled(None);
        }
        let last = self.written.lock().get(key).copied();
        let last = last.filter(|_| !is_urgent(old, new));
        let rest = last.and_then(|last| STATUS_PAUSE.checked_sub(last.elapsed()));
        if rest.is_some() {
            return Pass::Settled(rest);
        }
        let to = (api, self.resource);
        match write(to, set.meta(), (old, new), &self.metrics).await {
            Ok(written) => {
                self.written.lock().insert(key.clone(), Instant::now());
                self.sets.observe_write(written);
                let about = (self.about)(set);
                let (old, new) = (old.conditions(), new.conditions());
                if let Some(note) = story::of_conditions(&about, old, new) {
                    self.events.tell(note);
                }
                Pass::Settled(None)
            }
            Err(error) if error.is_not_found() || error.is_conflict() => Pass::Stale,
            Err(error) => {
                tracing::warn!(%key, %error, "failed to write the status");
                Pass::Failed
            }
        }
    }
}
