//! One update of a whole CloneSet, with what it cost the manager.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use cluster::Cluster;
use harness::writes::Writes;
use serde::Serialize;

use crate::manager::Manager;
use crate::process::Machine;
use crate::rollout::CALM;
use crate::serial::uids;
use crate::set::Set;

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Update {
    pub(crate) took_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) passes: f64,
    /// Time in passes, mostly spent waiting for the API server.
    passes_s: f64,
    /// The manager's writes by verb and resource, Events left out.
    writes_total: BTreeMap<String, usize>,
    pub(crate) events: usize,
    pub(crate) uids_kept: usize,
    idle_share: f64,
}

impl Update {
    /// How many writes there were.
    pub(crate) fn writes(&self) -> f64 {
        let total = self.writes_total.values().sum::<usize>();
        u32::try_from(total).map_or(f64::INFINITY, f64::from)
    }
}

/// Changes the image and waits until the status says that all Pods are updated and Ready.
pub(crate) async fn measure(
    cluster: &Cluster,
    namespace: &str,
    manager: &Manager,
    (set, image): (&Set<'_>, &str),
) -> Result<Update> {
    let before = set.pods.by_name().await?;
    let writes = Writes::from_now(cluster).context("no audit log")?;
    let counted = manager.counters().await?;
    let (cpu, machine) = (manager.process.cpu_s()?, Machine::now()?);
    let start = Instant::now();
    let generation = set.image(image).await?;
    set.settled(generation).await?;
    let took_s = start.elapsed().as_secs_f64();
    let (cpu_s, idle_share) = (manager.process.cpu_s()? - cpu, machine.idle_share()?);
    let counters = manager.counters().await?;
    // Events and the last counts of the status may come a little later; they belong to it.
    tokio::time::sleep(CALM).await;
    let after = set.pods.by_name().await?;
    Ok(Update {
        took_s,
        cpu_s,
        passes: counters.passes - counted.passes,
        passes_s: counters.passes_s - counted.passes_s,
        writes_total: writes.of_manager(namespace),
        events: writes.events_of_manager(namespace),
        uids_kept: uids(&before).intersection(&uids(&after)).count(),
        idle_share,
    })
}
