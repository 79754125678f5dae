//! The manager's turn: the same Pods, one at a time, driven by a CloneSet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::{Recorder, Shop};
use serde::Serialize;
use serde_json::{Value, json};

use crate::follow::{Follow, Seen};
use crate::manager::Manager;
use crate::pod::Pod;
use crate::set::Set;
use crate::steps::Steps;
use crate::wait::Progress;

/// For how long things may calm down.
pub(crate) const CALM: Duration = Duration::from_secs(3);

/// One rollout.
#[derive(Debug, Serialize)]
pub(crate) struct Serial {
    /// From the change of the CloneSet to the last Pod Ready on its new container, by Pod.
    pub(crate) mean_s: f64,
    /// From the change of the CloneSet to the first drain.
    pub(crate) change_to_drain_s: f64,
    pub(crate) steps: Steps,
    /// Events at which a drained Pod was Ready on its old container.
    pub(crate) ready_on_old: usize,
    /// Events at which a Pod that was back in service lost Ready again.
    pub(crate) flaps: usize,
}

/// Creates a CloneSet of `count` Pods like `pod`, updates it to `image`, deletes it.
pub(crate) async fn measure(
    shop: &Shop,
    manager: &Manager,
    count: i32,
    (pod, image): (&Value, &str),
) -> Result<Serial> {
    let set = Set::new(shop, manager, count);
    set.create(pod, &json!(1)).await?;
    // The kubelet is still busy with Pods that have just become Ready.
    tokio::time::sleep(CALM).await;
    let before = set.pods.by_name().await?;
    let recorder = Recorder::start(shop.pods.clone(), &set.pods.selector()).await;
    let mut events = Follow::start(&set.pods).await?;

    let start = Instant::now();
    let generation = set.image(image).await?;
    let log = all_ready(&mut events, &before).await?;
    let took = log
        .last()
        .map_or_else(|| start.elapsed(), |last| last.at - start);
    let drained = log.iter().find(|seen| seen.pod.gate() == Some(false));
    let first_drain = drained.map_or(took, |seen| seen.at.saturating_duration_since(start));

    // What may never happen could still do so in the moments after the last Pod.
    set.settled(generation).await?;
    tokio::time::sleep(CALM).await;
    let after = set.pods.by_name().await?;
    ensure!(uids(&before) == uids(&after), "Pods were replaced");
    let (ready_on_old, flaps) = (recorder.ready_on_old().len(), recorder.flaps().len());
    set.delete().await?;
    Ok(Serial {
        mean_s: took.as_secs_f64() / f64::from(count),
        change_to_drain_s: first_drain.as_secs_f64(),
        steps: Steps::of(&before, &log),
        ready_on_old,
        flaps,
    })
}

/// Everything until each Pod was Ready on another container than `before`.
async fn all_ready(events: &mut Follow, before: &BTreeMap<String, Pod>) -> Result<Vec<Seen>> {
    let (mut log, mut ready) = (Vec::new(), BTreeSet::new());
    let mut progress = Progress::new();
    while ready.len() < before.len() {
        let seen = events.next().await?;
        if let Some(before) = before.get(seen.pod.name())
            && seen.pod.is_ready()
            && seen.pod.runs_another_than(before)
        {
            ready.insert(before.name());
        }
        log.push(seen);
        progress.tell(|| format!("{} of {} Pods are updated", ready.len(), before.len()));
    }
    Ok(log)
}

/// UIDs by name.
pub(crate) fn uids(pods: &BTreeMap<String, Pod>) -> BTreeSet<&str> {
    pods.values().map(|pod| pod.metadata.uid.as_str()).collect()
}
