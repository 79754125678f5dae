//! `HotUpgrade`: the twin takes over before the container in use stops.

use apis::names;
use serde_json::{Value, json};

use super::world::World;

fn hot() -> Value {
    json!({"containers": [{"name": "agent", "image": "agent:1", "upgradeStrategy":
        {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1"}}]})
}

fn images(world: &World) -> [String; 2] {
    ["agent-1", "agent-2"].map(|twin| world.images(twin)[0].clone())
}

fn working(world: &World) -> Value {
    let pod = world.server.pods.values().next().unwrap();
    let text = &pod["metadata"]["annotations"][names::WORKING_TWIN_ANNOTATION];
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

/// Versions of both twins, and what each knows of the other one's.
fn versions(world: &World) -> [String; 4] {
    let pod = world.server.pods.values().next().unwrap();
    let annotations = &pod["metadata"]["annotations"];
    let of = |prefix: &str, twin: &str| {
        let value = &annotations[format!("{prefix}{twin}")];
        value.as_str().unwrap().to_owned()
    };
    [
        of(names::TWIN_VERSION_PREFIX, "agent-1"),
        of(names::TWIN_OTHER_VERSION_PREFIX, "agent-1"),
        of(names::TWIN_VERSION_PREFIX, "agent-2"),
        of(names::TWIN_OTHER_VERSION_PREFIX, "agent-2"),
    ]
}

#[test]
fn twins_take_turns() {
    let mut world = World::running(2, &hot());
    assert_eq!(images(&world), ["agent:1", "empty:1"]);
    world.set_image("agent:2");
    world.settle();
    assert_eq!(images(&world), ["empty:1", "agent:2"]);
    assert_eq!(working(&world), json!({"agent": "agent-2"}));
    assert_eq!(versions(&world), ["0", "102", "102", "0"]);
    assert_eq!(world.counts(), [2, 2, 2, 2]);
    assert!(world.writes.values().all(|n| *n == 2), "{:?}", world.writes);
    world.set_image("agent:3");
    world.settle();
    assert_eq!(images(&world), ["agent:3", "empty:1"]);
    assert_eq!(working(&world), json!({"agent": "agent-1"}));
    assert_eq!(versions(&world), ["103", "0", "0", "103"]);
}

/// Whoever watches sees at every moment a twin that works: the old one goes on until the new one is
/// ready.
#[test]
fn there_is_no_moment_without_a_working_twin() {
    let mut world = World::running(1, &hot());
    world.set_image("agent:2");
    for _ in 0..30 {
        world.step();
        let pod = world.server.pods.values().next().unwrap();
        let works = pod["status"]["containerStatuses"]
            .as_array()
            .unwrap()
            .iter()
            .any(|status| {
                let image = status["image"].as_str().unwrap();
                status["ready"] == true && image.starts_with("agent:")
            });
        assert!(works, "{:#}", pod["status"]);
    }
    assert_eq!(images(&world), ["empty:1", "agent:2"]);
}

#[test]
fn with_a_bad_image_the_old_twin_goes_on_and_a_good_one_takes_over() {
    let mut world = World::running(2, &hot());
    world.set_image("agent:bad");
    world.settle();
    assert_eq!(world.counts(), [2, 1, 1, 0]);
    let images: Vec<String> = world.images("agent-1");
    assert_eq!(images, ["agent:1"; 2]);
    world.set_image("agent:3");
    world.settle();
    assert_eq!(world.counts(), [2, 2, 2, 2]);
    assert_eq!(world.images("agent-2"), ["agent:3"; 2]);
    assert_eq!(world.images("agent-1"), ["empty:1"; 2]);
}

#[test]
fn a_bad_image_that_is_taken_back_leaves_the_old_twin_at_work() {
    let mut world = World::running(1, &hot());
    world.set_image("agent:bad");
    world.settle();
    world.set_image("agent:1");
    world.settle();
    assert_eq!(images(&world), ["agent:1", "empty:1"]);
    assert_eq!(working(&world), json!({"agent": "agent-1"}));
    assert_eq!(world.counts(), [1, 1, 1, 1]);
}

#[test]
fn a_pause_in_the_middle_still_hands_over() {
    let mut world = World::running(1, &hot());
    world.set_image("agent:2");
    world.step();
    world.step();
    world.step();
    assert_eq!(images(&world), ["agent:1", "agent:2"]);
    world.update(&json!({"paused": true}));
    world.settle();
    assert_eq!(images(&world), ["empty:1", "agent:2"]);
}

#[test]
fn what_is_more_than_an_image_waits_for_a_new_pod() {
    let mut world = World::running(1, &hot());
    world.edit(|spec| spec["containers"][0]["env"] = json!([{"name": "A", "value": "1"}]));
    world.settle();
    assert_eq!(world.counts(), [1, 0, 1, 0]);
}
