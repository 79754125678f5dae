//! Pods that were made without the containers, and a set that has others made in their place.

use planner::Effect;
use serde_json::{Value, json};

use super::world::World;

fn pod(name: &str, minute: u32, owner: Option<&str>) -> Value {
    let owners = owner.map(|uid| {
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": uid, "uid": uid,
            "controller": true}])
    });
    json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1",
            "creationTimestamp": at(minute), "labels": {"app": "web"}, "ownerReferences": owners},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn at(minute: u32) -> String {
    format!("2026-03-01T11:{minute:02}:00Z")
}

/// A set that recreates, three of whose Pods may be missing.
fn world() -> World {
    let mut world = World::running(0, &json!({}));
    world.edit(|spec| {
        spec["injectionStrategy"] = json!({"uninjectedPodPolicy": "Recreate"});
        spec["updateStrategy"] = json!({"maxUnavailable": 3});
    });
    world.settle();
    world
}

impl World {
    /// A Pod that was injected then.
    fn injected(&mut self, name: &str, minute: u32, owner: &str) {
        let without = std::mem::take(&mut self.without);
        self.add(name, |_| {});
        self.settle();
        self.without = without;
        let mut made = (*self.server.pods[name]).clone();
        made["metadata"]["creationTimestamp"] = at(minute).into();
        made["metadata"]["ownerReferences"] =
            pod(name, minute, Some(owner))["metadata"]["ownerReferences"].clone();
        self.server.write_status(name, made);
    }

    fn missed(&mut self, name: &str, minute: u32, owner: &str) {
        self.without.push(pod(name, minute, Some(owner)));
    }
}

/// Names of the Pods that are deleted next.
fn deleted(world: &World) -> Vec<String> {
    let effects = world.plan().effects;
    let deleted = effects
        .iter()
        .filter_map(|(namespace, effect)| match effect {
            Effect::DeletePod { target, .. } => {
                assert_eq!(namespace, "shop");
                Some(target.name.clone())
            }
            _ => None,
        });
    deleted.collect()
}

#[test]
fn a_pod_is_recreated_once_a_younger_one_of_its_owner_was_injected() {
    let mut world = world();
    world.missed("a-1", 10, "a");
    assert_eq!(deleted(&world), [""; 0], "nobody came through the door");
    world.injected("a-2", 20, "a");
    assert_eq!(deleted(&world), ["a-1"]);
}

#[test]
fn unless_the_set_asks_for_it_none_is() {
    let mut world = world();
    world.missed("a-1", 10, "a");
    world.injected("a-2", 20, "a");
    for policy in [json!({}), json!({"uninjectedPodPolicy": "Retain"})] {
        world.edit(|spec| spec["injectionStrategy"] = policy);
        world.settle();
        assert_eq!(deleted(&world), [""; 0]);
    }
    let paused = json!({"uninjectedPodPolicy": "Recreate", "paused": true});
    world.edit(|spec| spec["injectionStrategy"] = paused);
    assert_eq!(deleted(&world), [""; 0], "a new one would be given nothing");
}

#[test]
fn a_bare_pod_never_is() {
    let mut world = world();
    world.without.push(pod("bare", 10, None));
    world.injected("a-2", 20, "a");
    assert_eq!(deleted(&world), [""; 0]);
}

#[test]
fn while_the_door_may_be_closed_none_is() {
    let mut world = world();
    world.missed("a-1", 10, "a");
    world.injected("a-2", 20, "a");
    world.missed("b-1", 30, "b");
    assert_eq!(deleted(&world), [""; 0], "the last one was missed");
    world.injected("c-1", 30, "c");
    assert_eq!(deleted(&world), [""; 0], "in the same second");
    world.injected("c-2", 31, "c");
    assert_eq!(deleted(&world), ["a-1"]);
}

/// All of them were made behind the closed door: the youngest is tried, and the others bear witness.
#[test]
fn an_owner_of_whose_pods_none_was_injected_is_tried_once() {
    let mut world = world();
    for (name, minute) in [("a-1", 10), ("a-2", 11), ("a-3", 12)] {
        world.missed(name, minute, "a");
    }
    world.injected("b-1", 20, "b");
    assert_eq!(deleted(&world), ["a-3"]);
    let tried = world.without.pop().unwrap();
    let mut leaving = tried.clone();
    leaving["metadata"]["deletionTimestamp"] = at(21).into();
    world.without.push(leaving);
    assert_eq!(deleted(&world), [""; 0], "how it ends is not known");
    world.without.pop();
    // It was in vain, and others come through the door.
    world.missed("a-4", 22, "a");
    for minute in [23, 24] {
        world.injected(&format!("b-{minute}"), minute, "b");
        assert_eq!(deleted(&world), [""; 0]);
    }
    // It was not: the others follow, but for one that may be younger.
    world.without.pop();
    world.injected("a-5", 25, "a");
    assert_eq!(deleted(&world), ["a-1", "a-2"]);
}

#[test]
fn a_single_pod_bears_no_witness_and_stays() {
    let mut world = world();
    world.missed("a-1", 10, "a");
    world.injected("b-1", 20, "b");
    assert_eq!(deleted(&world), [""; 0]);
}

#[test]
fn no_more_are_deleted_than_may_be_unavailable() {
    let mut world = world();
    for n in 0..6 {
        world.missed(&format!("a-{n}"), 10, "a");
    }
    world.injected("a-9", 20, "a");
    assert_eq!(deleted(&world), ["a-0", "a-1", "a-2"]);
    world.without[0]["metadata"]["deletionTimestamp"] = at(21).into();
    assert_eq!(deleted(&world), ["a-1", "a-2"]);
    world.without[4]["status"]["conditions"][0]["status"] = "False".into();
    let chosen = deleted(&world);
    assert_eq!(
        chosen,
        ["a-1", "a-4"],
        "it serves nobody, and counts as away"
    );
    world.held.insert("a-1".into(), "no".into());
    assert_eq!(deleted(&world), ["a-2", "a-4"]);
}

#[test]
fn disruption_budgets_hold() {
    let mut world = world();
    for n in 0..3 {
        world.missed(&format!("a-{n}"), 10, "a");
    }
    world.injected("a-9", 20, "a");
    world.is_counted = false;
    world.protect("web", &json!({"matchLabels": {"app": "web"}}), 0);
    world.budgets[0]["status"] = json!({"observedGeneration": 1, "disruptionsAllowed": 1,
        "desiredHealthy": 3, "expectedPods": 4});
    assert_eq!(deleted(&world).len(), 1);
}
