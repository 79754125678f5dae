//! Who goes first: for updates and for deletion. Keys only; sorting is the caller's.

use std::cmp::Reverse;

use apis::names;
use jiff::Timestamp;

use crate::Pod;
use crate::budget::Loss;
use crate::pod::Gate;

pub(crate) mod priority;
pub(crate) mod scatter;
pub mod spread;

/// What makes a Pod cheap to lose, cheapest first.
type Worth = (bool, u8, bool);

fn worth(pod: &Pod) -> Worth {
    (pod.spec.node_name.is_some(), pod.stage(), pod.is_ready())
}

/// The latest time first; a time that is not known counts as now.
fn newest(time: Option<Timestamp>) -> (bool, Reverse<Option<Timestamp>>) {
    (time.is_some(), Reverse(time))
}

fn age(pod: &Pod) -> (bool, Reverse<Option<Timestamp>>) {
    newest(pod.metadata.creation_timestamp.as_ref().map(|t| t.0))
}

/// Updates: what is drained already, then what serves least, then the youngest. The name makes the
/// order total, so that two passes over the same Pods choose the same ones.
pub(crate) fn update_key(pod: &Pod) -> impl Ord + use<'_> {
    let drained = matches!(pod.gate(), Gate::Closed { .. });
    let since = newest(pod.ready_since());
    (
        !drained,
        worth(pod),
        since,
        Reverse(pod.restarts()),
        age(pod),
        pod.name(),
    )
}

/// Deletion: what serves least, then the lower deletion cost, then the youngest. `lost` says what
/// goes with it: a Pod that serves but is not available yet goes before one that is. Of Pods that
/// are worth the same, those of the higher `rank` go first.
pub(crate) fn delete_key(pod: &Pod, lost: Loss, rank: spread::Rank) -> impl Ord + use<'_> {
    let since = newest(pod.ready_since());
    let restarts = Reverse(pod.restarts());
    let (assigned, phase, ready) = worth(pod);
    (
        (assigned, phase, lost == Loss::Available, ready),
        deletion_cost(pod),
        Reverse(rank),
        since,
        restarts,
        age(pod),
        pod.name(),
    )
}

/// `controller.kubernetes.io/pod-deletion-cost`; a text that is no plain `i32` counts as 0, as
/// the annotation's own rules say (no `+`, no leading zeros).
fn deletion_cost(pod: &Pod) -> i32 {
    let text = pod.annotations().get(names::DELETION_COST_ANNOTATION);
    let parsed = text.and_then(|t| t.parse::<i32>().ok().filter(|n| n.to_string() == **t));
    parsed.unwrap_or_default()
}

#[cfg(test)]
mod tests;
