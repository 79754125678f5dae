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
    let phase = match pod.status.phase.as_deref() {
        Some("Pending") | None => 0,
        Some("Running") => 2,
        Some(_) => 1,
    };
    (pod.spec.node_name.is_some(), phase, pod.is_ready())
}

fn age(pod: &Pod) -> Reverse<Option<Timestamp>> {
    Reverse(pod.metadata.creation_timestamp.as_ref().map(|t| t.0))
}

/// Updates: what is drained already, then what serves least, then the youngest. The name makes the
/// order total, so that two passes over the same Pods choose the same ones.
pub(crate) fn update_key(pod: &Pod) -> impl Ord + use<'_> {
    let drained = matches!(pod.gate(), Gate::Closed { .. });
    let since = Reverse(pod.ready_since());
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
    let since = Reverse(pod.ready_since());
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
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(value: serde_json::Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn deletion_cost_takes_plain_numbers_only() {
        for (text, cost) in [("10", 10), ("-3", -3), ("+5", 0), ("007", 0), ("x", 0)] {
            let p =
                pod(json!({"metadata": {"annotations": {names::DELETION_COST_ANNOTATION: text}}}));
            assert_eq!(deletion_cost(&p), cost, "{text}");
        }
    }

    #[test]
    fn pending_pods_go_before_running_ones_and_unready_before_ready() {
        let running = |ready: &str| {
            json!({"metadata": {"name": ready}, "spec": {"nodeName": "n"},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}})
        };
        let pending = pod(json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n"},
            "status": {"phase": "Pending"}}));
        let unassigned = pod(json!({"metadata": {"name": "u"}, "status": {"phase": "Pending"}}));
        let pods = [
            pod(running("True")),
            pending,
            pod(running("False")),
            unassigned,
        ];
        let mut keys: Vec<_> = pods
            .iter()
            .map(|p| {
                (
                    delete_key(p, Loss::Nothing, spread::Rank::default()),
                    p.name(),
                )
            })
            .collect();
        keys.sort();
        let names: Vec<_> = keys.iter().map(|(_, name)| *name).collect();
        assert_eq!(names, ["u", "p", "False", "True"]);
    }
}
