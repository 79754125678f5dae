//! What one cache is told, and when: late, twice, in another order across objects, or only by a
//! new list. Of one object the order is kept, as a watch keeps it.

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;
use model::object::Object;

/// Kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Set,
    Pod,
    Claim,
    Revision,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Set, Self::Pod, Self::Claim, Self::Revision];
}

/// One version of one object at the server.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) object: Object,
    pub(crate) deleted: bool,
}

/// The objects of `kind` as they were after the first `length` entries.
pub(crate) fn state_at(journal: &[Entry], kind: Kind, length: usize) -> Vec<Entry> {
    let mut state: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in journal[..length].iter().filter(|e| e.kind == kind) {
        if entry.deleted {
            state.remove(entry.name.as_str());
        } else {
            state.insert(&entry.name, entry);
        }
    }
    state.into_values().cloned().collect()
}

/// The watch of one kind by one process.
pub(crate) struct Stream {
    pub(crate) kind: Kind,
    /// A list is being read: nothing else is told before its end.
    pub(crate) is_listing: bool,
    /// Entries before it are told or pending.
    next: usize,
    pending: BTreeMap<String, VecDeque<usize>>,
    last: Option<usize>,
    /// Nothing after these entries was told.
    told: usize,
}

impl Stream {
    /// A watch that goes on from a list of the first `length` entries.
    pub(crate) fn after_list(kind: Kind, length: usize) -> Self {
        Self {
            kind,
            is_listing: true,
            next: length,
            pending: BTreeMap::new(),
            last: None,
            told: length,
        }
    }

    fn take_up(&mut self, journal: &[Entry]) {
        for (index, entry) in journal.iter().enumerate().skip(self.next) {
            if entry.kind == self.kind {
                let queue = self.pending.entry(entry.name.clone()).or_default();
                queue.push_back(index);
            }
        }
        self.next = journal.len();
    }

    /// The next event of some object.
    pub(crate) fn pop(&mut self, journal: &[Entry], rng: &mut Rng) -> Option<usize> {
        if self.is_listing {
            return None;
        }
        self.take_up(journal);
        if self.pending.is_empty() {
            return None;
        }
        let chosen = rng.usize(..self.pending.len());
        let name = self.pending.keys().nth(chosen)?.clone();
        let queue = self.pending.get_mut(&name)?;
        let index = queue.pop_front();
        if queue.is_empty() {
            self.pending.remove(&name);
        }
        self.last = index;
        self.told = self.told.max(index.map_or(0, |index| index + 1));
        index
    }

    /// A list that is asked for now shows at least so many entries: the manager asks for lists
    /// that are no older than the question.
    pub(crate) fn told(&self) -> usize {
        self.told
    }

    /// The last event, for a second time.
    pub(crate) fn again(&self) -> Option<usize> {
        self.last.filter(|_| !self.is_listing)
    }
}
