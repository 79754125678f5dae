//! Who goes first: for updates and for deletion. Keys only; sorting is the caller's.

use std::cmp::Reverse;

use apis::names;

use crate::Pod;
use crate::budget::Loss;
use crate::pod::Facts;

pub(crate) mod priority;
pub(crate) mod scatter;
pub mod spread;

/// What makes a Pod cheap to lose, cheapest first.
type Worth = (bool, u8, bool);

fn worth(facts: &Facts) -> Worth {
    (facts.is_assigned, facts.stage, facts.is_ready)
}

/// Updates: what is drained already, then what serves least, then the youngest. Of Pods that are
/// equal in all of that the first by name goes first, so that two passes over the same Pods choose
/// the same ones.
pub(crate) fn update_key(facts: &Facts) -> (u8, u64, Reverse<i32>, u64) {
    let (assigned, phase, ready) = worth(facts);
    let class =
        u8::from(!facts.is_shut()) << 5 | u8::from(assigned) << 4 | phase << 1 | u8::from(ready);
    let restarts = Reverse(facts.restarts.max(0));
    (class, facts.since_key, restarts, facts.age_key)
}

/// Deletion: what serves least, then the lower deletion cost, then the youngest. `lost` says what
/// goes with it: a Pod that serves but is not available yet goes before one that is. Of Pods that
/// are worth the same, those of the higher `rank` go first.
pub(crate) fn delete_key(pod: &Pod, lost: Loss, rank: spread::Rank) -> impl Ord + use<'_> {
    let facts = pod.facts();
    let (assigned, phase, ready) = worth(facts);
    (
        (assigned, phase, lost == Loss::Available, ready),
        deletion_cost(pod),
        Reverse(rank),
        facts.since_key,
        Reverse(facts.restarts),
        facts.age_key,
        pod.name(),
    )
}

/// `controller.kubernetes.io/pod-deletion-cost`; a text that is no plain `i32` counts as 0, as
/// the annotation's own rules say (no `+`, no leading zeros).
fn deletion_cost(pod: &Pod) -> i32 {
    let text = pod.annotations().get(names::DELETION_COST_ANNOTATION);
    let parsed = text.and_then(|t| t.parse::<i32>().ok().filter(|n| n.to_string() == *t));
    parsed.unwrap_or_default()
}

#[cfg(test)]
mod tests;
