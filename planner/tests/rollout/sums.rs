//! The arithmetic, as tables: a set and its Pods in, the writes of one pass out.
//!
//! Most cases are those that OpenKruise's own tables have; where we differ, the case says so.
//! Pods are written as OpenKruise's authors think of them: `O` at the old revision, `N` at the new
//! one, `r` ready, `u` not, `d` named for deletion, with a count in front.

use std::sync::Arc;

use apis::{CloneSet, Valid};
use planner::{Effect, Pod, Revision, Snapshot};
use serde::Deserialize;
use serde_json::{Value, json};

const OLD: &str = "web-old";
const NEW: &str = "web-new";

/// What one pass writes.
#[derive(Debug, Default, PartialEq)]
struct Writes {
    /// Pods created, and how many of them at the old revision.
    create: (usize, usize),
    /// Pods deleted, and how many of them old.
    delete: (usize, usize),
    /// Pods whose update begins: drained, or patched where they serve nobody.
    begin: usize,
}

fn none() -> Writes {
    Writes::default()
}

fn create(new: usize, old: usize) -> Writes {
    Writes {
        create: (new, old),
        ..none()
    }
}

fn delete(new: usize, old: usize) -> Writes {
    Writes {
        delete: (new, old),
        ..none()
    }
}

fn begin(pods: usize) -> Writes {
    Writes {
        begin: pods,
        ..none()
    }
}

struct Case {
    replicas: u32,
    rolling: Value,
    strategy: &'static str,
    current: &'static str,
    min_ready: u32,
}

/// `replicas/partition/maxUnavailable`, all whole numbers.
fn case(replicas: u32, partition: u32, max_unavailable: u32) -> Case {
    Case {
        replicas,
        rolling: json!({"partition": partition, "maxUnavailable": max_unavailable,
            "podUpdatePolicy": "InPlaceIfPossible"}),
        strategy: "RollingUpdate",
        current: OLD,
        min_ready: 0,
    }
}

impl Case {
    fn converged(mut self) -> Self {
        self.current = NEW;
        self
    }

    fn with(mut self, key: &str, value: Value) -> Self {
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
            revisions: vec![Self::revision(OLD, 1), Self::revision(NEW, 2)],
            held: std::collections::BTreeMap::new(),
            effects_max: 100,
        };
        let plan = planner::clone_set::plan(&snapshot);
        plan.check().unwrap();
        plan
    }

    fn writes(&self, table: &str) -> Writes {
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
                other => panic!("not asked for: {other:?}"),
            }
        }
        writes
    }
}

/// `4Or Nrd` is four old ready Pods and a new ready one that is named for deletion.
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

#[test]
fn scaling_and_named_pods() {
    assert_eq!(case(0, 0, 1).writes(""), none());
    assert_eq!(case(5, 0, 1).writes(""), create(5, 0));
    assert_eq!(case(5, 0, 1).writes("4Nr Nrd"), delete(1, 0));
    assert_eq!(case(5, 0, 1).writes("3Nr Nrd"), create(1, 0));
    assert_eq!(
        case(5, 0, 1).writes("3Nr Nrd Nu"),
        none(),
        "the replacement has to be ready first"
    );
    assert_eq!(case(4, 0, 1).writes("3Nr 2Nud"), delete(2, 0));
    assert_eq!(case(3, 0, 1).writes("5Nr"), delete(2, 0));
    assert_eq!(case(3, 0, 1).writes("4Nr Nrd"), delete(2, 0));
}

#[test]
fn a_rollout_stops_at_its_partition_and_its_budget() {
    assert_eq!(case(5, 3, 1).writes("5Or"), begin(1));
    assert_eq!(case(5, 3, 5).writes("5Or"), begin(2));
    assert_eq!(case(5, 3, 1).writes("Nr 4Or"), begin(1));
    assert_eq!(case(5, 3, 1).writes("2Nr 3Or"), none());
    assert_eq!(case(8, 2, 3).writes("7Or Nr"), begin(3));
}

#[test]
fn a_raised_partition_takes_pods_back() {
    assert_eq!(case(5, 4, 2).writes("4Nr Or"), begin(2));
    assert_eq!(case(5, 4, 5).writes("4Nr Or"), begin(3));
    assert_eq!(case(5, 4, 2).writes("2Nr 3Or"), begin(1));
    assert_eq!(case(5, 4, 2).writes("Nr 4Or"), none());
}

#[test]
fn shares_of_the_partition_and_the_budget() {
    let share = |partition: &str, max: &str| {
        case(5, 0, 1)
            .with("partition", json!(partition))
            .with("maxUnavailable", json!(max))
    };
    assert_eq!(share("99%", "40%").writes("5Or"), begin(1));
    assert_eq!(share("40%", "100%").writes("5Or"), begin(3));
    assert_eq!(share("100%", "100%").writes("5Or"), none());
    assert_eq!(share("0%", "40%").writes("5Or"), begin(2));
    assert_eq!(
        share("0%", "30%").writes("5Or"),
        begin(2),
        "a share rounds up"
    );
    assert_eq!(
        share("0%", "1%").writes("5Or"),
        begin(1),
        "and never to nothing"
    );
    assert_eq!(share("0%", "0%").writes("5Or"), none());
}

#[test]
fn where_the_current_revision_is_the_update_revision_nothing_is_kept_back() {
    assert_eq!(case(5, 3, 1).converged().writes("5Nr"), none());
    // OpenKruise: none. There the partition keeps canary Pods that were taken back by applying
    // the old template again.
    assert_eq!(case(5, 3, 1).converged().writes("2Or 3Nr"), begin(1));
    assert_eq!(case(5, 1, 1).converged().writes("3Or 2Nr"), begin(1));
    let both = Writes {
        create: (1, 0),
        begin: 1,
        ..none()
    };
    assert_eq!(case(5, 1, 2).converged().writes("2Or 2Nr"), both);
    let both = Writes {
        delete: (0, 1),
        begin: 1,
        ..none()
    };
    assert_eq!(case(5, 1, 1).converged().writes("3Or 3Nr"), both);
}

#[test]
fn paused_sets_are_scaled_and_not_updated() {
    let paused = |replicas, partition| case(replicas, partition, 0).with("paused", json!(true));
    assert_eq!(paused(5, 0).writes("3Or"), create(2, 0));
    assert_eq!(paused(3, 0).writes("5Or"), delete(0, 2));
    // OpenKruise: none, because it wants old Pods gone and may not delete ready ones.
    assert_eq!(paused(5, 0).writes("5Or 3Nu"), delete(3, 0));
    assert_eq!(paused(5, 2).writes("5Or 3Nu"), delete(3, 0));
}

/// OpenKruise counts a Pod that serves nobody against the budget of updated Pods, and stops at the
/// first that may not be taken. We skip that one, and replacing a broken Pod is free: it is how a
/// broken revision is mended.
#[test]
fn pods_that_serve_nobody_are_updated_at_no_cost() {
    assert_eq!(case(3, 0, 1).writes("3Or"), begin(1));
    assert_eq!(case(3, 0, 1).writes("Or Ou Or"), begin(1), "OpenKruise: 0");
    assert_eq!(case(3, 0, 1).writes("Ou 2Or"), begin(1));
    assert_eq!(
        case(10, 0, 2).writes("Ou 7Or Ou Nr"),
        begin(2),
        "OpenKruise: 1"
    );
    assert_eq!(case(5, 0, 2).writes("5Ou"), begin(5), "OpenKruise: 2");
    assert_eq!(case(5, 0, 2).writes("3Ou 2Nu"), begin(3), "OpenKruise: 0");
    assert_eq!(case(5, 0, 2).writes("3Ou Nr Nu"), begin(3), "OpenKruise: 1");
    assert_eq!(case(8, 7, 3).writes("3Or 5Nu"), begin(4), "OpenKruise: 3");
}

#[test]
fn pods_that_are_not_available_yet_may_go_when_there_are_too_many() {
    let mut young = case(3, 0, 1);
    young.min_ready = 9999;
    // OpenKruise: none, for as long as minReadySeconds lasts.
    assert_eq!(young.writes("5Nr"), delete(2, 0));
}

#[test]
fn on_delete_updates_nobody_and_creates_at_the_update_revision() {
    let on_delete = |replicas| Case {
        strategy: "OnDelete",
        ..case(replicas, 0, 1)
    };
    assert_eq!(on_delete(5).writes("5Or"), none());
    assert_eq!(on_delete(5).writes("3Or"), create(2, 0));
    assert_eq!(on_delete(6).writes("3Or 5Nr"), delete(0, 2));
    assert_eq!(on_delete(4).writes("3Or 5Nr"), delete(1, 3));
}

#[test]
fn missing_pods_are_created_at_the_revision_that_lacks_them() {
    assert_eq!(case(5, 3, 1).writes("2Or 2Nr"), create(0, 1));
    assert_eq!(case(5, 3, 1).writes("3Or Nr"), create(1, 0));
    assert_eq!(case(5, 3, 1).writes("Or"), create(2, 2));
}

#[test]
fn surplus_pods_are_deleted_at_the_revision_that_has_too_many() {
    assert_eq!(case(5, 3, 1).writes("5Or 2Nr"), delete(0, 2));
    assert_eq!(case(5, 3, 1).writes("3Or 4Nr"), delete(2, 0));
    assert_eq!(case(2, 2, 1).writes("3Or 2Nr"), delete(2, 1));
}
