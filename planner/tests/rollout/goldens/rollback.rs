//! Automatic rollback.

use apis::condition::ConditionType;
use model::world::World;
use serde_json::json;

use super::{compare, in_place};

fn world(replicas: u32) -> World {
    let mut world = World::running(replicas, &in_place());
    world.edit("a deadline, rollbackOnDeadline", |spec| {
        spec["progressDeadlineSeconds"] = 60.into();
        spec["updateStrategy"]["rollingUpdate"]["rollbackOnDeadline"] = true.into();
    });
    world.settle();
    world.writes.clear();
    world.timeline.begin();
    world
}

fn stalled(world: &World) -> (String, String) {
    let status = world.status();
    let stalled = planner::status::condition(&status, ConditionType::Stalled).unwrap();
    (
        stalled.reason.clone().unwrap(),
        stalled.message.clone().unwrap(),
    )
}

#[test]
fn automatic_rollback() {
    let mut world = world(4);
    let uids = world.uids();
    let before = world.status().current_revision;
    world.set_rolling("partition", json!(1));
    world.set_image("web:crash");
    world.settle();
    assert_eq!(world.images(), ["web:1"; 4]);
    assert_eq!(world.uids(), uids);
    let status = world.status();
    assert_eq!(status.failed_revision, status.update_revision);
    assert_eq!(status.current_revision, before);
    assert_eq!((status.available_replicas, status.updated_replicas), (4, 0));
    assert!(!world.is_ready());
    let (reason, message) = stalled(&world);
    assert_eq!(reason, "RolledBack");
    assert!(message.contains("CrashLoopBackOff"), "{message}");
    let waits: Vec<_> = status
        .reasons
        .iter()
        .map(|r| (r.reason.as_str(), r.pods))
        .collect();
    assert_eq!(waits, [("RolledBack", 4)]);
    world.edit("replicas 5", |spec| spec["replicas"] = 5.into());
    world.settle();
    assert_eq!(world.images(), ["web:1"; 5]);
    world.set_image("web:2");
    world.settle();
    assert_eq!(
        world.images(),
        ["web:1", "web:2", "web:2", "web:2", "web:2"]
    );
    assert_eq!(world.status().failed_revision, None);
    compare(
        &world,
        "automatic-rollback",
        "An update that stays broken past progressDeadlineSeconds is taken back in place. Until the\n\
         template changes nothing is updated to it any more, and new Pods are made of the revision\n\
         before.",
    );
}

#[test]
fn the_last_pod_of_a_rollout_can_still_be_taken_back() {
    let mut world = world(1);
    world.set_image("web:bad");
    world.settle();
    assert_eq!(world.images(), ["web:1"]);
    assert_eq!(stalled(&world).0, "RolledBack");
    world.set_image("web:2");
    world.settle();
    assert!(world.is_ready());
    let status = world.status();
    assert_eq!(status.current_revision, status.update_revision);
}

#[test]
fn a_pod_that_is_never_ready_is_taken_back_and_a_paused_set_is_not() {
    let mut never = world(3);
    for name in never.server.pods.keys() {
        never.kubelet.broken.insert(name.clone());
    }
    never.set_image("web:2");
    never.set_rolling("paused", json!(true));
    never.settle();
    assert_eq!(never.status().failed_revision, None);

    let mut ready = world(3);
    let first = ready.server.pods.keys().next().unwrap().clone();
    ready.set_image("web:2");
    ready.kubelet.broken.insert(first);
    ready.settle();
    // The first Pod is not mended by going back; the others were never touched, or come back.
    assert_eq!(ready.images(), ["web:1"; 3]);
    assert_eq!(stalled(&ready).0, "RolledBack");
}

#[test]
fn a_canary_that_ran_well_has_the_whole_time_again() {
    let mut world = world(3);
    world.set_rolling("partition", json!(2));
    world.set_image("web:2");
    world.settle();
    world.server.now += jiff::SignedDuration::from_hours(9);
    let canary = |pod: &serde_json::Value| pod["spec"]["containers"][0]["image"] == "web:2";
    let name = world
        .server
        .pods
        .iter()
        .find(|(_, p)| canary(p))
        .unwrap()
        .0
        .clone();
    world.kubelet.broken.insert(name.clone());
    for _ in 0..50 {
        world.tick();
        world.observe();
        world.reconcile();
        world.kubelet_round();
    }
    assert_eq!(world.status().failed_revision, None);
    world.kubelet.broken.remove(&name);
    world.settle();
    assert!(world.is_ready());
    assert_eq!(world.images(), ["web:1", "web:1", "web:2"]);
}

#[test]
fn switched_off_the_rollout_goes_on() {
    let mut world = world(2);
    world.set_image("web:bad");
    world.settle();
    assert_eq!(world.images(), ["web:1"; 2]);
    world.set_rolling("rollbackOnDeadline", json!(false));
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:bad"]);
    assert_eq!(world.status().failed_revision, None);
}
