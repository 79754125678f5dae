//! How many Pods may be unavailable, and how many still may become so. Sums only, no Pods.

use apis::int_or_percent::{IntOrPercent, Round};

/// How many Pods stay at the old revision.
///
/// A percentage rounds up, but unless it says `100%` at least one of several Pods is updated: a
/// canary of 1 % is one Pod, not none.
pub fn partition(partition: IntOrPercent, replicas: u32) -> u32 {
    let kept = partition.of(replicas, Round::Up);
    match partition {
        IntOrPercent::Percent(1..=99) if replicas > 1 && kept >= replicas => replicas - 1,
        IntOrPercent::Int(_) | IntOrPercent::Percent(_) => kept.min(replicas),
    }
}

/// `maxUnavailable` as a number of Pods.
pub fn max_unavailable(max: IntOrPercent, replicas: u32) -> u32 {
    max.budget_of(replicas, Round::Up)
}

/// What is left of `maxUnavailable` while effects are being chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Available Pods, less those that chosen effects take away.
    pub available: u32,
    /// So many must stay available.
    pub floor: u32,
}

impl Budget {
    /// A budget for `replicas` desired Pods of which `max_unavailable` may be missing, with
    /// `available` available now. Pods that do not exist yet count as unavailable.
    pub fn new(replicas: u32, max_unavailable: u32, available: u32) -> Self {
        Self {
            available,
            floor: replicas.saturating_sub(max_unavailable),
        }
    }

    /// Takes one available Pod away if that is allowed.
    #[must_use]
    pub fn may_disrupt(&mut self) -> bool {
        let allowed = self.available > self.floor;
        if allowed {
            self.available -= 1;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_keeps_so_many_pods_at_the_old_revision() {
        assert_eq!(partition(IntOrPercent::Int(4), 5), 4);
        assert_eq!(partition(IntOrPercent::Percent(40), 5), 2);
        assert_eq!(partition(IntOrPercent::Int(9), 5), 5);
    }

    #[test]
    fn a_percentage_below_100_leaves_at_least_one_pod_to_update() {
        assert_eq!(partition(IntOrPercent::Percent(99), 5), 4);
        assert_eq!(partition(IntOrPercent::Percent(99), 4), 3);
        assert_eq!(partition(IntOrPercent::Percent(100), 4), 4);
        assert_eq!(partition(IntOrPercent::Percent(50), 1), 1);
    }

    #[test]
    fn the_budget_runs_out_at_its_floor() {
        let mut budget = Budget::new(5, 2, 5);
        assert!(budget.may_disrupt() && budget.may_disrupt());
        assert!(!budget.may_disrupt());
    }

    #[test]
    fn pods_that_are_missing_or_broken_use_the_budget() {
        assert!(!Budget::new(5, 1, 4).may_disrupt());
        assert!(!Budget::new(5, 1, 2).may_disrupt());
    }

    #[test]
    fn pods_beyond_replicas_add_to_the_budget() {
        let mut budget = Budget::new(5, 0, 6);
        assert!(budget.may_disrupt());
        assert!(!budget.may_disrupt());
    }
}
