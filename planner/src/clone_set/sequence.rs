//! The sequence in which Pods are updated.

use std::sync::Arc;

use super::{Fate, PodView};
use crate::Snapshot;
use crate::order::priority::{self, Place};
use crate::order::{scatter, update_key};
use crate::pod::{Kin, Words};

/// Sorts `pods` by who is updated first: what the spec says, and below that what serves least.
/// Whoever was begun with stays in front, because it holds a part of the budget.
pub(super) fn arrange<'a>(s: &Snapshot, pods: &mut Vec<PodView<'a>>) {
    sort(pods);
    if priority::is_none(&s.set.priority) && s.set.scatter.is_empty() {
        return;
    }
    if !priority::is_none(&s.set.priority) {
        let alike = !priority::tells_kin_apart(&s.set.priority);
        let mut last: Option<(&'a Arc<Kin>, Place)> = None;
        pods.sort_by_cached_key(|p| {
            let is_kin = |(kin, _): &(&Arc<Kin>, _)| p.kin.is_some_and(|k| Arc::ptr_eq(k, kin));
            let place = match last.filter(is_kin) {
                Some((_, place)) => place,
                None => priority::place(&s.set.priority, p.pod.labels()),
            };
            last = p.kin.filter(|_| alike).map(|kin| (kin, place));
            (!is_begun(p), p.current, place)
        });
    }
    if !s.set.scatter.is_empty() {
        scatter_pods(s, pods);
    }
    pods.sort_by_key(|p| p.fate != Fate::InFlight);
}

/// Sorts by everything but what the spec says. Of equal Pods the one goes first that comes first in
/// the snapshot, which is in the order of names.
fn sort(pods: &mut [PodView<'_>]) {
    let places = 0..u32::try_from(pods.len()).unwrap_or(u32::MAX);
    // One number sorts several times faster than all there is to compare, and tells nearly all Pods
    // apart: what it leaves out of the time is less than a microsecond.
    let mut keys: Vec<(u64, u32)> = pods
        .iter()
        .zip(places)
        .map(|(p, place)| {
            // What was begun keeps its place: nobody else is chosen for it while the answer is
            // out. Pods of a half-done rollout, at neither revision, go before those that the
            // partition would rather keep.
            let begun = [p.fate != Fate::InFlight, !p.is_preparing(), p.current];
            let begun = begun
                .into_iter()
                .fold(0, |bits, bit| bits << 1 | u64::from(bit));
            let (class, since, ..) = update_key(p.facts);
            ((begun << 6 | u64::from(class)) << 55 | since >> 9, place)
        })
        .collect();
    keys.sort_unstable_by(|(a, at), (b, bt)| {
        let key = |place: &u32| (update_key(pods[*place as usize].facts), *place);
        a.cmp(b).then_with(|| key(at).cmp(&key(bt)))
    });
    let sequence = keys.into_iter().map(|(_, place)| place as usize);
    let mut sequence: Vec<usize> = sequence.collect();
    for to in 0..sequence.len() {
        // Who stood there may have been swapped away.
        let mut from = sequence[to];
        while from < to {
            from = sequence[from];
        }
        sequence[to] = from;
        pods.swap(to, from);
    }
}

fn is_begun(p: &PodView<'_>) -> bool {
    p.is_preparing() || p.facts.is_shut()
}

/// Spreads old Pods among themselves and updated ones among themselves: a rollout chooses from the
/// former, one that goes back from the latter.
fn scatter_pods(s: &Snapshot, pods: &mut Vec<PodView<'_>>) {
    let active: Vec<&Words> = pods
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
