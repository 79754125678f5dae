//! `markPodNotReady`: Pods leave their Services before their sidecars restart.

use std::sync::Arc;

use apis::names::{
    LIFECYCLE_STATE_LABEL, REASON_START_SIDECAR_UPDATE, SIDECAR_IN_PLACE_STATE_ANNOTATION,
    SIDECAR_LIST_ANNOTATION,
};
use planner::sidecar_set::release;
use planner::{Effect, Pod};
use serde::Deserialize;
use serde_json::{Value, json};

use super::world::World;

fn world(count: usize) -> World {
    World::gated(count, &json!({"updateStrategy": {"markPodNotReady": true}}))
}

/// What the next pass does to Pods, in short.
fn next(world: &World) -> Vec<String> {
    let effects = world.plan().effects;
    let of_pods = effects.iter().filter_map(|(_, effect)| {
        let what = match effect {
            Effect::Drain { .. } => "close",
            Effect::PatchPod { .. } => "patch",
            Effect::OpenGate { .. } => "open",
            _ => return None,
        };
        Some(format!("{what} {}", effect.name()))
    });
    of_pods.collect()
}

/// A set whose only Pod is out of its Services, and not patched yet.
fn drained() -> World {
    let mut world = world(1);
    world.set_image("agent:2");
    world.reconcile();
    assert_eq!(next(&world), ["close web-00"]);
    world.reconcile();
    for _ in 0..5 {
        world.kubelet.sync(&mut world.server, "web-00");
    }
    assert_eq!(next(&world), ["patch web-00"]);
    world
}

#[test]
fn a_pod_leaves_its_services_before_its_sidecar_restarts_and_comes_back() {
    let mut world = world(3);
    let others = world.others("agent");
    world.set_image("agent:2");
    // The kubelet of the model minds that a container stops in a Pod that serves.
    world.settle();
    assert_eq!(world.images("agent"), ["agent:2"; 3]);
    assert_eq!(world.others("agent"), others);
    assert_eq!(world.counts(), [3, 3, 3, 3]);
    assert_eq!(world.fewest, 2);
    assert!(world.writes.values().all(|n| *n == 3), "{:?}", world.writes);
    assert_eq!(world.gate_of("web-00")["status"], "True");
    assert_eq!(world.gate_of("web-00")["message"], Value::Null);
}

#[test]
fn nothing_is_patched_before_the_kubelet_has_said_that_the_pod_is_out() {
    let mut world = world(1);
    world.set_image("agent:2");
    world.reconcile();
    world.reconcile();
    assert_eq!(
        world.gate_of("web-00")["reason"],
        REASON_START_SIDECAR_UPDATE
    );
    assert_eq!(world.gate_of("web-00")["message"], "SidecarSet log");
    assert_eq!(next(&world), [""; 0]);
    world.reconcile();
    assert_eq!(world.reasons(), [("Draining".into(), 1)]);
}

#[test]
fn the_gate_opens_when_the_kubelet_has_seen_the_patch() {
    let mut world = drained();
    world.reconcile();
    assert_eq!(next(&world), [""; 0], "the kubelet has not seen it");
    world.kubelet.sync(&mut world.server, "web-00");
    assert_eq!(next(&world), ["open web-00"]);
}

#[test]
fn a_kubelet_that_never_says_what_it_has_seen_has_to_run_the_new_container_first() {
    let mut world = world(1);
    world.kubelet.is_old = true;
    let mut pod = (*world.server.pods["web-00"]).clone();
    pod["status"]
        .as_object_mut()
        .unwrap()
        .remove("observedGeneration");
    world.server.write_status("web-00", pod);
    world.settle();
    world.set_image("agent:2");
    let mut runs_new = false;
    for _ in 0..30 {
        let opens = next(&world).contains(&"open web-00".to_owned());
        assert!(!opens || runs_new, "too early");
        world.step();
        let statuses = &world.server.pods["web-00"]["status"]["containerStatuses"];
        let mut statuses = statuses.as_array().unwrap().iter();
        runs_new = statuses.any(|s| s["image"] == "agent:2" && !s["state"]["running"].is_null());
    }
    assert_eq!(world.counts(), [1, 1, 1, 1]);
}

#[test]
fn a_set_that_does_not_ask_drains_nobody() {
    let mut world = World::gated(2, &json!({}));
    world.kubelet.injected.insert("agent".into());
    world.set_image("agent:2");
    world.settle();
    assert!(world.writes.values().all(|n| *n == 1), "{:?}", world.writes);
}

#[test]
fn nor_does_one_whose_pods_have_no_gate() {
    let mut world = World::running(2, &json!({"updateStrategy": {"markPodNotReady": true}}));
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.counts(), [2, 2, 2, 2]);
    assert!(world.writes.values().all(|n| *n == 1), "{:?}", world.writes);
}

#[test]
fn a_pod_that_does_not_serve_is_drained_only_if_it_may_at_any_moment() {
    let mut world = world(1);
    world.set_image("agent:bad");
    world.settle();
    assert_eq!(world.reasons(), [("ImagePull".into(), 1)]);
    world.writes.clear();
    world.set_image("agent:3");
    world.settle();
    assert_eq!(world.counts(), [1, 1, 1, 1]);
    assert_eq!(world.writes["web-00"], 1, "no drain");

    world.kubelet.broken.insert("web-00".into());
    let mut pod = (*world.server.pods["web-00"]).clone();
    pod["status"]["containerStatuses"][0]["ready"] = false.into();
    world.server.write_status("web-00", pod);
    world.settle();
    world.set_image("agent:4");
    world.reconcile();
    assert_eq!(next(&world), ["close web-00"]);
}

#[test]
fn twins_hand_over_without_a_drain() {
    let hot = json!({"containers": [{"name": "agent", "image": "agent:1",
        "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1"}}],
        "updateStrategy": {"markPodNotReady": true}});
    let mut world = World::gated(1, &hot);
    for twin in ["agent-1", "agent-2"] {
        world.kubelet.injected.insert(twin.into());
    }
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.images("agent-2"), ["agent:2"]);
    assert_eq!(world.writes["web-00"], 2);
}

/// Whatever was wanted of it, it is not wanted any more.
#[test]
fn a_pod_that_was_taken_out_is_let_in_when_nothing_more_is_wanted_of_it() {
    type Edit = fn(&mut World);
    let edits: [(&str, Edit); 6] = [
        ("the image was taken back", |w| w.set_image("agent:1")),
        ("paused", |w| {
            w.edit(|s| s["updateStrategy"]["paused"] = true.into());
        }),
        ("NotUpdate", |w| {
            w.edit(|s| s["updateStrategy"]["type"] = "NotUpdate".into());
        }),
        ("partition", |w| {
            w.edit(|s| s["updateStrategy"]["partition"] = 1.into());
        }),
        ("other containers", |w| {
            w.edit(|s| s["containers"][0]["command"] = json!(["log"]));
        }),
        ("the selector", |w| {
            w.edit(|s| s["selector"]["matchLabels"]["app"] = "other".into());
        }),
    ];
    for (what, edit) in edits {
        let mut world = drained();
        edit(&mut world);
        world.reconcile();
        let opens = next(&world);
        let is_open = world.gate_of("web-00")["status"] == "True";
        assert!(is_open || opens == ["open web-00"], "{what}: {opens:?}");
        world.settle();
        assert_eq!(world.gate_of("web-00")["status"], "True", "{what}");
        assert_eq!(world.images("agent"), ["agent:1"], "{what}");
        assert_eq!(world.serving(), 1, "{what}");
    }
}

#[test]
fn what_was_begun_is_gone_on_with_though_the_set_asks_no_more() {
    let mut world = drained();
    world.edit(|spec| spec["updateStrategy"] = json!({}));
    assert_eq!(next(&world), ["patch web-00"]);
    world.settle();
    assert_eq!(world.counts(), [1, 1, 1, 1]);
}

#[test]
fn one_that_was_taken_out_goes_before_those_that_the_strategy_puts_first() {
    let mut world = world(3);
    world.set_image("agent:2");
    world.reconcile();
    world.reconcile();
    let begun = next(&world);
    assert_eq!(begun, [""; 0]);
    let weights = json!({"weightPriority": [
        {"weight": 9, "matchSelector": {"matchLabels": {"first": "yes"}}}]});
    world.edit(|spec| {
        spec["updateStrategy"]["priorityStrategy"] = weights;
        spec["updateStrategy"]["partition"] = 2.into();
    });
    let closed = |world: &World| {
        let mut names = ["web-00", "web-01", "web-02"].into_iter();
        names
            .find(|name| world.gate_of(name)["status"] == "False")
            .map(str::to_owned)
    };
    let begun = closed(&world).unwrap();
    for name in ["web-00", "web-01", "web-02"] {
        if *name != *begun {
            let mut pod = (*world.server.pods[name]).clone();
            pod["metadata"]["labels"]["first"] = "yes".into();
            world.server.write_status(name, pod);
        }
    }
    world.settle();
    assert_eq!(world.writes.keys().collect::<Vec<_>>(), [&begun]);
}

#[test]
fn a_set_on_its_way_out_or_gone_leaves_no_gate_closed() {
    let mut world = drained();
    world.set["metadata"]["deletionTimestamp"] = "2026-03-01T12:30:00Z".into();
    assert_eq!(next(&world), ["open web-00"]);

    let pods: Vec<Arc<Pod>> = world.snapshot().pods;
    let pods = || pods.iter().map(|pod| &**pod);
    let effects = release("log", pods(), world.server.now);
    assert_eq!(effects.len(), 1);
    assert_eq!(release("other", pods(), world.server.now), []);
    world.server.perform(&effects[0].1.request()).unwrap();
    assert_eq!(world.gate_of("web-00")["status"], "True");
}

#[test]
fn nor_does_one_that_the_pod_was_made_to_forget() {
    let mut world = drained();
    let mut pod = (*world.server.pods["web-00"]).clone();
    pod["metadata"]["annotations"][SIDECAR_LIST_ANNOTATION] = "other".into();
    world.server.write_status("web-00", pod);
    let mut snapshot = world.snapshot();
    assert_eq!(
        snapshot.pods.len(),
        0,
        "only whoever closed the gate finds it"
    );
    let pod = Pod::deserialize(&*world.server.pods["web-00"]).unwrap();
    snapshot.pods = vec![Arc::new(pod)];
    let plan = planner::sidecar_set::plan(&snapshot);
    assert!(plan.pods.is_empty());
    assert!(matches!(plan.effects[..], [(_, Effect::OpenGate { .. })]));
}

/// Its hook may want it to stay out until it is gone.
#[test]
fn a_pod_that_is_prepared_for_deletion_stays_out() {
    let mut world = drained();
    let mut pod = (*world.server.pods["web-00"]).clone();
    pod["metadata"]["labels"][LIFECYCLE_STATE_LABEL] = "PreparingDelete".into();
    world.server.write_status("web-00", pod);
    assert_eq!(next(&world), [""; 0]);
    world.reconcile();
    assert_eq!(world.reasons(), [("WaitingWorkload".into(), 1)]);
}

/// Between the decision and the write somebody else may have closed it anew.
#[test]
fn a_gate_that_somebody_else_closed_since_is_not_opened() {
    let mut world = drained();
    world.reconcile();
    world.kubelet.sync(&mut world.server, "web-00");
    let effects = world.plan().effects;
    world.gate("web-00", "False");
    let answer = world.server.perform(&effects[0].1.request());
    assert_eq!(answer, Err(model::server::Refused::TestFailed));
}

#[test]
fn another_set_waits_until_it_is_let_in() {
    let mut world = drained();
    let mut pod = (*world.server.pods["web-00"]).clone();
    let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
    for condition in conditions {
        if condition["reason"] == REASON_START_SIDECAR_UPDATE {
            condition["message"] = "SidecarSet mesh".into();
        }
    }
    world.server.write_status("web-00", pod);
    assert_eq!(next(&world), [""; 0]);
    world.reconcile();
    assert_eq!(world.reasons(), [("WaitingSidecars".into(), 1)]);
}

/// The workload neither opens the gate, nor counts on the Pod, nor begins with it.
#[test]
fn its_workload_leaves_a_pod_alone_that_a_set_took_out() {
    let rolling = json!({"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 1});
    let mut shop = model::world::World::running(3, &rolling);
    let name = shop.server.pods.keys().next().unwrap().clone();
    let mut pod = (*shop.server.pods[&name]).clone();
    let gate = json!({"type": "InPlaceUpdateReady", "status": "False",
        "reason": REASON_START_SIDECAR_UPDATE, "message": "SidecarSet log",
        "lastTransitionTime": shop.server.now_text()});
    model::server::merge_condition(&mut pod, &gate);
    pod["metadata"]["annotations"][SIDECAR_IN_PLACE_STATE_ANNOTATION] = "{}".into();
    shop.server.write_status(&name, pod);
    shop.kubelet.sync(&mut shop.server, &name);
    shop.observe();
    assert_eq!(shop.plan().effects, []);
    assert_eq!(shop.plan().budget.available, 2);
    shop.set_image("web:2");
    shop.observe();
    shop.reconcile();
    shop.observe();
    let plan = shop.plan();
    assert_eq!(plan.effects, [], "the budget is used up by it");
    let reasons = &plan.status.reasons;
    assert!(
        reasons.iter().any(|r| r.reason == "WaitingSidecars"),
        "{reasons:?}"
    );
}

/// From an old view: it closed the gate itself and opened it again since, or it saw the Pod not
/// ready behind an open gate.
#[test]
fn nor_does_its_workload_patch_a_pod_that_a_set_took_out_since() {
    for is_broken in [false, true] {
        let rolling = json!({"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 1});
        let mut shop = model::world::World::running(1, &rolling);
        if is_broken {
            let name = shop.server.pods.keys().next().unwrap().clone();
            shop.kubelet.broken.insert(name.clone());
            shop.set_image("web:bad");
            shop.settle();
        }
        shop.set_image("web:2");
        let mut effects = Vec::new();
        for _ in 0..10 {
            shop.observe();
            effects = shop.plan().effects;
            if matches!(effects[..], [Effect::PatchPod { .. }]) {
                break;
            }
            shop.reconcile();
            shop.kubelet_round();
        }
        let name = effects[0].name();
        let mut pod = (*shop.server.pods[name]).clone();
        let gate = json!({"type": "InPlaceUpdateReady", "status": "False",
            "reason": REASON_START_SIDECAR_UPDATE, "message": "SidecarSet log"});
        model::server::merge_condition(&mut pod, &gate);
        shop.server.write_status(name, pod);
        let answer = shop.server.perform(&effects[0].request());
        let refused = Err(model::server::Refused::TestFailed);
        assert_eq!(answer, refused, "{is_broken}");
    }
}
