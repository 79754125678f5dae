//! A set and its Pods in a few letters.

use std::sync::Arc;

use apis::{CloneSet, Valid};
use planner::{Effect, Pod, Revision, Snapshot};
use serde::Deserialize;
use serde_json::{Value, json};

const OLD: &str = "web-old";
const NEW: &str = "web-new";

/// What one pass writes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Writes {
    /// Pods created, and how many of them at the old revision.
    pub(super) create: (usize, usize),
    /// Pods deleted, and how many of them old.
    pub(super) delete: (usize, usize),
    /// Pods whose update begins: drained, or patched where they serve nobody.
    pub(super) begin: usize,
    /// Pods whose state changes, with the state.
    pub(super) states: Vec<&'static str>,
}

pub(super) fn none() -> Writes {
    Writes::default()
}

pub(super) fn create(new: usize, old: usize) -> Writes {
    Writes {
        create: (new, old),
        ..none()
    }
}

pub(super) fn delete(new: usize, old: usize) -> Writes {
    Writes {
        delete: (new, old),
        ..none()
    }
}

pub(super) fn begin(pods: usize) -> Writes {
    Writes {
        begin: pods,
        ..none()
    }
}

pub(super) struct Case {
    pub(super) replicas: u32,
    pub(super) rolling: Value,
    pub(super) strategy: &'static str,
    pub(super) current: &'static str,
    pub(super) min_ready: u32,
    /// `spec.lifecycle`.
    pub(super) lifecycle: Value,
    /// `spec.scaleStrategy`.
    pub(super) scale: Value,
}

/// `replicas/partition/maxUnavailable`, all whole numbers.
pub(super) fn case(replicas: u32, partition: u32, max_unavailable: u32) -> Case {
    Case {
        replicas,
        rolling: json!({"partition": partition, "maxUnavailable": max_unavailable,
            "podUpdatePolicy": "InPlaceIfPossible"}),
        strategy: "RollingUpdate",
        current: OLD,
        min_ready: 0,
        lifecycle: Value::Null,
        scale: Value::Null,
    }
}

impl Case {
    pub(super) fn converged(mut self) -> Self {
        self.current = NEW;
        self
    }

    pub(super) fn with(mut self, key: &str, value: Value) -> Self {
        self.rolling[key] = value;
        self
    }

    fn template(revision: &str) -> Value {
        let image = format!("web:{revision}");
        json!({"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": image}]}})
    }

    fn set(&self) -> Valid<CloneSet> {
        let set = json!({
            "apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
            "metadata": {"name": "web", "namespace": "shop", "uid": "set", "generation": 1},
            "spec": {
                "replicas": self.replicas, "minReadySeconds": self.min_ready,
                "lifecycle": self.lifecycle,
                "scaleStrategy": self.scale,
                "selector": {"matchLabels": {"app": "web"}}, "template": Self::template(NEW),
                "updateStrategy": {"type": self.strategy, "rollingUpdate": self.rolling},
            },
            "status": {"currentRevision": self.current, "updateRevision": NEW},
        });
        Valid::new(CloneSet::deserialize(set).unwrap())
            .map_err(|(_, errors)| errors)
            .unwrap()
    }

    fn revision(name: &str, number: i64) -> Arc<Revision> {
        let metadata = serde_json::from_value(json!({"name": name})).unwrap();
        Arc::new(Revision::new(metadata, number, Self::template(name)))
    }

    fn plan(&self, pods: Vec<Arc<Pod>>) -> planner::Plan {
        let snapshot = Snapshot {
            now: "2026-03-01T12:00:00Z".parse().unwrap(),
            set: self.set(),
            pods,
            orphans: Vec::new(),
            claims: Vec::new(),
            nodes: Vec::new(),
            orphan_revisions: Vec::new(),
            revisions: vec![Self::revision(OLD, 1), Self::revision(NEW, 2)],
            held: std::collections::BTreeMap::new(),
            in_flight: std::collections::BTreeSet::new(),
            effects_max: 100,
        };
        let plan = planner::clone_set::plan(&snapshot);
        plan.check().unwrap();
        plan
    }

    pub(super) fn writes(&self, table: &str) -> Writes {
        let plan = self.plan(pods(table));
        let mut writes = none();
        for effect in &plan.effects {
            match effect {
                Effect::CreatePod { revision, .. } => {
                    writes.create.0 += usize::from(revision == NEW);
                    writes.create.1 += usize::from(revision == OLD);
                }
                Effect::DeletePod { target, .. } => {
                    writes.delete.0 += usize::from(target.name.contains("new"));
                    writes.delete.1 += usize::from(target.name.contains("old"));
                }
                Effect::Drain { .. } | Effect::PatchPod { .. } => writes.begin += 1,
                Effect::Transition { state, .. } => writes.states.push(state.as_str()),
                other => panic!("not asked for: {other:?}"),
            }
        }
        writes
    }
}

/// `4Or Nrd` is four old ready Pods and a new ready one that is named for deletion. `h` is one that
/// a hook holds, `p`, `x` and `D` are PreparingUpdate, Updating and PreparingDelete.
fn pods(table: &str) -> Vec<Arc<Pod>> {
    let mut pods = Vec::new();
    for group in table.split_whitespace() {
        let letters = group.trim_start_matches(|c: char| c.is_ascii_digit());
        let count = group[..group.len() - letters.len()].parse().unwrap_or(1);
        for _ in 0..count {
            pods.push(Arc::new(pod(letters, pods.len())));
        }
    }
    pods
}

fn pod(letters: &str, index: usize) -> Pod {
    let revision = if letters.starts_with('O') { OLD } else { NEW };
    let ready = if letters.contains('u') {
        "False"
    } else {
        "True"
    };
    let mut labels = json!({"app": "web", "controller-revision-hash": revision});
    if letters.contains('d') {
        labels["apps.kruise.io/specified-delete"] = "true".into();
    }
    // Held by the usual label; and in which state.
    if letters.contains('h') {
        labels["hold"] = "yes".into();
    }
    for (letter, state) in [
        ('p', "PreparingUpdate"),
        ('x', "Updating"),
        ('D', "PreparingDelete"),
    ] {
        if letters.contains(letter) {
            labels["lifecycle.apps.kruise.io/state"] = state.into();
        }
    }
    let conditions = json!([
        {"type": "InPlaceUpdateReady", "status": "True"},
        {"type": "Ready", "status": ready, "lastTransitionTime": "2026-03-01T11:00:00Z"},
    ]);
    let pod = json!({
        "metadata": {"name": format!("{revision}-{index}"), "uid": format!("{index}"),
            "generation": 1, "labels": labels},
        "spec": {"nodeName": "n", "readinessGates": [{"conditionType": "InPlaceUpdateReady"}],
            "containers": [{"name": "main", "image": format!("web:{revision}")}]},
        "status": {"phase": "Running", "conditions": conditions, "containerStatuses": [
            {"name": "main", "ready": ready == "True", "containerID": "x", "imageID": "y",
                "state": {"running": {}}}]},
    });
    serde_json::from_value(pod).unwrap()
}
