//! A rollout of many Pods at once on fake nodes: the manager against what the API server allows.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use cluster::{Cluster, Options, RealNode};
use harness::Shop;
use harness::writes::Writes;
use serde_json::{Value, json};

use crate::ceiling::{self, Ceiling};
use crate::manager::Manager;
use crate::pod::MAIN;
use crate::pods::Pods;
use crate::set::Set;
use crate::stage::{self, Stage};
use crate::table::{Goal, Table};
use crate::update::{self, Update};

const V1: &str = "docker.io/local/app:v1";
/// Each is rolled out once by both sides.
const IMAGES: [&str; 3] = [
    "docker.io/local/app:v2",
    "docker.io/local/app:v3",
    "docker.io/local/app:v4",
];
/// Tried for the ceiling.
const DRIVERS: [usize; 3] = [8, 16, 32];
/// Pods to warm up with.
const FEW: i32 = 10;
/// For how long things may calm down, and for how long a settled set is watched.
pub(crate) const CALM: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(30);

/// What creating cost, and doing nothing before and after.
struct Rest {
    /// Memory of a manager that has never had anything to do.
    started_mb: f64,
    /// Memory of one that has nothing to do any more.
    idle_mb: f64,
    create_s: f64,
    create_cpu_s: f64,
    create_passes: f64,
    idle_writes: usize,
    idle_cpu_s: f64,
}

/// Fake nodes only: a thousand Pods each.
pub(crate) fn options(count: u32) -> Options {
    Options {
        real_node: RealNode::Never,
        fake_nodes: count / 1000 + 1,
        ..Options::new(stage::name("rollout"))
    }
}

/// Rounds of each side: the best of several, unless one takes minutes.
fn rounds(count: u32) -> usize {
    if count > 2000 { 1 } else { IMAGES.len() }
}

pub(crate) async fn run(cluster: &Cluster, binary: &Path, count: u32) -> Result<Value> {
    let client = harness::stage::client(cluster.kubeconfig().to_owned()).await;
    // The manager starts afterwards: it would watch the Pods of the ceiling as well.
    let ceilings = ceilings(client, count).await?;
    let Stage { client, manager } = stage::set(cluster, binary).await?;
    tokio::time::sleep(CALM).await;
    let started_mb = manager.process.rss_mb()?;
    warm_up(client.clone(), &manager).await?;
    let idle_mb = manager.process.rss_mb()?;

    let shop = Shop::open(client, "bench").await;
    let set = Set::new(&shop, &manager, i32::try_from(count)?);
    println!("  CloneSet of {count} Pods: create");
    let (before, cpu) = (manager.counters().await?, manager.process.cpu_s()?);
    let create_s = set.create(&pod(), &json!("100%")).await?.as_secs_f64();
    let create_cpu_s = manager.process.cpu_s()? - cpu;
    let create_passes = manager.counters().await?.passes - before.passes;
    let mut updates = Vec::new();
    for image in IMAGES.into_iter().take(rounds(count)) {
        tokio::time::sleep(CALM).await;
        println!("  CloneSet of {count} Pods: update");
        updates.push(update::measure(cluster, &shop.namespace, &manager, (&set, image)).await?);
    }
    let (idle_writes, idle_cpu_s) = idle(cluster, &shop, &manager).await?;
    let rest = Rest {
        started_mb,
        idle_mb,
        create_s,
        create_cpu_s,
        create_passes,
        idle_writes,
        idle_cpu_s,
    };
    report(count, &manager, &ceilings, &updates, &rest)
}

/// A set of few Pods comes, is updated and goes: the manager's own code is in memory after that, and
/// is not counted for the Pods that are measured.
async fn warm_up(client: kube::Client, manager: &Manager) -> Result<()> {
    let shop = Shop::open(client, "bench-warm").await;
    let set = Set::new(&shop, manager, FEW);
    set.create(&pod(), &json!("100%")).await?;
    let generation = set.image(IMAGES[0]).await?;
    set.settled(generation).await?;
    set.delete().await?;
    shop.close().await;
    tokio::time::sleep(CALM).await;
    Ok(())
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

async fn ceilings(client: kube::Client, count: u32) -> Result<Vec<Ceiling>> {
    let shop = Shop::open(client, "bench-ceiling").await;
    let pods = Pods::new(shop.client.clone(), &shop.namespace, "ceiling");
    let names: Vec<String> = (0..count).map(|n| format!("ceiling-{n}")).collect();
    println!("  ceiling: {count} bare Pods");
    pods.create(&names, &pod(), 16).await?;
    pods.all_ready(names.len()).await?;
    let mut ceilings = Vec::new();
    // The most drivers last: of one round only, theirs counts.
    let skipped = DRIVERS.len() - rounds(count);
    for (drivers, image) in DRIVERS.into_iter().zip(IMAGES).skip(skipped) {
        tokio::time::sleep(CALM).await;
        ceilings.push(ceiling::measure(&pods, image, drivers).await?);
    }
    pods.delete().await?;
    shop.close().await;
    Ok(ceilings)
}

/// What is written, and what CPU is used, while nothing changes.
async fn idle(cluster: &Cluster, shop: &Shop, manager: &Manager) -> Result<(usize, f64)> {
    println!("  settled: {} s without a change", IDLE.as_secs());
    let writes = Writes::from_now(cluster).context("no audit log")?;
    let cpu = manager.process.cpu_s()?;
    tokio::time::sleep(IDLE).await;
    let cpu_s = manager.process.cpu_s()? - cpu;
    let namespace = &shop.namespace;
    let count = writes.of_manager(namespace).values().sum::<usize>();
    Ok((count + writes.events_of_manager(namespace), cpu_s))
}

/// Rates are the best of their rounds, on both sides; costs are means.
fn report(
    count: u32,
    manager: &Manager,
    ceilings: &[Ceiling],
    updates: &[Update],
    rest: &Rest,
) -> Result<Value> {
    let pods = f64::from(count);
    let best = |rates: &mut dyn Iterator<Item = f64>| rates.fold(0.0, f64::max);
    let ceiling = best(&mut ceilings.iter().map(|ceiling| ceiling.pods_per_s));
    let rate = best(&mut updates.iter().map(|update| pods / update.took_s));
    let mean = |of: fn(&Update) -> f64| crate::mean(updates.iter().map(of));
    let kept = updates
        .iter()
        .map(|update| update.uids_kept)
        .min()
        .unwrap_or_default();
    let events = updates
        .iter()
        .map(|update| update.events)
        .max()
        .unwrap_or_default();
    let rss_goal = if count <= 1000 {
        Goal::AtMost(40.0)
    } else {
        Goal::None
    };

    let mut table = Table::new(format!("Rollout, all at once, {count} Pods on fake nodes"));
    table.row("pods", pods, 0, Goal::None);
    table.row("create_s", rest.create_s, 1, Goal::None);
    table.row("update_s", pods / rate, 1, Goal::None);
    table.row("pods_per_s", rate, 1, Goal::None);
    table.row("ceiling_pods_per_s", ceiling, 1, Goal::None);
    table.row("ratio", rate / ceiling, 2, Goal::AtLeast(0.7));
    table.row(
        "cpu_ms_per_pod",
        mean(|u| u.cpu_s) * 1000.0 / pods,
        2,
        Goal::AtMost(2.5),
    );
    table.row("writes_per_pod", mean(Update::writes) / pods, 2, Goal::None);
    table.count("events", events, Goal::None);
    table.count("uids_kept", kept, Goal::AtLeast(pods));
    table.row("rss_started_mb", rest.started_mb, 1, Goal::None);
    table.row("rss_idle_mb", rest.idle_mb, 1, Goal::None);
    let rss_mb = manager.process.rss_mb()?;
    let kb_per_pod = (rss_mb - rest.idle_mb) * 1024.0 / pods;
    table.row("rss_mb", rss_mb, 1, rss_goal);
    table.row("rss_kb_per_pod", kb_per_pod, 1, Goal::AtMost(10.0));
    table.row("rss_peak_mb", manager.process.rss_peak_mb()?, 1, Goal::None);
    table.count("idle_writes", rest.idle_writes, Goal::AtMost(0.0));
    let idle_cpu = rest.idle_cpu_s * 1000.0 / IDLE.as_secs_f64();
    table.row("idle_cpu_ms_per_s", idle_cpu, 2, Goal::AtMost(5.0));
    table.row("passes", mean(|u| u.passes), 0, Goal::None);
    table.row("mean_update_s", mean(|u| u.took_s), 1, Goal::None);
    table.print();

    let mut result = table.json();
    result["ceilings"] = json!(ceilings);
    result["updates"] = json!(updates);
    result["create_cpu_ms_per_pod"] = json!(rest.create_cpu_s * 1000.0 / pods);
    result["create_passes"] = json!(rest.create_passes);
    Ok(result)
}
