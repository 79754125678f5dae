//! A large set as a user would have it: three containers, a native sidecar, ten labels and five
//! annotations on every Pod, and records of earlier updates in place on half of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apis::{CloneSet, Valid, names};
use jiff::Timestamp;
use planner::pod::Kins;
use planner::{Pod, Revision, Snapshot};
use serde::Deserialize;
use serde_json::{Value, json};

const OLD: &str = "shop-5d9c7b8f46";
const NEW: &str = "shop-7f6b54d99c";

/// Where the set stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Every Pod is at the update revision and available.
    AtRest,
    /// Half-way: partition 50 %, maxUnavailable 10 %; some Pods are updated, some drained, some
    /// patched, most are still to come.
    Rollout,
    /// The same a moment before: all of the budget is drained, and all that goes out is patches.
    Patches,
}

/// How one Pod stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Old,
    Drained,
    Patched,
    Updated,
}

pub(crate) struct World {
    set: Value,
    pods: Vec<Arc<Pod>>,
    revisions: Vec<Arc<Revision>>,
    kins: Kins,
}

impl World {
    /// `pods` Pods in `shape`, decoded, with the status that is reported of them.
    pub(crate) fn new(shape: Shape, pods: usize) -> Self {
        let mut kins = Kins::default();
        let of = |n| kept(&mut kins, pod(n, stage(shape, n)));
        let partition = match shape {
            Shape::AtRest => "0%",
            Shape::Rollout | Shape::Patches => "50%",
        };
        let mut pods: Vec<_> = (0..pods).map(of).collect();
        // As the cache gives them.
        pods.sort_by(|a, b| a.name().cmp(b.name()));
        let mut world = Self {
            set: set(
                pods.len(),
                partition,
                if shape == Shape::AtRest { NEW } else { OLD },
            ),
            pods,
            revisions: vec![revision(OLD, 1), revision(NEW, 2)],
            kins,
        };
        let status = planner::clone_set::plan(&world.snapshot()).status;
        world.set["status"] = serde_json::to_value(status).expect("a status is JSON");
        world
    }

    /// `pods` of the Pods are decoded anew, and the set has another version.
    pub(crate) fn touch(&mut self, pods: usize) {
        let apart = self.pods.len() / pods;
        for pod in self.pods.iter_mut().step_by(apart) {
            let text = serde_json::to_value(&**pod).expect("a Pod is JSON");
            *pod = kept(&mut self.kins, json_pod(&text));
        }
        self.set["metadata"]["resourceVersion"] = "4712".into();
    }

    /// What a pass sees.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let set = CloneSet::deserialize(&self.set).expect("it is a CloneSet");
        Snapshot {
            now: now(),
            set: Valid::new(set)
                .map_err(|refused| refused.1)
                .expect("it is valid"),
            pods: self.pods.clone(),
            orphans: Vec::new(),
            claims: Vec::new(),
            nodes: Vec::new(),
            revisions: self.revisions.clone(),
            orphan_revisions: Vec::new(),
            held: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            // What the manager carries out by default.
            effects_max: 128,
        }
    }
}

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("it is a time")
}

fn stage(shape: Shape, n: usize) -> Stage {
    // Names are no order: whoever made the Pods did not make them in the order of this list.
    match (shape, n % 20) {
        (Shape::AtRest, _) | (_, 0..=5) => Stage::Updated,
        (_, 6) | (Shape::Patches, 7) => Stage::Drained,
        (_, 7) => Stage::Patched,
        (_, _) => Stage::Old,
    }
}

fn image(container: &str, revision: &str) -> String {
    let version = if revision == OLD { "1.41.2" } else { "1.42.0" };
    format!("registry.example.com/shop/{container}:{version}")
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": "shop", "app.kubernetes.io/instance": "shop-production",
        "app.kubernetes.io/component": "frontend", "app.kubernetes.io/part-of": "shop",
        "app.kubernetes.io/managed-by": "Helm", "team": "checkout", "tier": "frontend",
        "track": "stable", "cost-center": "4711", "helm.sh/chart": "shop-3.14.1"})
}

fn annotations(revision: &str) -> Value {
    json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9090",
        "checksum/config": format!("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08{revision}"),
        "kubectl.kubernetes.io/default-container": "web",
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "true"})
}

fn template(revision: &str) -> Value {
    let container = |name: &str| {
        json!({"name": name, "image": image(name, revision),
            "env": [{"name": "LEVEL", "value": "info"}],
            "ports": [{"containerPort": 8080}],
            "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/shop"}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}}})
    };
    let apps = ["web", "cache", "logs"].map(container);
    let mut sidecar = container("mesh");
    sidecar["restartPolicy"] = "Always".into();
    json!({"metadata": {"labels": labels(), "annotations": annotations(revision)},
        "spec": {"containers": apps, "initContainers": [sidecar],
            "serviceAccountName": "shop", "terminationGracePeriodSeconds": 30,
            "volumes": [{"name": "config", "configMap": {"name": "shop"}}]}})
}

fn revision(name: &str, number: i64) -> Arc<Revision> {
    let metadata = json!({"name": name, "namespace": "shop", "uid": name});
    let metadata = serde_json::from_value(metadata).expect("it is metadata");
    Arc::new(Revision::new(metadata, number, template(name)))
}

fn set(replicas: usize, partition: &str, current: &str) -> Value {
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
        "metadata": {"name": "shop", "namespace": "shop", "uid": "set-uid", "generation": 7,
            "resourceVersion": "4711"},
        "spec": {"replicas": replicas, "template": template(NEW), "minReadySeconds": 10,
            "selector": {"matchLabels": {"app.kubernetes.io/name": "shop",
                "app.kubernetes.io/instance": "shop-production"}},
            "updateStrategy": {"rollingUpdate": {"partition": partition, "maxUnavailable": "10%",
                "podUpdatePolicy": "InPlaceIfPossible"}}},
        "status": {"currentRevision": current, "updateRevision": NEW}})
}

/// The record of an update in place from the old images; `id` is that of the containers before.
fn record(revision: &str, at: &str, id: &str) -> String {
    let last = |name: &str| {
        (
            name.to_owned(),
            json!({"imageID": format!("{}@sha256:{id:0>64}", image(name, OLD)),
            "containerID": format!("containerd://{id:0>64}"), "image": image(name, OLD)}),
        )
    };
    let last: serde_json::Map<String, Value> = CONTAINERS.map(last).into_iter().collect();
    json!({"revision": revision, "updateTimestamp": at, "lastContainerStatuses": last,
        "updateImages": true, "generation": 1})
    .to_string()
}

const CONTAINERS: [&str; 4] = ["web", "cache", "logs", "mesh"];

fn pod(n: usize, stage: Stage) -> Pod {
    let revision = match stage {
        Stage::Old | Stage::Drained => OLD,
        Stage::Patched | Stage::Updated => NEW,
    };
    let mut labels = labels();
    labels[names::REVISION_LABEL] = revision.into();
    labels[names::TEMPLATE_HASH_LABEL] = revision.rsplit('-').next().into();
    labels[names::INSTANCE_ID_LABEL] = instance(n).into();
    let mut annotations = annotations(revision);
    let in_place = n.is_multiple_of(2) || stage == Stage::Patched;
    if in_place {
        let at = if stage == Stage::Patched {
            "2026-03-01T11:59:58Z"
        } else {
            "2026-02-01T12:00:00Z"
        };
        annotations[names::IN_PLACE_STATE_ANNOTATION] =
            record(revision, at, &format!("a{n}")).into();
    }
    let generation = if in_place { 2 } else { 1 };
    let id = if stage == Stage::Patched {
        format!("a{n}")
    } else {
        format!("b{n}")
    };
    json_pod(&json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("shop-{}", instance(n)), "namespace": "shop",
            "uid": format!("0b4e9c1e-6f5d-4f3b-9a51-{n:012}"), "resourceVersion": format!("{}", 10_000 + n),
            "generation": generation, "creationTimestamp": "2026-01-01T12:00:00Z",
            "labels": labels, "annotations": annotations,
            "ownerReferences": [{"apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
                "name": "shop", "uid": "set-uid", "controller": true, "blockOwnerDeletion": true}]},
        "spec": spec(n, revision),
        "status": status(n, stage, generation, &id)}))
}

fn json_pod(value: &Value) -> Pod {
    // Through text, as from the API server.
    serde_json::from_str(&value.to_string()).expect("it is a Pod")
}

/// As the manager's cache keeps it.
fn kept(kins: &mut Kins, mut pod: Pod) -> Arc<Pod> {
    kins.introduce(&mut pod);
    Arc::new(pod)
}

/// Five letters that do not rise with `n`.
fn instance(n: usize) -> String {
    let mixed = (n + 1).wrapping_mul(2_654_435_761) & 0xf_ffff;
    format!("{mixed:05x}")
}

fn spec(n: usize, revision: &str) -> Value {
    let container = |name: &str| json!({"name": name, "image": image(name, revision)});
    let apps = ["web", "cache", "logs"].map(container);
    let mut sidecar = container("mesh");
    sidecar["restartPolicy"] = "Always".into();
    json!({"nodeName": format!("node-{:03}", n % 500),
        "containers": apps, "initContainers": [sidecar],
        "readinessGates": [{"conditionType": names::IN_PLACE_READY_CONDITION}]})
}

fn status(n: usize, stage: Stage, generation: i64, id: &str) -> Value {
    let serves = matches!(stage, Stage::Old | Stage::Updated);
    let word = if serves { "True" } else { "False" };
    let since = format!("2026-02-{:02}T{:02}:{:02}:00Z", 1 + n % 28, n % 24, n % 60);
    let condition = |name: &str, status: &str| json!({"type": name, "status": status, "lastTransitionTime": since});
    let container = |name: &str| {
        json!({"name": name, "ready": serves, "restartCount": n % 3, "image": image(name, OLD),
            "imageID": format!("{}@sha256:{id:0>64}", image(name, OLD)),
            "containerID": format!("containerd://{id:0>64}"),
            "state": {"running": {"startedAt": since}}})
    };
    let apps = ["web", "cache", "logs"].map(container);
    json!({"phase": "Running", "observedGeneration": generation,
        "conditions": [
            condition(names::IN_PLACE_READY_CONDITION, word),
            condition("PodReadyToStartContainers", "True"),
            condition("Initialized", "True"),
            condition(names::READY_CONDITION, word),
            condition("ContainersReady", "True"),
            condition("PodScheduled", "True"),
        ],
        "containerStatuses": apps,
        "initContainerStatuses": [container("mesh")]})
}
