//! Everything a decision about one SidecarSet may look at, and what comes out of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use apis::sidecar_set::white_list::WhiteList;
use apis::{SidecarSet, SidecarSetStatus, Valid};
use jiff::Timestamp;

use super::Revision;
use crate::budget::Budget;
use crate::plan::{self, OverBudget};
use crate::{DisruptionBudget, Effect, Pod, Reason};

/// One SidecarSet and its surroundings at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// The moment.
    pub now: Timestamp,
    /// The set, checked.
    pub set: Valid<SidecarSet>,
    /// Pods that remember the set among those that gave them containers, or that it took out of their
    /// Services, in any state, by namespace and name.
    pub pods: Vec<Arc<Pod>>,
    /// Pods that the set matches and that do not remember it.
    pub without: Vec<Arc<Pod>>,
    /// PodDisruptionBudgets of the namespaces of `pods`.
    pub disruption_budgets: Vec<Arc<DisruptionBudget>>,
    /// Labels of the namespaces, by their names.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Revisions that are labelled with the set's name.
    pub revisions: Vec<Arc<Revision>>,
    /// Where they are kept.
    pub revision_namespace: String,
    /// Which annotations sets may give to Pods.
    pub white_list: WhiteList,
    /// Pods (by UID) that a write failed on a moment ago, and what the server said: they are left
    /// alone for now.
    pub held: BTreeMap<String, String>,
    /// At most so many effects come out; the rest is decided anew from fresher facts.
    pub effects_max: usize,
}

/// Everything to do about one snapshot.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// Writes, each with the namespace of its object.
    pub effects: Vec<(String, Effect)>,
    /// The status as observed; it never speaks of effects that have not happened.
    pub status: SidecarSetStatus,
    /// Look again then, even if nothing happens.
    pub wake_at: Option<Timestamp>,
    /// Every Pod that counts, by its place among the Pods of the snapshot, with its one reason.
    pub pods: Vec<(usize, Reason)>,
    /// Pods that have to do without the containers, by their places among those of the snapshot.
    pub uninjected: Vec<usize>,
    /// What the effects may take away, as it was before any was chosen.
    pub budget: Budget,
}

impl Plan {
    /// Counts the effects against the budget once more, independently of how they were chosen.
    ///
    /// # Errors
    /// [`OverBudget`], which means a fault in the planner: the caller performs nothing.
    pub fn check(&self) -> Result<(), OverBudget> {
        plan::check(self.effects.iter().map(|(_, effect)| effect), self.budget)
    }
}

impl Snapshot {
    /// Metadata texts of the set that the API server always fills in.
    pub(super) fn uid(&self) -> &str {
        self.set
            .object()
            .metadata
            .uid
            .as_deref()
            .unwrap_or_default()
    }

    pub(super) fn generation(&self) -> i64 {
        self.set.object().metadata.generation.unwrap_or_default()
    }

    /// The set is on its way out. Its Pods keep what they have.
    pub(super) fn is_deleting(&self) -> bool {
        self.set.object().metadata.deletion_timestamp.is_some()
    }

    pub(super) fn old_status(&self) -> SidecarSetStatus {
        self.set.object().status.clone().unwrap_or_default()
    }
}
