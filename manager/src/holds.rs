//! Back-off per object: what a write failed on is left alone for a while, and nothing else is.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::Key;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_mins(1);
/// Failures are forgotten when nothing failed for so long.
const FORGET_AFTER: Duration = Duration::from_mins(5);

/// Stands for "creating Pods and claims" where a UID would stand.
pub use planner::snapshot::CREATION;

#[derive(Debug)]
struct Hold {
    until: Instant,
    failures: u32,
    error: String,
}

/// Holds of all sets.
#[derive(Debug, Default)]
pub struct Holds(HashMap<Key, BTreeMap<String, Hold>>);

impl Holds {
    /// A write to `uid` of set `key` failed: hold it, twice as long as the last time, and no
    /// shorter than the server asked for. Returns for how long.
    pub fn failed(
        &mut self,
        key: &Key,
        uid: &str,
        error: &str,
        asked: Option<Duration>,
    ) -> Duration {
        let holds = self.0.entry(key.clone()).or_default();
        let failures = holds.get(uid).map_or(0, |hold| hold.failures);
        let pause = (FIRST * 2u32.saturating_pow(failures.min(10))).min(LONGEST);
        let pause = pause.max(asked.unwrap_or_default());
        let until = Instant::now() + pause;
        let hold = Hold {
            until,
            failures: failures + 1,
            error: error.to_owned(),
        };
        holds.insert(uid.to_owned(), hold);
        pause
    }

    /// A write to `uid` of set `key` succeeded.
    pub fn succeeded(&mut self, key: &Key, uid: &str) {
        if let Some(holds) = self.0.get_mut(key) {
            holds.remove(uid);
        }
    }

    /// What is held of set `key` now, with the error, and how long until the first is let go.
    pub fn held(&mut self, key: &Key) -> (BTreeMap<String, String>, Option<Duration>) {
        let now = Instant::now();
        let Some(holds) = self.0.get_mut(key) else {
            return (BTreeMap::new(), None);
        };
        holds.retain(|_, hold| hold.until + FORGET_AFTER > now);
        let held = holds.iter().filter(|(_, hold)| hold.until > now);
        let first = held.clone().map(|(_, hold)| hold.until - now).min();
        (
            held.map(|(uid, hold)| (uid.clone(), hold.error.clone()))
                .collect(),
            first,
        )
    }

    /// Set `key` is gone.
    pub fn forget(&mut self, key: &Key) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failing_pod_is_held_longer_each_time_and_let_go() {
        let key = Key::new("shop", "web");
        let mut holds = Holds::default();
        let first = holds.failed(&key, "a", "denied", None);
        assert_eq!(holds.held(&key).0.len(), 1);
        tokio::time::advance(first).await;
        assert!(holds.held(&key).0.is_empty());
        assert_eq!(holds.failed(&key, "a", "denied", None), first * 2);
        holds.succeeded(&key, "a");
        assert!(holds.held(&key).0.is_empty());
        assert_eq!(holds.failed(&key, "a", "denied", None), first);
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_may_ask_for_more() {
        let key = Key::new("shop", "web");
        let mut holds = Holds::default();
        let asked = Duration::from_secs(7);
        assert_eq!(holds.failed(&key, "a", "429", Some(asked)), asked);
        assert_eq!(holds.held(&key).1, Some(asked));
    }
}
