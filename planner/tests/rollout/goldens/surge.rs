//! Pods above `replicas`, and Pods added slowly.

use jiff::Timestamp;
use model::world::World;
use serde_json::json;

use super::compare;

fn serving_all_the_time(world: &mut World, replicas: usize) {
    let most = world.server.pods.len().max(replicas);
    assert!(most <= replicas + 1, "no more than one beside the others");
}

#[test]
fn max_surge_in_place() {
    let rolling =
        json!({"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 1, "maxSurge": 1});
    let mut world = World::running(3, &rolling);
    let uids = world.uids();
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 3]);
    let kept = world.uids().iter().filter(|uid| uids.contains(uid)).count();
    assert_eq!(kept, 2, "one of the old Pods made way for the extra one");
    compare(
        &world,
        "max-surge-in-place",
        "An extra Pod is made at the new revision; with it, more of the others may change in place\n\
         at a time. The last of the old Pods is the one too many in the end.",
    );
}

#[test]
fn max_surge_recreate() {
    let rolling = json!({"maxUnavailable": 1, "maxSurge": 1});
    let mut world = World::running(3, &rolling);
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 3]);
    compare(
        &world,
        "max-surge-recreate",
        "New Pods take the places of old ones; there may be one more than asked for.",
    );
}

#[test]
fn max_unavailable_0_with_surge() {
    let rolling =
        json!({"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 0, "maxSurge": 1});
    let mut world = World::running(3, &rolling);
    world.set_image("web:2");
    world.settle();
    serving_all_the_time(&mut world, 3);
    assert_eq!(world.images(), ["web:2"; 3]);
    assert_eq!(world.ready_reason(), "AllAvailable");
    compare(
        &world,
        "max-unavailable-0-with-surge",
        "Never fewer Pods than asked for: nothing is drained before the extra Pod is ready.",
    );
}

#[test]
fn a_bad_image_costs_no_capacity_beside_a_surge() {
    let rolling =
        json!({"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 0, "maxSurge": 1});
    let mut world = World::running(3, &rolling);
    let uids = world.uids();
    world.set_image("web:bad");
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:1", "web:bad"]);
    world.set_image("web:1");
    world.settle();
    assert_eq!(world.uids(), uids, "none of the old Pods was touched");
}

#[test]
fn pods_are_added_one_after_another() {
    let mut world = World::new(4, &json!({}));
    world.edit("slowly", |spec| {
        spec["minReadySeconds"] = 10.into();
        spec["scaleStrategy"] = json!({"maxUnavailable": 1});
    });
    let message = world.plan().status.conditions[0].message.clone();
    assert_eq!(
        message.as_deref(),
        Some("the template is being recorded"),
        "the first write"
    );
    world.reconcile();
    let message = world.plan().status.conditions[0].message.clone();
    let told = "0 Pods exist, 4 wanted; scaleStrategy.maxUnavailable (1) lets no more be added \
                until others are available";
    assert_eq!(message.as_deref(), Some(told));
    world.settle();
    let mut created: Vec<Timestamp> = world
        .server
        .pods
        .values()
        .map(|p| {
            p["metadata"]["creationTimestamp"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    created.sort_unstable();
    assert_eq!(created.len(), 4);
    for pair in created.windows(2) {
        let pause = pair[1].duration_since(pair[0]).as_secs();
        assert!((10..18).contains(&pause), "{pause} s after the one before");
    }
}
