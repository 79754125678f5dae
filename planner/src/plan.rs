//! What a decision comes to: writes, status, when to look again.

use apis::CloneSetStatus;
use jiff::Timestamp;

use crate::budget::Budget;
use crate::effect::{Disruption, Effect};
use crate::reason::Reason;
use crate::snapshot::Snapshot;

/// Everything to do about one snapshot.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// Writes, in the order in which they matter.
    pub effects: Vec<Effect>,
    /// The status as observed; it never speaks of effects that have not happened.
    pub status: CloneSetStatus,
    /// Look again then, even if nothing happens.
    pub wake_at: Option<Timestamp>,
    /// Every Pod of the set, by its place among the Pods of the snapshot, with its one reason.
    pub pods: Vec<(usize, Reason)>,
    /// What the effects may take away, as it was before any was chosen.
    pub budget: Budget,
}

/// A plan that would break a promise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "plan takes {disrupted} of {available} available Pods away although {floor} must stay; \
     nothing is done"
)]
pub struct OverBudget {
    /// Available Pods that effects take away.
    pub disrupted: u32,
    /// Available Pods.
    pub available: u32,
    /// So many must stay.
    pub floor: u32,
}

impl Plan {
    /// Nothing is done, and the status stays as it is: `s` is older than what others know.
    pub(crate) fn nothing(s: &Snapshot) -> Self {
        Self {
            effects: Vec::new(),
            status: s.set.object().status.clone().unwrap_or_default(),
            wake_at: None,
            pods: Vec::new(),
            budget: Budget::new(0, 0, 0),
        }
    }

    /// Counts the effects against the budget once more, independently of how they were chosen.
    ///
    /// # Errors
    /// [`OverBudget`], which means a fault in the planner: the caller performs nothing.
    pub fn check(&self) -> Result<(), OverBudget> {
        check(self.effects.iter(), self.budget)
    }
}

/// Counts `effects` against `budget`, as it was before any of them was chosen.
pub(crate) fn check<'a>(
    effects: impl Iterator<Item = &'a Effect>,
    budget: Budget,
) -> Result<(), OverBudget> {
    let counted = effects
        .filter(|e| e.disruption() == Disruption::Counted)
        .count();
    let disrupted = u32::try_from(counted).unwrap_or(u32::MAX);
    let Budget {
        available, floor, ..
    } = budget;
    if disrupted == 0 || available.saturating_sub(disrupted) >= floor {
        Ok(())
    } else {
        Err(OverBudget {
            disrupted,
            available,
            floor,
        })
    }
}
