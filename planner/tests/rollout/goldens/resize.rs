//! Changes of cpu and memory.

use serde_json::{Value, json};

use model::object::Object;
use model::world::World;

use super::{compare, in_place};

fn with_cpu(world: &mut World, cpu: &str) {
    world.edit(&format!("cpu {cpu}"), |spec| {
        spec["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
    });
}

fn running(replicas: u32, rolling: &Value) -> World {
    let mut world = World::new(replicas, rolling);
    with_cpu(&mut world, "1");
    world.settle();
    world.writes.clear();
    world.timeline.begin();
    world
}

#[test]
fn resize() {
    let mut world = running(3, &in_place());
    let uids = world.uids();
    with_cpu(&mut world, "2");
    world.settle();
    assert_eq!(world.uids(), uids);
    assert!(world.writes.values().all(|writes| *writes == 2));
    let restarts = |p: &Object| p["status"]["containerStatuses"][0]["restartCount"] == 0;
    assert!(world.server.pods.values().all(restarts));
    world.edit("image web:2 and cpu 3", |spec| {
        let main = &mut spec["template"]["spec"]["containers"][0];
        main["image"] = "web:2".into();
        main["resources"]["requests"]["cpu"] = "3".into();
    });
    world.settle();
    assert_eq!(world.uids(), uids);
    assert!(world.writes.values().all(|writes| *writes == 2 + 4));
    compare(
        &world,
        "resize",
        "More cpu for containers that go on running: two writes for each Pod, no drain, within the\n\
         budget all the same. With an image beside it: drain, patch, resize, undrain.",
    );
}

#[test]
fn resize_deferred() {
    let mut rolling = in_place();
    rolling["inPlaceUpdateStrategy"] = json!({"resizeDeadlineSeconds": 60});
    let mut world = running(3, &rolling);
    let uids = world.uids();
    with_cpu(&mut world, "1000");
    for _ in 0..20 {
        world.step();
    }
    assert_eq!(world.ready_reason(), "ResizeInfeasible");
    with_cpu(&mut world, "2");
    world.settle();
    assert_eq!(world.uids(), uids);
    assert!(world.is_ready());
    world.kubelet.is_full = true;
    with_cpu(&mut world, "3");
    for _ in 0..120 {
        world.step();
    }
    world.kubelet.is_full = false;
    world.settle();
    assert!(world.is_ready());
    assert_ne!(world.uids(), uids, "the first Pods were replaced");
    compare(
        &world,
        "resize-deferred",
        "The node can never give 1000 cpus: the rollout stops at its budget, and a smaller amount is\n\
         tried in the same Pod. Then the node is full for two minutes: after resizeDeadlineSeconds a\n\
         new Pod takes the place of the one that waits.",
    );
}
