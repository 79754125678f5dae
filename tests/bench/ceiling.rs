//! The ceiling: how many gated Pods a second the cluster lets anybody update in place. Every Pod
//! costs the three writes it must cost, and one watch tells when the last of them is due.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use futures::channel::mpsc::{self, UnboundedSender};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use crate::follow::{Follow, Seen};
use crate::pod::Pod;
use crate::pods::Pods;
use crate::process::Machine;
use crate::wait::Progress;

/// Measured with a number of drivers.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Ceiling {
    drivers: usize,
    pub(crate) pods_per_s: f64,
    idle_share: f64,
}

/// Updates all `pods` to `image` with `drivers` writes of each sort in flight, until the last one
/// is Ready on its new container.
pub(crate) async fn measure(pods: &Pods, image: &str, drivers: usize) -> Result<Ceiling> {
    let before = pods.by_name().await?;
    let mut events = Follow::start(pods).await?;
    let (due, opening) = mpsc::unbounded();
    let (start, machine) = (Instant::now(), Machine::now()?);
    let patches = stream::iter(before.keys()).map(|name| async move {
        pods.drain(name).await?;
        pods.image(name, image).await.map(drop)
    });
    let patches = patches.buffer_unordered(drivers).try_collect::<()>();
    let openings = opening.map(|name: String| async move { pods.open(&name).await });
    let openings = openings.buffer_unordered(drivers).try_collect::<()>();
    let ((), (), end) = tokio::try_join!(patches, openings, follow(&mut events, &before, due))?;
    let pods_per_s = f64::from(u32::try_from(before.len())?) / (end - start).as_secs_f64();
    println!("  ceiling with {drivers} drivers: {pods_per_s:.1} Pods/s");
    Ok(Ceiling {
        drivers,
        pods_per_s,
        idle_share: machine.idle_share()?,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Old,
    Opening,
    Ready,
}

/// Says which gates are due; ends when all Pods are Ready.
async fn follow(
    events: &mut Follow,
    before: &BTreeMap<String, Pod>,
    due: UnboundedSender<String>,
) -> Result<Instant> {
    let mut states: BTreeMap<&str, State> = before
        .keys()
        .map(|name| (name.as_str(), State::Old))
        .collect();
    let mut progress = Progress::new();
    let mut ready = 0;
    loop {
        let Seen { at, pod } = events.next().await?;
        let (Some(before), Some(state)) = (before.get(pod.name()), states.get_mut(pod.name()))
        else {
            continue;
        };
        let generation = pod.metadata.generation;
        let is_patched = generation > before.metadata.generation;
        match state {
            State::Old if is_patched && pod.has_observed(generation) => {
                *state = State::Opening;
                due.unbounded_send(pod.metadata.name)
                    .context("nobody opens gates")?;
            }
            State::Opening if pod.is_ready() && pod.runs_another_than(before) => {
                *state = State::Ready;
                ready += 1;
            }
            State::Old | State::Opening | State::Ready => {}
        }
        progress.tell(|| format!("{ready} of {} Pods are updated", states.len()));
        if ready == states.len() {
            return Ok(at);
        }
    }
}
