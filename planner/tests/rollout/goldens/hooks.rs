//! What hooks look like to whoever owns them.

use serde_json::{Value, json};

use super::{compare, in_place};
use model::hooks::{self, label};
use model::watchdog::condition;
use model::world::World;

/// A running set whose Pods carry the label that its hooks are about.
fn hooked(replicas: u32, hooks: &Value) -> World {
    let mut world = World::new(replicas, &in_place());
    world.edit("hooks", |spec| {
        spec["lifecycle"] = hooks.clone();
        spec["template"]["metadata"]["labels"]["hold"] = "yes".into();
    });
    world.settle();
    world.writes.clear();
    world.timeline.begin();
    world
}

fn hold() -> Value {
    json!({"labelsHandler": {"hold": "yes"}})
}

/// Names of the Pods in `state`.
fn pods_in(world: &World, state: &str) -> Vec<String> {
    let pods = world.server.pods.iter();
    pods.filter(|(_, pod)| label(pod) == state)
        .map(|(name, _)| name.clone())
        .collect()
}

/// The owner of the hook puts it on a Pod, or takes it away.
fn set_hold(world: &mut World, name: &str, hook: &Value, holds: bool) {
    let mut pod = world.server.pods[name].clone();
    hooks::set(
        &mut pod,
        &serde_json::from_value(hook.clone()).unwrap(),
        holds,
    );
    world.server.write_status(name, pod);
    let what = if holds { "holds" } else { "lets go of" };
    world
        .timeline
        .user(&format!("the owner {what} {name}"), &world.server);
}

fn waiting(world: &World, reason: &str) -> i32 {
    let reasons = world.status().reasons;
    reasons
        .iter()
        .filter(|r| r.reason == reason)
        .map(|r| r.pods)
        .sum()
}

#[test]
fn before_and_after_an_update() {
    let mut world = hooked(2, &json!({"inPlaceUpdate": hold()}));
    let uids = world.uids();
    world.set_image("web:2");
    world.settle();
    for _ in 0..2 {
        let asked = pods_in(&world, "PreparingUpdate");
        assert_eq!(asked.len(), 1, "within the budget");
        assert_eq!(waiting(&world, "WaitingHook"), 1);
        assert_eq!(condition(&world.server.pods[&asked[0]], "Ready"), "True");
        set_hold(&mut world, &asked[0], &hold(), false);
        world.settle();
        assert_eq!(pods_in(&world, "Updated"), asked);
        assert_eq!(world.status().available_replicas, 1, "it is not in yet");
        set_hold(&mut world, &asked[0], &hold(), true);
        world.settle();
    }
    assert_eq!(world.images(), ["web:2"; 2]);
    assert_eq!(world.uids(), uids);
    assert_eq!(world.ready_reason(), "AllAvailable");
    assert!(
        world.writes.values().all(|writes| *writes == 6),
        "{:?}",
        world.writes
    );
    compare(
        &world,
        "hook-in-place-update",
        "The owner of an inPlaceUpdate hook is asked before a Pod is touched, and told when it is\n\
         updated: six writes for each Pod instead of three.",
    );
}

#[test]
fn out_of_service_while_it_is_held() {
    let mut hook = hold();
    hook["markPodNotReady"] = true.into();
    let mut world = hooked(2, &json!({"inPlaceUpdate": hook}));
    world.set_image("web:2");
    world.settle();
    let asked = pods_in(&world, "PreparingUpdate").remove(0);
    assert_eq!(condition(&world.server.pods[&asked], "Ready"), "False");
    set_hold(&mut world, &asked, &hook, false);
    world.settle();
    set_hold(&mut world, &asked, &hook, true);
    world.settle();
    assert_eq!(world.writes[&asked], 5, "asking drains it too");
    assert_eq!(label(&world.server.pods[&asked]), "Normal");
}

#[test]
fn an_update_that_nothing_holds_is_not_asked_about() {
    let mut world = hooked(
        1,
        &json!({"inPlaceUpdate": {"finalizersHandler": ["ex.io/in"]}}),
    );
    world.set_image("web:2");
    world.settle();
    let name = pods_in(&world, "Updated").remove(0);
    assert_eq!(world.writes[&name], 4, "drain, patch, undrain, Updated");
    let hook = json!({"finalizersHandler": ["ex.io/in"]});
    set_hold(&mut world, &name, &hook, true);
    world.settle();
    assert_eq!(world.writes[&name], 5);
    assert_eq!(world.ready_reason(), "AllAvailable");
}

#[test]
fn an_old_kubelet_makes_one_write_of_the_last_two() {
    let mut world = hooked(
        1,
        &json!({"inPlaceUpdate": {"finalizersHandler": ["ex.io/in"]}}),
    );
    world.kubelet.is_old = true;
    for pod in world.server.pods.values_mut() {
        pod["status"]["observedGeneration"] = Value::Null;
    }
    world.set_image("web:2");
    world.settle();
    let name = pods_in(&world, "Updated").remove(0);
    assert_eq!(world.writes[&name], 3, "drain, patch, undrain as Updated");
}

#[test]
fn labels_and_annotations_change_without_asking() {
    let mut world = hooked(2, &json!({"inPlaceUpdate": hold()}));
    world.edit("annotation", |spec| {
        spec["template"]["metadata"]["annotations"] = json!({"owner": "ann"});
    });
    world.settle();
    assert_eq!(pods_in(&world, "Normal").len(), 2);
    assert!(world.writes.values().all(|writes| *writes == 1));
}

#[test]
fn rolled_back_while_held() {
    let mut hook = hold();
    hook["markPodNotReady"] = true.into();
    let mut world = hooked(2, &json!({"inPlaceUpdate": hook}));
    world.set_image("web:2");
    world.settle();
    assert_eq!(pods_in(&world, "PreparingUpdate").len(), 1);
    world.set_image("web:1");
    world.settle();
    assert_eq!(pods_in(&world, "Normal").len(), 2);
    assert_eq!(world.ready_reason(), "AllAvailable", "nobody is left out");
    assert!(
        world.writes.values().all(|writes| *writes <= 2),
        "{:?}",
        world.writes
    );
    compare(
        &world,
        "hook-rolled-back-while-held",
        "The change is taken back before the hook lets the Pod go: one write lets it in again.",
    );
}

#[test]
fn paused_while_held_ends_what_has_begun() {
    let mut world = hooked(2, &json!({"inPlaceUpdate": hold()}));
    world.set_image("web:2");
    world.settle();
    let asked = pods_in(&world, "PreparingUpdate").remove(0);
    world.set_rolling("paused", json!(true));
    world.settle();
    assert_eq!(
        pods_in(&world, "PreparingUpdate"),
        std::slice::from_ref(&asked)
    );
    set_hold(&mut world, &asked, &hold(), false);
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:2"], "and no other is begun");
    set_hold(&mut world, &asked, &hold(), true);
    world.settle();
    assert_eq!(pods_in(&world, "Normal").len(), 2);
}

#[test]
fn a_hook_that_is_removed_from_the_spec_holds_nobody() {
    let mut hook = hold();
    hook["markPodNotReady"] = true.into();
    let mut world = hooked(3, &json!({"inPlaceUpdate": hook, "preDelete": hook}));
    world.set_image("web:2");
    world.settle();
    assert_eq!(pods_in(&world, "PreparingUpdate").len(), 1);
    world.edit("no hooks", |spec| spec["lifecycle"] = Value::Null);
    world.settle();
    assert_eq!(world.images(), ["web:2"; 3]);
    assert_eq!(world.ready_reason(), "AllAvailable");
}

#[test]
fn another_image_while_updated() {
    let mut world = hooked(1, &json!({"inPlaceUpdate": hold()}));
    world.set_image("web:2");
    world.settle();
    let name = pods_in(&world, "PreparingUpdate").remove(0);
    set_hold(&mut world, &name, &hold(), false);
    world.settle();
    assert_eq!(pods_in(&world, "Updated"), std::slice::from_ref(&name));
    world.set_image("web:3");
    world.settle();
    assert_eq!(
        world.images(),
        ["web:3"],
        "nothing holds it, so nobody is asked"
    );
    assert_eq!(pods_in(&world, "Updated"), [name]);
}

#[test]
fn before_a_deletion() {
    let mut world = hooked(3, &json!({"preDelete": hold()}));
    world.edit("replicas 2", |spec| spec["replicas"] = 2.into());
    world.settle();
    let leaving = pods_in(&world, "PreparingDelete").remove(0);
    let status = world.status();
    assert_eq!((status.replicas, status.available_replicas), (3, 2));
    world.edit("replicas 3", |spec| spec["replicas"] = 3.into());
    world.settle();
    assert_eq!(
        pods_in(&world, "Normal").len(),
        3,
        "taken back, none created"
    );
    world.edit("replicas 2", |spec| spec["replicas"] = 2.into());
    world.settle();
    assert_eq!(
        pods_in(&world, "PreparingDelete"),
        std::slice::from_ref(&leaving)
    );
    set_hold(&mut world, &leaving, &hold(), false);
    world.settle();
    assert!(!world.server.pods.contains_key(&leaving));
    assert_eq!(world.server.pods.len(), 2);
    assert_eq!(world.ready_reason(), "AllAvailable");
    compare(
        &world,
        "hook-pre-delete",
        "One Pod too many: its preDelete hook is asked first. It stays a replica until the hook\n\
         lets it go, and is taken back if it is wanted again.",
    );
}

/// OpenKruise's end-to-end test of `excludePreparingDelete`.
#[test]
fn pods_held_before_deletion_can_be_left_out_of_the_count() {
    let mut world = hooked(3, &json!({"preDelete": hold()}));
    let named = world.server.pods.keys().next().unwrap().clone();
    world.edit("3 -> 2", |spec| {
        spec["replicas"] = 2.into();
        spec["scaleStrategy"] = json!({"podsToDelete": [named], "excludePreparingDelete": true});
    });
    world.settle();
    assert_eq!(
        pods_in(&world, "PreparingDelete"),
        std::slice::from_ref(&named)
    );
    assert_eq!(world.status().replicas, 3);
    world.edit("2 -> 3", |spec| spec["replicas"] = 3.into());
    world.settle();
    assert_eq!(world.status().replicas, 4, "a replacement is made at once");
    set_hold(&mut world, &named, &hold(), false);
    world.settle();
    assert_eq!(world.status().replicas, 3);
}

/// OpenKruise's end-to-end test of a named Pod that a hook holds.
#[test]
fn a_named_pod_is_replaced_only_when_it_is_gone() {
    let mut world = hooked(3, &json!({"preDelete": hold()}));
    let before = world.uids();
    let named = world.server.pods.keys().next().unwrap().clone();
    world.edit("name one", |spec| {
        spec["scaleStrategy"] = json!({"podsToDelete": [named]});
    });
    world.settle();
    assert_eq!(
        pods_in(&world, "PreparingDelete"),
        std::slice::from_ref(&named)
    );
    assert_eq!(world.uids(), before);
    set_hold(&mut world, &named, &hold(), false);
    world.settle();
    let kept = world
        .uids()
        .iter()
        .filter(|uid| before.contains(uid))
        .count();
    assert_eq!((world.uids().len(), kept), (3, 2));
}

#[test]
fn replaced_one_after_another() {
    for exclude in [false, true] {
        let mut hook = hold();
        hook["markPodNotReady"] = true.into();
        let mut world = hooked(3, &json!({"preDelete": hook}));
        world.set_rolling("podUpdatePolicy", json!("ReCreate"));
        world.edit("exclude", |spec| {
            spec["scaleStrategy"] = json!({"excludePreparingDelete": exclude});
        });
        world.set_image("web:2");
        for _ in 0..8 {
            world.settle();
            for name in pods_in(&world, "PreparingDelete") {
                set_hold(&mut world, &name, &hook, false);
            }
        }
        assert_eq!(world.images(), ["web:2"; 3], "exclude: {exclude}");
        assert_eq!(world.ready_reason(), "AllAvailable");
    }
}

#[test]
fn before_a_pod_counts() {
    let hook = json!({"finalizersHandler": ["ex.io/registered"]});
    let mut world = World::new(2, &in_place());
    world.edit("a new set", |spec| {
        spec["lifecycle"] = json!({"preNormal": hook});
    });
    world.settle();
    let status = world.status();
    assert_eq!((status.ready_replicas, status.available_replicas), (2, 0));
    assert_eq!(waiting(&world, "WaitingHook"), 2);
    for name in pods_in(&world, "PreparingNormal") {
        set_hold(&mut world, &name, &hook, true);
        world.settle();
    }
    assert_eq!(pods_in(&world, "Normal").len(), 2);
    assert_eq!(world.ready_reason(), "AllAvailable");
    compare(
        &world,
        "hook-pre-normal",
        "New Pods are ready and do not count as available before their preNormal hook is complete.",
    );
}

/// Bug: Pods that the hook keeps from counting were said to wait for a budget that only the hook can
/// give back. (Found by the simulation, seed 17067.)
#[test]
fn who_is_held_by_a_hook_waits_for_it_and_not_for_the_budget_that_it_uses_up() {
    let mut world = hooked(3, &json!({"inPlaceUpdate": hold()}));
    let names: Vec<String> = world.server.pods.keys().cloned().collect();
    world.edit("another hook", |spec| {
        spec["lifecycle"]["preNormal"] = json!({"finalizersHandler": ["ex.io/registered"]});
    });
    for name in &names {
        world.server.pods.get_mut(name).unwrap()["metadata"]["labels"]["lifecycle.apps.kruise.io/state"] =
            "PreparingNormal".into();
    }
    world.kubelet.broken.extend(names[1..].iter().cloned());
    world.settle();
    world.set_image("web:2");
    world.settle();
    assert_eq!(pods_in(&world, "PreparingUpdate").len(), 2);
    assert_eq!(pods_in(&world, "PreparingNormal").len(), 1);
    assert_eq!(waiting(&world, "WaitingHook"), 3, "{:?}", world.status());
}

/// The template itself has what the hook asks for.
#[test]
fn complete_from_the_start_costs_nothing() {
    let mut world = World::new(2, &in_place());
    world.edit("a new set", |spec| {
        spec["lifecycle"] = json!({"preNormal": {"finalizersHandler": ["ex.io/in"]}});
        spec["template"]["metadata"]["finalizers"] = json!(["ex.io/in"]);
    });
    world.settle();
    assert_eq!(pods_in(&world, "Normal").len(), 2);
    assert!(
        world.writes.values().all(|writes| *writes == 2),
        "create, let in"
    );
}
