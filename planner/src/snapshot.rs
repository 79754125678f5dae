//! Everything a decision may look at, as values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apis::{CloneSet, Valid};
use jiff::Timestamp;

use crate::{Claim, Node, Pod, Revision};

/// In [`Snapshot::held`] stands for "making objects", where a UID would stand.
pub const CREATION: &str = "";

/// One CloneSet and its surroundings at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// The moment.
    pub now: Timestamp,
    /// The set, checked.
    pub set: Valid<CloneSet>,
    /// Pods whose controller is the set, in any state, in the order of their names: of Pods that are
    /// equal in all that counts the first goes first.
    pub pods: Vec<Arc<Pod>>,
    /// Pods of the namespace that have no controller.
    pub orphans: Vec<Arc<Pod>>,
    /// Claims whose controller is the set or one of its Pods, and those that its Pods wait for
    /// ([`Pod::awaited_claims`]), whosever they are.
    pub claims: Vec<Arc<Claim>>,
    /// The nodes of those Pods, where the template spreads Pods over more than single nodes.
    pub nodes: Vec<Arc<Node>>,
    /// Revisions whose controller is the set.
    pub revisions: Vec<Arc<Revision>>,
    /// Revisions of the namespace that have no controller.
    pub orphan_revisions: Vec<Arc<Revision>>,
    /// Pods (by UID) that a write failed on a moment ago, and what the server said: they are left
    /// alone for now, so that one Pod that cannot be changed never stops the others.
    pub held: BTreeMap<String, String>,
    /// Pods (by UID) that a write of ours to is under way: whether it has happened is unknown. They
    /// count as lost already and keep the places they were given, and nothing more is done to them
    /// until the answer is in.
    pub in_flight: BTreeSet<String>,
    /// At most so many effects come out; the rest is decided anew from fresher facts.
    pub effects_max: usize,
}

impl Snapshot {
    /// Metadata text of the set that the API server always fills in.
    pub(crate) fn name(&self) -> &str {
        self.set
            .object()
            .metadata
            .name
            .as_deref()
            .unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.set
            .object()
            .metadata
            .namespace
            .as_deref()
            .unwrap_or_default()
    }

    pub(crate) fn uid(&self) -> &str {
        self.set
            .object()
            .metadata
            .uid
            .as_deref()
            .unwrap_or_default()
    }

    /// The garbage collector is taking the set away.
    pub(crate) fn is_deleting(&self) -> bool {
        self.set.object().metadata.deletion_timestamp.is_some()
    }

    pub(crate) fn generation(&self) -> i64 {
        self.set.object().metadata.generation.unwrap_or_default()
    }
}
