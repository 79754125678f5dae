//! Where the time of an update in place goes, Pod by Pod, as the events of a watch tell it.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use crate::follow::Seen;
use crate::pod::Pod;

/// When a Pod was first seen in each state.
#[derive(Default)]
struct Marks {
    drained: Option<Instant>,
    patched: Option<Instant>,
    observed: Option<Instant>,
    opened: Option<Instant>,
    running: Option<Instant>,
    ready: Option<Instant>,
}

/// Mean seconds of each step. The first four are one after the other; the container starts in the
/// midst of the last two.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Steps {
    /// Gate closed to image changed.
    drain_to_patch_s: f64,
    /// Image changed to seen by the kubelet.
    patch_to_observed_s: f64,
    /// Seen by the kubelet to gate open.
    observed_to_open_s: f64,
    /// Gate open to Ready.
    open_to_ready_s: f64,
    /// Image changed to new container running.
    patch_to_running_s: f64,
    /// One Pod Ready to the next one drained.
    ready_to_next_drain_s: f64,
}

impl Steps {
    /// From the Pods as they were `before` and everything `seen` since.
    pub(crate) fn of(before: &BTreeMap<String, Pod>, seen: &[Seen]) -> Self {
        let mut marks: BTreeMap<&str, Marks> = BTreeMap::new();
        for seen in seen {
            if let Some(before) = before.get(seen.pod.name()) {
                marks.entry(before.name()).or_default().take(before, seen);
            }
        }
        let mut marks: Vec<Marks> = marks.into_values().collect();
        marks.sort_by_key(|marks| marks.drained);
        let step = |from: fn(&Marks) -> Option<Instant>, to: fn(&Marks) -> Option<Instant>| {
            mean(marks.iter().map(|marks| (from(marks), to(marks))))
        };
        Self {
            drain_to_patch_s: step(|m| m.drained, |m| m.patched),
            patch_to_observed_s: step(|m| m.patched, |m| m.observed),
            observed_to_open_s: step(|m| m.observed, |m| m.opened),
            open_to_ready_s: step(|m| m.opened, |m| m.ready),
            patch_to_running_s: step(|m| m.patched, |m| m.running),
            ready_to_next_drain_s: mean(marks.windows(2).map(|two| (two[0].ready, two[1].drained))),
        }
    }

    /// The mean of several rounds.
    pub(crate) fn mean(rounds: &[Self]) -> Self {
        let mean = |field: fn(&Self) -> f64| crate::mean(rounds.iter().map(field));
        Self {
            drain_to_patch_s: mean(|s| s.drain_to_patch_s),
            patch_to_observed_s: mean(|s| s.patch_to_observed_s),
            observed_to_open_s: mean(|s| s.observed_to_open_s),
            open_to_ready_s: mean(|s| s.open_to_ready_s),
            patch_to_running_s: mean(|s| s.patch_to_running_s),
            ready_to_next_drain_s: mean(|s| s.ready_to_next_drain_s),
        }
    }
}

impl Marks {
    fn take(&mut self, before: &Pod, Seen { at, pod }: &Seen) {
        let mark = |mark: &mut Option<Instant>, holds: bool| {
            if holds {
                mark.get_or_insert(*at);
            }
            mark.is_some()
        };
        let is_patched = pod.metadata.generation > before.metadata.generation;
        let is_drained = mark(&mut self.drained, pod.gate() == Some(false));
        let is_patched = mark(&mut self.patched, is_drained && is_patched);
        let generation = pod.metadata.generation;
        mark(
            &mut self.observed,
            is_patched && pod.has_observed(generation),
        );
        let is_opened = mark(&mut self.opened, is_patched && pod.gate() == Some(true));
        let is_running = mark(
            &mut self.running,
            is_patched && pod.runs_another_than(before),
        );
        mark(&mut self.ready, is_opened && is_running && pod.is_ready());
    }
}

fn mean(pairs: impl Iterator<Item = (Option<Instant>, Option<Instant>)>) -> f64 {
    let seconds = pairs.filter_map(|(from, to)| {
        let (from, to) = (from?, to?);
        // The next Pod may be drained before the event of the last one has reached us.
        Some(to.saturating_duration_since(from).as_secs_f64())
    });
    crate::mean(seconds)
}
