//! The floor: what the kubelet itself needs for a gated Pod whose image changes, with nobody else
//! involved. Drained, patched, put back into service as soon as the kubelet has seen the patch.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::follow::{Follow, Seen};
use crate::pod::Pod;
use crate::pods::Pods;
use crate::steps::Steps;

/// When the next Pod follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// After a pause, which is not counted. It is no multiple of the second at which the kubelet
    /// looks at its containers, so an update does not begin where the last one ended.
    Paused,
    /// At once, as a rollout of one Pod at a time goes. Each update then begins just after the
    /// kubelet has looked, and waits almost a second until it does so again.
    BackToBack,
}

const PAUSE: Duration = Duration::from_millis(1500);

/// One Pod after the other.
#[derive(Debug, Serialize)]
pub(crate) struct Floor {
    /// Mean seconds from the drain to Ready on the new container.
    pub(crate) mean_s: f64,
    pub(crate) max_s: f64,
    pub(crate) steps: Steps,
}

/// Updates every one of `names` to `image`.
pub(crate) async fn measure(
    pods: &Pods,
    names: &[String],
    image: &str,
    pace: Pace,
) -> Result<Floor> {
    let before = pods.by_name().await?;
    let mut events = Follow::start(pods).await?;
    let (mut log, mut took) = (Vec::new(), Vec::new());
    for name in names {
        if pace == Pace::Paused {
            tokio::time::sleep(PAUSE).await;
        }
        let before = before.get(name).context("a Pod is gone")?;
        took.push(
            update(pods, &mut events, &mut log, before, image)
                .await?
                .as_secs_f64(),
        );
    }
    let steps = Steps::of(&before, &log);
    let max_s = took.iter().copied().fold(0.0, f64::max);
    Ok(Floor {
        mean_s: crate::mean(took.into_iter()),
        max_s,
        steps,
    })
}

async fn update(
    pods: &Pods,
    events: &mut Follow,
    log: &mut Vec<Seen>,
    before: &Pod,
    image: &str,
) -> Result<Duration> {
    let name = before.name();
    let start = Instant::now();
    pods.drain(name).await?;
    let generation = pods.image(name, image).await?;
    let mut is_open = false;
    loop {
        let seen = events.next().await?;
        log.push(seen.clone());
        let Seen { at, pod } = seen;
        if pod.name() != name || at < start {
            continue;
        }
        if !is_open && pod.has_observed(generation) {
            pods.open(name).await?;
            is_open = true;
        } else if is_open && pod.runs_another_than(before) && pod.is_ready() {
            return Ok(at - start);
        }
    }
}
