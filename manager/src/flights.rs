//! Writes under way: which objects of which set, and when they have ended.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cache::Key;

/// Writes under way of all sets.
///
/// Only a pass over a set begins writes of it, and no two passes over one set run at once: what a
/// pass finds here can only become less while it lasts. It must look here **before** it reads the
/// caches, because a write enters its cache before it ends here.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    by_set: Mutex<HashMap<Key, BTreeSet<String>>>,
    ended: Notify,
}

/// One write under way; it ends when this is dropped, also by a panic or an abort.
#[derive(Debug)]
pub(crate) struct Flight {
    flights: Arc<Flights>,
    key: Key,
    uid: String,
}

impl Flights {
    /// A write to `uid` of set `key` begins.
    pub(crate) fn begin(self: &Arc<Self>, key: &Key, uid: &str) -> Flight {
        let mut by_set = self.by_set.lock();
        by_set
            .entry(key.clone())
            .or_default()
            .insert(uid.to_owned());
        Flight {
            flights: Arc::clone(self),
            key: key.clone(),
            uid: uid.to_owned(),
        }
    }

    /// What is being written of set `key`.
    pub(crate) fn of(&self, key: &Key) -> BTreeSet<String> {
        self.by_set.lock().get(key).cloned().unwrap_or_default()
    }

    fn count(&self, key: &Key) -> usize {
        self.by_set.lock().get(key).map_or(0, BTreeSet::len)
    }

    /// Waits until no more than `most` writes of set `key` are under way.
    pub(crate) async fn at_most(&self, key: &Key, most: usize) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Registered before counting, so that an end in between is not missed.
            ended.as_mut().enable();
            if self.count(key) <= most {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut by_set = self.flights.by_set.lock();
        if let Some(uids) = by_set.get_mut(&self.key) {
            uids.remove(&self.uid);
            if uids.is_empty() {
                by_set.remove(&self.key);
            }
        }
        drop(by_set);
        self.flights.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_goes_on_when_enough_have_ended() {
        let (flights, key) = (Arc::new(Flights::default()), Key::new("shop", "web"));
        let (a, b) = (flights.begin(&key, "a"), flights.begin(&key, "b"));
        flights.at_most(&key, 2).await;
        let waits = {
            let (flights, key) = (Arc::clone(&flights), key.clone());
            tokio::spawn(async move { flights.at_most(&key, 0).await })
        };
        drop(a);
        assert_eq!(flights.of(&key), BTreeSet::from(["b".to_owned()]));
        drop(b);
        waits.await.unwrap();
        assert!(flights.by_set.lock().is_empty());
    }
}
