//! How many Pods may be unavailable, and how many still may become so. Sums only, no Pods.

use apis::int_or_percent::{IntOrPercent, Round};
use apis::update_strategy::UpdateStrategyType;
use apis::validation::clone_set::Effective;

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

/// `maxUnavailable` as a number of Pods. A percentage rounds up; beside a surge, which makes room
/// as well, it rounds down, yet never to nothing.
pub fn max_unavailable(set: &Effective) -> u32 {
    let round = if max_surge(set) > 0 {
        Round::Down
    } else {
        Round::Up
    };
    set.max_unavailable.budget_of(set.replicas, round)
}

/// How many Pods there may be above `replicas`. None while no Pod is to be updated.
pub fn max_surge(set: &Effective) -> u32 {
    match set.strategy {
        UpdateStrategyType::RollingUpdate if !set.paused => {
            set.max_surge.of(set.replicas, Round::Up)
        }
        UpdateStrategyType::RollingUpdate | UpdateStrategyType::OnDelete => 0,
    }
}

/// `scaleStrategy.maxUnavailable` as a number of Pods.
pub fn scale_max_unavailable(set: &Effective) -> Option<u32> {
    let max = set.scale_max_unavailable?;
    Some(max.of(set.replicas, Round::Up))
}

/// What is lost for a while when a Pod is drained or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// An available Pod.
    Available,
    /// A Pod that serves and does not count as available: too young, or its kubelet has yet to
    /// see a change of its spec. When every Pod is such a Pod, taking all of them is an outage.
    Serving,
    /// It serves nobody.
    Nothing,
}

/// What is left of `maxUnavailable` while effects are being chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Available Pods, less those that chosen effects take away.
    pub available: u32,
    /// Pods that serve, available or not, less those that chosen effects take away.
    pub serving: u32,
    /// So many must stay.
    pub floor: u32,
}

impl Budget {
    /// A budget for `replicas` desired Pods of which `max_unavailable` may be missing, with
    /// `available` available now. Pods that do not exist yet count as unavailable.
    pub fn new(replicas: u32, max_unavailable: u32, available: u32) -> Self {
        Self {
            available,
            serving: available,
            floor: replicas.saturating_sub(max_unavailable),
        }
    }

    /// The same with `serving` Pods that serve, the available ones among them.
    #[must_use]
    pub fn with_serving(self, serving: u32) -> Self {
        Self {
            serving: serving.max(self.available),
            ..self
        }
    }

    /// Takes one Pod away if that is allowed.
    #[must_use]
    pub fn may_lose(&mut self, loss: Loss) -> bool {
        let allowed = match loss {
            Loss::Available => self.available > self.floor,
            Loss::Serving => self.serving > self.floor,
            Loss::Nothing => return true,
        };
        if allowed {
            self.serving -= 1;
            self.available -= u32::from(loss == Loss::Available);
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
        assert!(budget.may_lose(Loss::Available) && budget.may_lose(Loss::Available));
        assert!(!budget.may_lose(Loss::Available));
    }

    #[test]
    fn pods_that_are_missing_or_broken_use_the_budget() {
        assert!(!Budget::new(5, 1, 4).may_lose(Loss::Available));
        assert!(!Budget::new(5, 1, 2).may_lose(Loss::Available));
    }

    #[test]
    fn pods_beyond_replicas_add_to_the_budget() {
        let mut budget = Budget::new(5, 0, 6);
        assert!(budget.may_lose(Loss::Available));
        assert!(!budget.may_lose(Loss::Available));
    }

    #[test]
    fn pods_that_serve_without_being_available_yet_are_not_all_taken_at_once() {
        let mut budget = Budget::new(5, 1, 0).with_serving(5);
        assert!(budget.may_lose(Loss::Serving));
        assert!(!budget.may_lose(Loss::Serving));
        assert!(
            budget.may_lose(Loss::Nothing),
            "a broken Pod is always free"
        );
    }

    #[test]
    fn available_and_serving_pods_share_one_floor() {
        let mut budget = Budget::new(5, 2, 4).with_serving(5);
        assert!(budget.may_lose(Loss::Serving));
        assert!(budget.may_lose(Loss::Available));
        assert!(!budget.may_lose(Loss::Serving) && !budget.may_lose(Loss::Available));
    }
}
