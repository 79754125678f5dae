//! PodDisruptionBudgets.

use planner::Effect;
use serde_json::{Value, json};

use super::world::World;

const ALL: &str = "100%";

/// Pods that run, of which all may be unavailable as far as the set goes, with a new image to come.
fn world(count: usize) -> World {
    let mut world = World::running(count, &json!({"updateStrategy": {"maxUnavailable": ALL}}));
    world.set_image("agent:2");
    world.reconcile();
    world
}

fn web() -> Value {
    json!({"matchLabels": {"app": "web"}})
}

/// How many Pods the next pass takes away.
fn taken(world: &World) -> usize {
    let effects = world.plan().effects;
    let takes = |effect: &Effect| matches!(effect, Effect::PatchPod { .. } | Effect::Drain { .. });
    effects.iter().filter(|(_, effect)| takes(effect)).count()
}

fn label(world: &mut World, name: &str, key: &str) {
    let mut pod = (*world.server.pods[name]).clone();
    pod["metadata"]["labels"][key] = "yes".into();
    world.server.write_status(name, pod);
}

#[test]
fn no_more_pods_are_taken_away_than_a_budget_allows() {
    let mut world = world(4);
    world.protect("web", &web(), 3);
    assert_eq!(taken(&world), 1);
    world.reconcile();
    assert_eq!(world.reasons()[0], ("WaitingDisruptionBudget".into(), 3));
    world.settle();
    assert_eq!(world.counts(), [4, 4, 4, 4]);
    assert_eq!(world.fewest, 3);
}

#[test]
fn one_that_allows_nothing_names_itself_and_stops_nobody_else() {
    let mut world = world(3);
    label(&mut world, "web-00", "gold");
    world.protect("gold", &json!({"matchLabels": {"gold": "yes"}}), 1);
    world.update(&json!({"maxUnavailable": ALL, "partition": 1}));
    world.settle();
    assert_eq!(world.images("agent"), ["agent:1", "agent:2", "agent:2"]);
    world.update(&json!({"maxUnavailable": ALL}));
    world.settle();
    assert_eq!(world.images("agent"), ["agent:1", "agent:2", "agent:2"]);
    assert_eq!(world.reasons(), [("WaitingDisruptionBudget".into(), 1)]);
    let (_, reason) = &world.plan().pods[0];
    assert!(reason.to_string().contains("PodDisruptionBudget gold"));
    assert_eq!(
        world.condition("Ready"),
        ("False".into(), "RollingOut".into())
    );
}

/// What is away by our own doing may be counted in it or not.
#[test]
fn what_an_old_status_still_allows_is_not_taken_twice() {
    for (expected, first, then) in [(4, 2, 0), (9, 2, 0)] {
        let mut world = world(4);
        world.is_counted = false;
        world.protect("web", &web(), 2);
        world.budgets[0]["status"]["expectedPods"] = expected.into();
        assert_eq!(taken(&world), first, "{expected}");
        world.reconcile();
        for _ in 0..3 {
            assert_eq!(taken(&world), then, "{expected}");
            for name in ["web-00", "web-01", "web-02", "web-03"] {
                world.kubelet.sync(&mut world.server, name);
            }
        }
    }
}

/// Its controller knows of Pods that the set has nothing to do with.
#[test]
fn pods_that_are_not_the_sets_are_left_to_what_the_status_says() {
    let mut world = world(4);
    world.is_counted = false;
    world.protect("web", &web(), 0);
    world.budgets[0]["status"] = json!({"observedGeneration": 1, "disruptionsAllowed": 1,
        "desiredHealthy": 8, "expectedPods": 10});
    assert_eq!(taken(&world), 1);
    world.reconcile();
    assert_eq!(taken(&world), 0);
}

#[test]
fn a_spec_that_its_controller_has_not_seen_allows_nothing() {
    let mut world = world(2);
    world.protect("web", &web(), 0);
    assert_eq!(taken(&world), 2);
    world.budgets[0]["metadata"]["generation"] = 2.into();
    assert_eq!(taken(&world), 0);
    world.budgets[0]["status"] = Value::Null;
    world.budgets[0].as_object_mut().unwrap().remove("status");
    assert_eq!(taken(&world), 0);
}

#[test]
fn all_budgets_of_a_pod_count_and_no_others() {
    let mut world = world(4);
    for name in ["web-00", "web-01"] {
        label(&mut world, name, "gold");
    }
    world.protect("web", &web(), 1);
    world.protect("gold", &json!({"matchLabels": {"gold": "yes"}}), 1);
    assert_eq!(taken(&world), 3);
    world.protect("elsewhere", &web(), 4);
    assert_eq!(taken(&world), 0);
    world.budgets[2]["metadata"]["namespace"] = "other".into();
    assert_eq!(taken(&world), 3);
    world.budgets[2]["metadata"]["namespace"] = "shop".into();
    world.budgets[2]["spec"] = json!({});
    assert_eq!(taken(&world), 3, "without a selector it is about nobody");
}

#[test]
fn what_is_down_anyway_costs_nothing() {
    let mut world = World::running(2, &json!({"updateStrategy": {"maxUnavailable": ALL}}));
    world.kubelet.broken.insert("web-01".into());
    let mut pod = (*world.server.pods["web-01"]).clone();
    pod["status"]["containerStatuses"][0]["ready"] = false.into();
    world.server.write_status("web-01", pod);
    world.settle();
    world.protect("web", &web(), 2);
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.images("agent"), ["agent:1", "agent:2"]);
    assert_eq!(world.reasons(), [("WaitingDisruptionBudget".into(), 1)]);
}

#[test]
fn nor_does_what_restarts_nothing() {
    let mut world = World::running(1, &json!({}));
    world.protect("web", &web(), 1);
    let key = "spec.containers[0].image";
    // Only what is remembered changes: admission had given it the new image already.
    let mut pod = (*world.server.pods["web-00"]).clone();
    pod["spec"]["containers"][1]["image"] = "agent:2".into();
    world.server.write_status("web-00", pod);
    world.kubelet.has_started("uid-001", "agent", "agent:2");
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.counts(), [1, 1, 1, 1], "{key}");
}

#[test]
fn a_pod_that_was_drained_is_not_asked_for_again() {
    let strategy = json!({"markPodNotReady": true, "maxUnavailable": ALL});
    let mut world = World::gated(3, &json!({"updateStrategy": strategy}));
    world.protect("web", &web(), 2);
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.counts(), [3, 3, 3, 3]);
    assert_eq!(world.fewest, 2);
    assert!(world.writes.values().all(|n| *n == 3), "{:?}", world.writes);
}
