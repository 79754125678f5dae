//! The sequence in which Pods are updated.

use std::collections::BTreeMap;

use super::{Goal, PodView};
use crate::Snapshot;
use crate::order::{priority, scatter, update_key};
use crate::pod::Gate;

/// Sorts `pods` by who is updated first: what the spec says, and below that what serves least.
/// Whoever was begun with stays in front, because it holds a part of the budget.
pub(super) fn arrange(s: &Snapshot, goal: &Goal, pods: &mut Vec<PodView<'_>>) {
    pods.sort_by_cached_key(|p| (!p.is_preparing(), goal.keeps(p), update_key(p.pod)));
    if !priority::is_none(&s.set.priority) {
        pods.sort_by_cached_key(|p| {
            let place = priority::place(&s.set.priority, p.pod.labels());
            (!is_begun(p), goal.keeps(p), place)
        });
    }
    if !s.set.scatter.is_empty() {
        scatter_pods(s, pods);
    }
}

fn is_begun(p: &PodView<'_>) -> bool {
    p.is_preparing() || matches!(p.pod.gate(), Gate::Closed { .. })
}

/// Spreads old Pods among themselves and updated ones among themselves: a rollout chooses from the
/// former, one that goes back from the latter.
fn scatter_pods(s: &Snapshot, pods: &mut Vec<PodView<'_>>) {
    let active: Vec<&BTreeMap<String, String>> = pods
        .iter()
        .filter(|p| p.is_active())
        .map(|p| p.pod.labels())
        .collect();
    let group = |p: &PodView<'_>| match (p.is_active(), is_begun(p), p.updated) {
        (true, true, _) => 0,
        (true, false, false) => 1,
        (true, false, true) => 2,
        (false, ..) => 3,
    };
    let mut place: Vec<(u8, usize)> = pods.iter().map(|p| (group(p), 0)).collect();
    for of in [1, 2] {
        let members: Vec<usize> = (0..pods.len()).filter(|i| place[*i].0 == of).collect();
        let labels: Vec<_> = members.iter().map(|i| pods[*i].pod.labels()).collect();
        let sequence = scatter::sequence(&s.set.scatter, &labels, &active);
        for (position, member) in sequence.into_iter().enumerate() {
            place[members[member]].1 = position;
        }
    }
    let mut placed: Vec<_> = place.into_iter().zip(std::mem::take(pods)).collect();
    placed.sort_by_key(|(place, _)| *place);
    pods.extend(placed.into_iter().map(|(_, p)| p));
}
