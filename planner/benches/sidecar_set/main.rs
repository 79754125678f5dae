//! What one decision about a SidecarSet costs that was injected into many Pods: at rest, in the middle of
//! a rollout, and where nothing changed since the last one. Writes `target/bench/planner-sidecars.json` from
//! criterion's samples: of the CPU times the one that a tenth of them stay below.

#[path = "../clone_set/cpu_time.rs"]
mod cpu_time;

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use apis::sidecar_set::white_list::WhiteList;
use apis::{SidecarSet, Valid, names};
use criterion::Criterion;
use planner::Pod;
use planner::pod::Kins;
use planner::sidecar_set::{Memo, Revision, Snapshot, plan};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cpu_time::CpuTime;

/// Sizes of the set.
const PODS: [usize; 2] = [1_000, 5_000];

fn main() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = target.parent().expect("it is below the target folder");
    let folder = target.join("criterion");
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime)
        .output_directory(&folder)
        .without_plots()
        .configure_from_args();
    let mut names = Vec::new();
    for pods in PODS {
        for (shape, updated) in [("at_rest", pods), ("rollout", pods / 2)] {
            let snapshot = snapshot(pods, updated);
            let name = format!("sidecars_{shape}_{pods}");
            criterion.bench_function(&name, |b| b.iter(|| plan(black_box(&snapshot))));
            names.push(name);
        }
        let mut snapshot = snapshot(pods, pods);
        // As it is once the status was reported.
        let status = plan(&snapshot).status;
        let mut object = snapshot.set.object().clone();
        object.status = Some(status);
        snapshot.set = valid(object);
        let mut memo = Memo::default();
        let first = memo.plan(&snapshot);
        assert!(Arc::ptr_eq(&first, &memo.plan(&snapshot)));
        let name = format!("sidecars_unchanged_{pods}");
        criterion.bench_function(&name, |b| b.iter(|| memo.plan(black_box(&snapshot))));
        names.push(name);
    }
    criterion.final_summary();
    let result: BTreeMap<String, f64> = names
        .into_iter()
        .filter_map(|name| {
            let micros = low(&folder.join(&name).join("new/sample.json"))?;
            Some((format!("{name}_us"), micros))
        })
        .collect();
    let path = target.join("bench/planner-sidecars.json");
    let result = json!(result);
    fs::create_dir_all(target.join("bench"))
        .and_then(|()| fs::write(&path, format!("{result:#}\n")))
        .expect("the target folder can be written");
    println!("{result:#}\nwritten to {}", path.display());
}

/// Microseconds, with one decimal.
fn low(samples: &Path) -> Option<f64> {
    let value: Value = serde_json::from_str(&fs::read_to_string(samples).ok()?).ok()?;
    let numbers = |key: &str| -> Option<Vec<f64>> {
        value[key].as_array()?.iter().map(Value::as_f64).collect()
    };
    let per_pass = numbers("times")?.into_iter().zip(numbers("iters")?);
    let mut per_pass: Vec<f64> = per_pass.map(|(time, n)| time / n).collect();
    per_pass.sort_by(f64::total_cmp);
    let nanos = per_pass.get(per_pass.len() / 10)?;
    Some((nanos / 100.0).round() / 10.0)
}

fn set(image: &str) -> Valid<SidecarSet> {
    let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
        "metadata": {"name": "log", "uid": "set-uid", "generation": 2, "resourceVersion": "7",
            "creationTimestamp": "2026-03-01T10:00:00Z"},
        "spec": {"selector": {"matchLabels": {"app.kubernetes.io/name": "shop"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
            "updateStrategy": {"maxUnavailable": "10%"},
            "containers": [{"name": "agent", "image": image}]}});
    valid(SidecarSet::deserialize(set).expect("it is a SidecarSet"))
}

fn valid(set: SidecarSet) -> Valid<SidecarSet> {
    Valid::new(set)
        .map_err(|refused| refused.1)
        .expect("it is valid")
}

/// So many Pods, of which the first are updated and the others are not. Half of them were updated in
/// place once.
fn snapshot(pods: usize, updated: usize) -> Snapshot {
    let (old, new) = (set("agent:1"), set("agent:2"));
    let mut kins = Kins::default();
    let pods = (0..pods).map(|n| {
        let set = if n < updated { &new } else { &old };
        let mut pod = pod(n, set);
        kins.introduce(&mut pod);
        Arc::new(pod)
    });
    let mut snapshot = Snapshot {
        now: "2026-03-01T12:00:00Z".parse().expect("it is a time"),
        pods: pods.collect(),
        without: Vec::new(),
        disruption_budgets: Vec::new(),
        namespaces: BTreeMap::new(),
        revisions: Vec::new(),
        revision_namespace: "insitu-system".into(),
        white_list: WhiteList::nothing(),
        held: BTreeMap::new(),
        effects_max: 128,
        set: new,
    };
    let plan = plan(&snapshot);
    let first = plan.effects.first();
    let (_, first) = first.expect("the revision comes first");
    let mut revision = first.request().body;
    revision["metadata"]["uid"] = "revision-uid".into();
    let revision = Revision::deserialize(revision).expect("it is a revision");
    snapshot.revisions = vec![Arc::new(revision)];
    snapshot
}

fn pod(n: usize, set: &Valid<SidecarSet>) -> Pod {
    let entry = |hash: &str| {
        json!({"log": {"updateTimestamp": "2026-03-01T11:00:00Z", "hash": hash,
            "sidecarSetName": "log", "sidecarList": ["agent"]}})
        .to_string()
    };
    let id = |name: &str| format!("containerd://{name}-{n:064}");
    let mut annotations = json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9090",
        names::SIDECAR_HASH_ANNOTATION: entry(&set.hash),
        names::SIDECAR_HASH_WITHOUT_IMAGE_ANNOTATION: entry(&set.hash_without_image),
        names::SIDECAR_LIST_ANNOTATION: "log"});
    if n.is_multiple_of(2) {
        let last = json!({"agent": {"imageID": "sha256:0", "containerID": id("before"), "image": "agent:0"}});
        let state = json!({"log": {"revision": set.hash, "updateTimestamp": "2026-03-01T11:00:00Z",
            "lastContainerStatuses": last}});
        annotations[names::SIDECAR_IN_PLACE_STATE_ANNOTATION] = state.to_string().into();
    }
    let image = &set.containers[0].body["image"];
    let container = |name: &str, image: &Value| json!({"name": name, "image": image});
    let status = |name: &str, image: &Value| {
        json!({"name": name, "image": image, "imageID": "sha256:1", "containerID": id(name),
            "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": "2026-03-01T11:00:01Z"}}})
    };
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": "2026-03-01T11:00:05Z"});
    let web = json!("web:1");
    let pod = json!({
        "metadata": {"name": format!("shop-{n:05}"), "namespace": "shop", "uid": format!("uid-{n:032}"),
            "resourceVersion": "100", "generation": 1, "creationTimestamp": "2026-03-01T10:30:00Z",
            "annotations": annotations,
            "labels": {"app.kubernetes.io/name": "shop", "app.kubernetes.io/instance": "shop-production",
                "app.kubernetes.io/component": "frontend", "app.kubernetes.io/part-of": "shop",
                "app.kubernetes.io/managed-by": "Helm", "team": "checkout", "tier": "frontend",
                "pod-template-hash": "7f6b54d99c", "track": "stable", "cost-center": "4711"}},
        "spec": {"nodeName": "node", "containers": [container("web", &web), container("agent", image)],
            "readinessGates": [{"conditionType": names::IN_PLACE_READY_CONDITION}]},
        "status": {"phase": "Running", "observedGeneration": 1,
            "conditions": [condition("Ready"), condition(names::IN_PLACE_READY_CONDITION)],
            "containerStatuses": [status("web", &web), status("agent", image)]}});
    Pod::deserialize(pod).expect("it is a Pod")
}
