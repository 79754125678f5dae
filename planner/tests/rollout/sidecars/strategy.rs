//! How many at a time, and which first.

use serde_json::{Value, json};

use super::world::World;
use planner::Effect;

/// How many Pods are patched in the next pass, of `total` Pods of which the first `updated` have the
/// new image and `broken` of these are not ready.
fn next(total: usize, updated: usize, ready: usize, strategy: &Value) -> usize {
    let mut world = World::empty(&json!({"updateStrategy": strategy}));
    let old = world.record();
    world.set_image("agent:2");
    let new = world.record();
    for n in 0..total {
        let is_updated = n < updated;
        let name = format!("web-{n:04}");
        world.add(&name, |pod| {
            let record = if is_updated { &new } else { &old };
            pod["metadata"]["annotations"] = record.clone();
            let image = if is_updated { "agent:2" } else { "agent:1" };
            pod["spec"]["containers"][1]["image"] = image.into();
            pod["spec"]["nodeName"] = "n".into();
        });
        let is_ready = !is_updated || n < ready;
        let mut pod = (*world.server.pods[&name]).clone();
        let status = if is_ready { "True" } else { "False" };
        pod["status"] = json!({"phase": "Running", "observedGeneration": 1,
            "conditions": [{"type": "Ready", "status": status,
                "lastTransitionTime": "2026-03-01T11:00:00Z"}]});
        world.server.write_status(&name, pod);
    }
    world.reconcile();
    let effects = world.plan().effects;
    effects
        .iter()
        .filter(|(_, e)| matches!(e, Effect::PatchPod { .. }))
        .count()
}

#[test]
fn the_budget_is_what_openkruise_counts() {
    let max = |max: Value| json!({"maxUnavailable": max});
    assert_eq!(next(100, 30, 26, &max(json!(10))), 6);
    assert_eq!(next(1000, 300, 260, &max(json!("10%"))), 60);
    assert_eq!(next(1000, 300, 250, &max(json!("5%"))), 0);
    assert_eq!(next(100, 30, 27, &max(json!(100))), 70);
    assert_eq!(next(5, 0, 0, &max(json!("5%"))), 1);
}

#[test]
fn the_partition_is_what_openkruise_counts() {
    let of = |partition: Value, max: u32| json!({"partition": partition, "maxUnavailable": max});
    for partition in [json!(180), json!("18%")] {
        assert_eq!(next(1000, 800, 760, &of(partition, 100)), 20);
    }
    for partition in [json!(100), json!("10%")] {
        assert_eq!(next(1000, 800, 760, &of(partition, 100)), 60);
    }
    assert_eq!(next(5, 0, 0, &of(json!("99%"), 5)), 1);
    assert_eq!(next(5, 0, 0, &of(json!("1%"), 5)), 4);
    assert_eq!(next(5, 0, 0, &of(json!(5), 5)), 0);
}

/// OpenKruise counts the Pods that it broke itself. A Pod that is down for another reason is as
/// much an outage to whoever serves.
#[test]
fn a_pod_that_is_not_ready_for_another_reason_counts() {
    let mut world = World::running(4, &json!({"updateStrategy": {"maxUnavailable": 2}}));
    world.kubelet.broken.insert("web-03".into());
    let pod = world.server.pods["web-03"].clone();
    let mut pod = (*pod).clone();
    pod["status"]["containerStatuses"][0]["ready"] = false.into();
    world.server.write_status("web-03", pod);
    world.settle();
    world.set_image("agent:2");
    world.settle();
    assert_eq!(
        world.images("agent"),
        ["agent:2"; 4],
        "it is updated itself at no cost"
    );
    assert_eq!(world.fewest, 2);
}

#[test]
fn with_a_spent_budget_only_what_is_down_is_updated() {
    let mut world = World::running(3, &json!({"updateStrategy": {"maxUnavailable": 1}}));
    world.kubelet.broken.insert("web-01".into());
    let mut pod = (*world.server.pods["web-01"]).clone();
    pod["status"]["containerStatuses"][0]["ready"] = false.into();
    world.server.write_status("web-01", pod);
    world.settle();
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.images("agent"), ["agent:1", "agent:2", "agent:1"]);
    assert_eq!(world.reasons(), [("WaitingBudget".into(), 2)]);
    assert_eq!(world.fewest, 2);
}

#[test]
fn a_partition_keeps_so_many_and_removing_it_goes_on() {
    let mut world = World::running(4, &json!({"updateStrategy": {"partition": "50%"}}));
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.counts(), [4, 2, 4, 2]);
    assert_eq!(world.reasons(), [("WaitingPartition".into(), 2)]);
    assert_eq!(
        world.condition("Ready"),
        ("True".into(), "PartitionReached".into())
    );
    world.update(&json!({"partition": 0}));
    world.settle();
    assert_eq!(world.counts(), [4, 4, 4, 4]);
}

#[test]
fn a_selector_chooses_the_canaries() {
    let mut world = World::empty(&json!({}));
    world.add("web-00", |_| {});
    world.add("web-01", |pod| {
        pod["metadata"]["labels"]["canary"] = "yes".into();
    });
    world.settle();
    world.update(&json!({"selector": {"matchLabels": {"canary": "yes"}}}));
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.images("agent"), ["agent:1", "agent:2"]);
    assert_eq!(world.reasons(), [("WaitingSelector".into(), 1)]);
    assert_eq!(world.condition("Ready").1, "SelectorReached");
    world.update(&json!({}));
    world.settle();
    assert_eq!(world.images("agent"), ["agent:2", "agent:2"]);
}

#[test]
fn paused_sets_and_those_that_only_inject_change_no_pod() {
    for (strategy, reason) in [
        (json!({"paused": true}), "Paused"),
        (json!({"type": "NotUpdate"}), "NotUpdate"),
    ] {
        let mut world = World::running(2, &json!({"updateStrategy": strategy}));
        world.set_image("agent:2");
        world.settle();
        assert_eq!(world.writes.len(), 0);
        assert_eq!(world.counts(), [2, 0, 2, 0]);
        assert_eq!(world.reasons(), [(reason.to_owned(), 2)]);
    }
}

#[test]
fn a_pause_after_the_first_pod_stops_there() {
    let mut world = World::running(3, &json!({}));
    world.set_image("agent:2");
    world.step();
    world.step();
    world.update(&json!({"paused": true}));
    world.settle();
    assert_eq!(world.counts(), [3, 1, 3, 1]);
    world.update(&json!({"paused": false}));
    world.settle();
    assert_eq!(world.counts(), [3, 3, 3, 3]);
}

/// The first Pod that is updated of those with these labels.
fn first(labels: &[&str], strategy: &Value) -> Vec<String> {
    let mut strategy = strategy.clone();
    strategy["partition"] = (labels.len() - 1).into();
    let mut world = World::empty(&json!({"updateStrategy": strategy}));
    for (n, label) in labels.iter().enumerate() {
        world.add(&format!("web-{n}"), |pod| {
            pod["metadata"]["labels"]["step"] = (*label).into();
        });
    }
    world.settle();
    world.set_image("agent:2");
    world.settle();
    world.writes.into_keys().collect()
}

#[test]
fn priorities_say_who_goes_first() {
    let weights = json!({"priorityStrategy": {"weightPriority": [
        {"weight": 50, "matchSelector": {"matchLabels": {"step": "b"}}},
        {"weight": 30, "matchSelector": {"matchLabels": {"step": "a"}}}]}});
    assert_eq!(first(&["a", "b", "c"], &weights), ["web-1"]);
    let order = json!({"priorityStrategy": {"orderPriority": [{"orderedKey": "step"}]}});
    assert_eq!(first(&["s-5", "s-10", "s-20"], &order), ["web-2"]);
}

#[test]
fn scattered_labels_are_not_taken_in_a_row() {
    let strategy = json!({"maxUnavailable": 1,
        "scatterStrategy": [{"key": "step", "value": "a"}]});
    assert_eq!(first(&["b", "b", "b", "b", "a", "a"], &strategy), ["web-4"]);
}

#[test]
fn pods_outside_the_selector_or_its_namespaces_count_no_more() {
    let mut world = World::running(2, &json!({}));
    world.edit(|spec| {
        let other = json!({"matchLabels": {"kubernetes.io/metadata.name": "other"}});
        spec["namespaceSelector"] = other;
    });
    world.set_image("agent:2");
    world.settle();
    assert_eq!((world.counts(), world.writes.len()), ([0, 0, 0, 0], 0));
    world.edit(|spec| {
        let shop = json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}});
        spec["namespaceSelector"] = shop;
    });
    world.settle();
    assert_eq!(world.counts(), [2, 2, 2, 2]);
}
