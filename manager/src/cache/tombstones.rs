//! UIDs that are gone, remembered for a while.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

/// Longer than any call of ours may take, by far.
pub(super) const KEEP: Duration = Duration::from_mins(5);
/// A bound on memory: about one megabyte.
pub(super) const KEEP_COUNT: usize = 10_000;

/// How we know that a UID is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// Somebody saw the deletion, or another object under its name.
    Seen,
    /// A list did not show it; it was last seen with this resourceVersion. A list from an API
    /// server that lags can be wrong about that, so the watch may correct it.
    NotListed(String),
}

#[derive(Debug, Default)]
pub(super) struct Tombstones {
    by_uid: HashMap<String, (Instant, Proof)>,
    by_age: VecDeque<(Instant, String)>,
}

impl Tombstones {
    /// Remembers that `uid` is gone.
    pub(super) fn bury(&mut self, uid: &str, proof: Proof, now: Instant) {
        self.by_uid.insert(uid.to_owned(), (now, proof));
        self.by_age.push_back((now, uid.to_owned()));
        while let Some((at, oldest)) = self.by_age.front() {
            if self.by_age.len() <= KEEP_COUNT && now - *at <= KEEP {
                break;
            }
            // A UID that was buried twice stays until its second entry comes up.
            if self
                .by_uid
                .get(oldest)
                .is_some_and(|(buried, _)| buried == at)
            {
                self.by_uid.remove(oldest);
            }
            self.by_age.pop_front();
        }
    }

    /// How `uid` is known to be gone, if it is.
    pub(super) fn get(&self, uid: &str, now: Instant) -> Option<&Proof> {
        let (at, proof) = self.by_uid.get(uid)?;
        (now - *at <= KEEP).then_some(proof)
    }

    /// The watch proved that `uid` lives.
    pub(super) fn unbury(&mut self, uid: &str) {
        self.by_uid.remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_lasts_five_minutes() {
        let (mut tombstones, now) = (Tombstones::default(), Instant::now());
        tombstones.bury("a", Proof::Seen, now);
        assert_eq!(tombstones.get("a", now + KEEP), Some(&Proof::Seen));
        assert_eq!(
            tombstones.get("a", now + KEEP + Duration::from_secs(1)),
            None
        );
    }

    #[test]
    fn old_and_surplus_tombstones_are_dropped() {
        let (mut tombstones, now) = (Tombstones::default(), Instant::now());
        for n in 0..KEEP_COUNT + 5 {
            tombstones.bury(&n.to_string(), Proof::Seen, now);
        }
        assert_eq!(tombstones.by_uid.len(), KEEP_COUNT);
        assert_eq!(tombstones.get("4", now), None);
        assert_eq!(tombstones.get("5", now), Some(&Proof::Seen));
        tombstones.bury("late", Proof::Seen, now + KEEP * 2);
        assert_eq!((tombstones.by_uid.len(), tombstones.by_age.len()), (1, 1));
    }
}
