//! In place on a real kubelet: one Pod at a time, the manager against the kubelet's own floor.

use anyhow::Result;
use cluster::{Cluster, Options, RealNode};
use harness::{Recorder, Shop};
use serde_json::{Value, json};

use crate::floor::{self, Floor, Pace};
use crate::pod::MAIN;
use crate::pods::Pods;
use crate::serial::{self, CALM, Serial};
use crate::stage::{self, Stage};
use crate::steps::Steps;
use crate::table::{Goal, Table};

const V1: &str = "docker.io/local/app:v1";
const V2: &str = "docker.io/local/app:v2";
const V3: &str = "docker.io/local/app:v3";

/// What one round found.
struct Round {
    paused: Floor,
    back_to_back: Floor,
    serial: Serial,
}

/// Real kubelet, no fake nodes.
pub(crate) fn options() -> Options {
    Options {
        real_node: RealNode::Always,
        ..Options::new(stage::name("in-place"))
    }
}

pub(crate) async fn run(
    cluster: &Cluster,
    binary: &std::path::Path,
    count: u32,
    rounds: u32,
) -> Result<()> {
    let Stage { client, manager } = stage::set(cluster, binary).await?;
    let bare = Shop::open(client.clone(), "bench-bare").await;
    let sets = Shop::open(client, "bench-sets").await;
    let mut all = Vec::new();
    for round in 1..=rounds {
        println!("  round {round} of {rounds}");
        let (paused, back_to_back) = floors(&bare, count).await?;
        let count = i32::try_from(count)?;
        let serial = serial::measure(&sets, &manager, count, (&pod(), V2)).await?;
        println!(
            "    per Pod: CloneSet {:.2} s; floor {:.2} s, back to back {:.2} s",
            serial.mean_s, paused.mean_s, back_to_back.mean_s
        );
        all.push(Round {
            paused,
            back_to_back,
            serial,
        });
    }
    report(&all, count)
}

/// The Pod of all sides.
fn pod() -> Value {
    let probe = json!({"exec": {"command": ["/bin/busybox", "true"]}, "periodSeconds": 1});
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": MAIN, "image": V1, "imagePullPolicy": "IfNotPresent",
            "readinessProbe": probe}],
    })
}

async fn floors(bare: &Shop, count: u32) -> Result<(Floor, Floor)> {
    let pods = Pods::new(bare.client.clone(), &bare.namespace, "floor");
    let names: Vec<String> = (0..count).map(|n| format!("floor-{n}")).collect();
    pods.create(&names, &pod(), 4).await?;
    pods.all_ready(names.len()).await?;
    tokio::time::sleep(CALM).await;
    let recorder = Recorder::start(bare.pods.clone(), &pods.selector()).await;
    let paused = floor::measure(&pods, &names, V2, Pace::Paused).await?;
    tokio::time::sleep(CALM).await;
    let back_to_back = floor::measure(&pods, &names, V3, Pace::BackToBack).await?;
    let (harm, flaps) = (recorder.ready_on_old().len(), recorder.flaps().len());
    if harm + flaps > 0 {
        println!("    the floor itself: {harm} times Ready on the old container, {flaps} flaps");
    }
    pods.delete().await?;
    Ok((paused, back_to_back))
}

fn report(rounds: &[Round], count: u32) -> Result<()> {
    let mean = |of: fn(&Round) -> f64| crate::mean(rounds.iter().map(of));
    let steps = |of: fn(&Round) -> Steps| -> Value {
        let rounds: Vec<Steps> = rounds.iter().map(of).collect();
        json!(Steps::mean(&rounds))
    };
    let floor = mean(|r| r.paused.mean_s);
    let back_to_back = mean(|r| r.back_to_back.mean_s);
    let serial = mean(|r| r.serial.mean_s);
    let ready_on_old: usize = rounds.iter().map(|r| r.serial.ready_on_old).sum();
    let flaps: usize = rounds.iter().map(|r| r.serial.flaps).sum();
    let first = mean(|r| r.serial.change_to_drain_s);

    let mut table = Table::new(format!(
        "In place, one at a time, {count} Pods on a real kubelet"
    ));
    table.row("floor_gated_s", floor, 2, Goal::None);
    table.row("floor_back_to_back_s", back_to_back, 2, Goal::None);
    table.row("serial_s", serial, 2, Goal::None);
    table.row("ratio", serial / floor, 2, Goal::AtMost(1.25));
    table.row("ratio_back_to_back", serial / back_to_back, 2, Goal::None);
    table.count("ready_on_old", ready_on_old, Goal::AtMost(0.0));
    table.count("flaps", flaps, Goal::AtMost(0.0));
    table.row("change_to_drain_s", first, 2, Goal::None);
    table.print();

    let mut result = table.json();
    result["pods"] = json!(count);
    result["rounds"] = rounds
        .iter()
        .map(|r| json!({"floor": r.paused, "floor_back_to_back": r.back_to_back, "serial": r.serial}))
        .collect();
    result["steps"] = json!({
        "floor": steps(|r| r.paused.steps),
        "floor_back_to_back": steps(|r| r.back_to_back.steps),
        "serial": steps(|r| r.serial.steps),
    });
    crate::write("in-place.json", &result)
}
