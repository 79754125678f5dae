//! A rollout of many Pods at once on fake nodes: the manager against what the API server allows.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cluster::{Cluster, Options, RealNode};
use harness::Shop;
use harness::writes::Writes;
use serde_json::{Value, json};

use crate::ceiling;
use crate::manager::{Counters, Manager};
use crate::pods::{MAIN, Pods};
use crate::serial::uids;
use crate::set::Set;
use crate::stage::{self, Stage};
use crate::table::{Goal, Table};

const V1: &str = "docker.io/local/app:v1";
/// Tried for the ceiling, each with its own image.
const DRIVERS: [(usize, &str); 3] = [
    (8, "docker.io/local/app:v2"),
    (16, "docker.io/local/app:v3"),
    (32, "docker.io/local/app:v4"),
];
/// For how long things may calm down, and for how long a settled set is watched.
const CALM: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(30);

/// What the update cost.
struct Update {
    took_s: f64,
    cpu_s: f64,
    counters: Counters,
    writes: Vec<(String, usize)>,
    events: usize,
    kept: usize,
}

/// Fake nodes only: a thousand Pods each.
pub(crate) fn options(count: u32) -> Options {
    Options {
        real_node: RealNode::Never,
        fake_nodes: count / 1000 + 1,
        ..Options::new(stage::name("rollout"))
    }
}

pub(crate) async fn run(cluster: &Cluster, binary: &Path, count: u32) -> Result<()> {
    let client = harness::stage::client(cluster.kubeconfig().to_owned()).await;
    // The manager starts afterwards: it would watch the Pods of the ceiling as well.
    let ceilings = ceilings(client, count).await?;
    let Stage { client, manager } = stage::set(cluster, binary).await?;
    tokio::time::sleep(CALM).await;
    let idle_mb = manager.process.rss_mb()?;

    let shop = Shop::open(client, "bench").await;
    let set = Set::new(&shop, &manager, i32::try_from(count)?);
    println!("  CloneSet of {count} Pods: create");
    let (before, cpu) = (manager.counters().await?, manager.process.cpu_s()?);
    let create_s = set.create(&pod(), &json!("100%")).await?.as_secs_f64();
    let create_cpu_s = manager.process.cpu_s()? - cpu;
    let create_passes = manager.counters().await?.passes - before.passes;
    tokio::time::sleep(CALM).await;
    println!("  CloneSet of {count} Pods: update");
    let update = update(cluster, &shop, &manager, &set).await?;
    println!("  settled: {} s without a change", IDLE.as_secs());
    let writes = Writes::from_now(cluster).context("no audit log")?;
    let cpu = manager.process.cpu_s()?;
    tokio::time::sleep(IDLE).await;
    let idle_cpu_s = manager.process.cpu_s()? - cpu;
    let namespace = &shop.namespace;
    let idle_writes: usize =
        writes.of_manager(namespace).values().sum::<usize>() + writes.events_of_manager(namespace);

    let pods = f64::from(count);
    let ceiling = ceilings.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let (rate, total) = (
        pods / update.took_s,
        update.writes.iter().map(|(_, n)| n).sum::<usize>(),
    );
    let mut table = Table::new(format!("Rollout, all at once, {count} Pods on fake nodes"));
    table.count("pods", usize::try_from(count)?, Goal::None);
    table.row("create_s", create_s, 1, Goal::None);
    table.row("update_s", update.took_s, 1, Goal::None);
    table.row("pods_per_s", rate, 1, Goal::None);
    table.row("ceiling_pods_per_s", ceiling, 1, Goal::None);
    table.row("ratio", rate / ceiling, 2, Goal::AtLeast(0.7));
    table.row(
        "cpu_ms_per_pod",
        update.cpu_s * 1000.0 / pods,
        2,
        Goal::AtMost(2.5),
    );
    table.row(
        "writes_per_pod",
        f64::from(u32::try_from(total)?) / pods,
        2,
        Goal::None,
    );
    table.count("events", update.events, Goal::None);
    table.count("uids_kept", update.kept, Goal::AtLeast(pods));
    table.row("rss_idle_mb", idle_mb, 1, Goal::None);
    let rss_goal = if count <= 1000 {
        Goal::AtMost(40.0)
    } else {
        Goal::None
    };
    table.row("rss_mb", manager.process.rss_mb()?, 1, rss_goal);
    table.row("rss_peak_mb", manager.process.rss_peak_mb()?, 1, Goal::None);
    table.count("idle_writes", idle_writes, Goal::AtMost(0.0));
    table.row("idle_cpu_s", idle_cpu_s, 2, Goal::None);
    table.row("passes", update.counters.passes, 0, Goal::None);
    table.print();

    let mut result = table.json();
    result["ceilings"] = ceilings
        .iter()
        .map(|(n, rate)| json!({"drivers": n, "pods_per_s": rate}))
        .collect();
    result["writes_total"] = update.writes.into_iter().collect::<Value>();
    result["passes_s"] = json!(update.counters.passes_s);
    result["create_cpu_ms_per_pod"] = json!(create_cpu_s * 1000.0 / pods);
    result["create_passes"] = json!(create_passes);
    crate::write(&format!("rollout-{count}.json"), &result)
}

/// The Pod of both sides.
fn pod() -> Value {
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {"name": MAIN, "image": V1},
            {"name": "log", "image": "docker.io/local/log:v1"},
        ],
    })
}

/// Pods per second by number of drivers.
async fn ceilings(client: kube::Client, count: u32) -> Result<Vec<(usize, f64)>> {
    let shop = Shop::open(client, "bench-ceiling").await;
    let pods = Pods::new(shop.client.clone(), &shop.namespace, "ceiling");
    let names: Vec<String> = (0..count).map(|n| format!("ceiling-{n}")).collect();
    println!("  ceiling: {count} bare Pods");
    pods.create(&names, &pod(), 16).await?;
    pods.all_ready(names.len()).await?;
    let mut ceilings = Vec::new();
    for (drivers, image) in DRIVERS {
        tokio::time::sleep(CALM).await;
        let rate = ceiling::measure(&pods, image, drivers).await?;
        println!("  ceiling with {drivers} drivers: {rate:.1} Pods/s");
        ceilings.push((drivers, rate));
    }
    pods.delete().await?;
    shop.close().await;
    Ok(ceilings)
}

async fn update(
    cluster: &Cluster,
    shop: &Shop,
    manager: &Manager,
    set: &Set<'_>,
) -> Result<Update> {
    let before = set.pods.by_name().await?;
    let writes = Writes::from_now(cluster).context("no audit log")?;
    let (cpu, counters) = (manager.process.cpu_s()?, manager.counters().await?);
    let start = Instant::now();
    let generation = set.image(DRIVERS[0].1).await?;
    set.settled(generation).await?;
    let took_s = start.elapsed().as_secs_f64();
    let cpu_s = manager.process.cpu_s()? - cpu;
    let after = manager.counters().await?;
    // Events and the last counts of the status may come a little later; they belong to it.
    tokio::time::sleep(CALM).await;
    let pods = set.pods.by_name().await?;
    Ok(Update {
        took_s,
        cpu_s,
        counters: Counters {
            passes: after.passes - counters.passes,
            passes_s: after.passes_s - counters.passes_s,
        },
        writes: writes.of_manager(&shop.namespace).into_iter().collect(),
        events: writes.events_of_manager(&shop.namespace),
        kept: uids(&before).intersection(&uids(&pods)).count(),
    })
}
