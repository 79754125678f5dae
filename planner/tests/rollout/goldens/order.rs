//! Who goes first.

use serde_json::{Value, json};

use super::{compare, in_place};
use model::world::World;

/// A running set whose Pods, in order of their names' appearance, carry `labels`.
fn labelled(labels: &[Value]) -> World {
    let mut world = World::running(u32::try_from(labels.len()).unwrap(), &in_place());
    let mut names: Vec<String> = world.server.pods.keys().cloned().collect();
    names.sort_by_key(|name| world.server.pods[name]["metadata"]["uid"].to_string());
    for (name, labels) in names.into_iter().zip(labels) {
        let mut pod = world.server.pods[&name].clone();
        for (key, value) in labels.as_object().unwrap() {
            pod["metadata"]["labels"][key] = value.clone();
        }
        world.server.write_status(&name, pod);
    }
    world.settle();
    world
}

#[test]
fn order_priority() {
    let shard = |n: u32| json!({"shard": format!("s-{n}")});
    let mut world = labelled(&[shard(2), json!({}), shard(10), shard(5)]);
    world.set_rolling(
        "priorityStrategy",
        json!({"orderPriority": [{"orderedKey": "shard"}]}),
    );
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 4]);
    compare(
        &world,
        "order-priority",
        "The highest number at the end of a label goes first; a Pod without the label goes last.",
    );
}

#[test]
fn weight_priority() {
    let mut world = labelled(&[
        json!({}),
        json!({"tier": "canary"}),
        json!({"zone": "a"}),
        json!({}),
    ]);
    world.set_rolling(
        "priorityStrategy",
        json!({"weightPriority": [
            {"weight": 80, "matchSelector": {"matchLabels": {"tier": "canary"}}},
            {"weight": 20, "matchSelector": {"matchLabels": {"zone": "a"}}}]}),
    );
    world.set_rolling("partition", json!(2));
    world.set_image("web:2");
    world.settle();
    let updated: Vec<bool> = ["tier", "zone"]
        .iter()
        .map(|key| {
            let mut pods = world.server.pods.values();
            let pod = pods.find(|p| p["metadata"]["labels"].get(*key).is_some());
            pod.unwrap()["spec"]["containers"][0]["image"] == "web:2"
        })
        .collect();
    assert_eq!(updated, [true, true]);
    compare(
        &world,
        "weight-priority",
        "The canary tier goes first, zone a second; the partition keeps the others.",
    );
}

#[test]
fn scatter() {
    let leader = json!({"role": "leader"});
    let mut world = labelled(&[
        leader.clone(),
        leader.clone(),
        leader,
        json!({}),
        json!({}),
        json!({}),
    ]);
    world.set_rolling(
        "scatterStrategy",
        json!([{"key": "role", "value": "leader"}]),
    );
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 6]);
    compare(
        &world,
        "scatter",
        "Leaders (A, B, C) and others take turns, and a leader comes last.",
    );
}

#[test]
fn scale_down_spread() {
    let mut world = World::running(4, &in_place());
    let mut names: Vec<String> = world.server.pods.keys().cloned().collect();
    names.sort_by_key(|name| world.server.pods[name]["metadata"]["uid"].to_string());
    for (name, node) in names.iter().zip(["n1", "n2", "n2", "n3"]) {
        let mut pod = world.server.pods[name].clone();
        pod["spec"]["nodeName"] = node.into();
        world.server.write_status(name, pod);
    }
    world.settle();
    world.edit("replicas 3", |spec| spec["replicas"] = 3.into());
    world.settle();
    let alone = [&names[0], &names[3]];
    assert!(
        alone
            .iter()
            .all(|name| world.server.pods.contains_key(*name))
    );
    compare(
        &world,
        "scale-down-spread",
        "B and C share a node, so one of them goes, although D is as young as they are.",
    );
}
