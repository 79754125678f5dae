//! Rollouts from end to end, compared with the timelines beside this file.
//! `UPDATE=1 cargo test -p planner --test rollout` writes them anew.

use std::path::Path;

use serde_json::json;

use model::world::World;

mod batches;
mod claims;
mod hooks;
mod order;
mod resize;
mod rollback;
mod surge;
mod warm;

pub(crate) fn compare(world: &World, name: &str, title: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/rollout/{name}.txt"));
    let printed = world.timeline.render(title);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &printed).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == printed,
        "{name}.txt differs; UPDATE=1 writes it anew\n{printed}"
    );
}

fn in_place() -> serde_json::Value {
    json!({"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 1})
}

#[test]
fn canary_by_partition() {
    let mut world = World::running(4, &in_place());
    let uids = world.uids();
    world.set_rolling("partition", json!("75%"));
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:1", "web:2"]);
    assert_eq!(world.ready_reason(), "PartitionReached");
    world.set_rolling("partition", json!(0));
    world.settle();
    assert_eq!(world.images(), ["web:2"; 4]);
    assert_eq!(world.uids(), uids);
    assert!(world.writes.values().all(|writes| *writes == 3));
    compare(
        &world,
        "canary-by-partition",
        "One Pod of four gets a new image first. It stays at that until the partition is lowered.",
    );
}

#[test]
fn max_unavailable_40_percent() {
    let mut world = World::running(5, &in_place());
    world.set_rolling("maxUnavailable", json!("40%"));
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 5]);
    assert!(world.writes.values().all(|writes| *writes == 3));
    compare(
        &world,
        "max-unavailable-40-percent",
        "Two Pods of five may be out of their Services at a time.",
    );
}

#[test]
fn bad_image_stops_and_heals() {
    let mut world = World::running(4, &in_place());
    let uids = world.uids();
    world.set_image("web:bad");
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:1", "web:bad"]);
    assert_eq!(world.ready_reason(), "ImagePull");
    world.set_image("web:1");
    world.settle();
    assert_eq!(world.images(), ["web:1"; 4]);
    assert_eq!(world.uids(), uids);
    compare(
        &world,
        "bad-image-stops-and-heals",
        "An image that cannot be pulled stops at the budget. Applying the old template again heals\n\
         the one Pod in place, and touches no other.",
    );
}

#[test]
fn recreate_because_env_changed() {
    let mut world = World::running(3, &in_place());
    world.edit("env LOG=debug", |spec| {
        spec["template"]["spec"]["containers"][0]["env"] =
            json!([{"name": "LOG", "value": "debug"}]);
    });
    world.settle();
    assert!(world.is_ready());
    compare(
        &world,
        "recreate-because-env-changed",
        "An environment variable cannot change in place: Pods are replaced, one at a time, and the\n\
         reason is given.",
    );
}

#[test]
fn rollback_by_raised_partition() {
    let mut world = World::running(4, &in_place());
    let uids = world.uids();
    world.set_rolling("partition", json!(2));
    world.set_image("web:2");
    world.settle();
    world.set_rolling("partition", json!(4));
    world.settle();
    assert_eq!(world.images(), ["web:1"; 4]);
    assert_eq!(world.uids(), uids);
    compare(
        &world,
        "rollback-by-raised-partition",
        "Raising the partition takes updated Pods back to the revision before, in place.",
    );
}

#[test]
fn scale_up_and_down() {
    let mut world = World::new(2, &in_place());
    world.edit("a new set", |_| {});
    world.settle();
    assert_eq!(
        world.writes.values().sum::<usize>(),
        4,
        "create and gate, for each"
    );
    world.edit("replicas 4", |spec| spec["replicas"] = 4.into());
    world.settle();
    world.edit("replicas 1", |spec| spec["replicas"] = 1.into());
    world.settle();
    assert_eq!(world.server.pods.len(), 1);
    compare(
        &world,
        "scale-up-and-down",
        "Two Pods, four, one. Two writes for each new Pod: itself and its gate.",
    );
}

#[test]
fn same_digest_retag() {
    let mut world = World::running(2, &in_place());
    world.set_image("web:1-again");
    world.settle();
    assert_eq!(world.images(), ["web:1-again"; 2]);
    let reported = |p: &serde_json::Value| p["status"]["containerStatuses"][0]["image"].clone();
    assert!(world.server.pods.values().all(|p| reported(p) == "web:1"));
    assert_eq!(world.ready_reason(), "AllAvailable");
    compare(
        &world,
        "same-digest-retag",
        "Another tag of the same digest: the runtime goes on reporting the old tag and the same\n\
         image ID, and the rollout completes all the same.",
    );
}

#[test]
fn metadata_only() {
    let mut world = World::running(3, &in_place());
    world.edit("annotation owner=ann", |spec| {
        spec["template"]["metadata"]["annotations"] = json!({"owner": "ann"});
    });
    world.settle();
    assert!(world.writes.values().all(|writes| *writes == 1));
    let owner = |p: &serde_json::Value| p["metadata"]["annotations"]["owner"].clone();
    assert!(world.server.pods.values().all(|p| owner(p) == "ann"));
    compare(
        &world,
        "metadata-only",
        "Labels and annotations disturb nobody: one write for each Pod, all at once, no drain.",
    );
}

#[test]
fn native_sidecar() {
    let mut world = World::new(2, &in_place());
    world.edit("a new set", |spec| {
        spec["template"]["spec"]["initContainers"] = json!([
            {"name": "setup", "image": "setup:1"},
            {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"},
        ]);
    });
    world.settle();
    world.timeline.begin();
    world.edit("image of native sidecar proxy:2", |spec| {
        spec["template"]["spec"]["initContainers"][1]["image"] = "proxy:2".into();
    });
    world.settle();
    for pod in world.server.pods.values() {
        assert_eq!(pod["spec"]["initContainers"][1]["image"], "proxy:2");
        let main = &pod["status"]["containerStatuses"][0];
        assert_eq!(main["restartCount"], 0, "only the sidecar restarts");
    }
    compare(
        &world,
        "native-sidecar",
        "The image of a native sidecar changes in place; only that container restarts.",
    );
}
