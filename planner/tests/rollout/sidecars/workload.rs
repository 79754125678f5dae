//! Two hands on one Pod: its workload's, and that of the SidecarSet.

use apis::names;
use planner::Effect;
use serde_json::{Value, json};

use super::world::World;

fn with_gate(pod: &mut Value) {
    pod["spec"]["readinessGates"] = json!([{"conditionType": names::IN_PLACE_READY_CONDITION}]);
}

/// Sets the gate of the only Pod as its workload does.
fn gate(world: &mut World, status: &str) {
    let mut pod = (*world.server.pods["web-0"]).clone();
    let gate = json!({"type": names::IN_PLACE_READY_CONDITION, "status": status,
        "lastTransitionTime": "2026-03-01T12:00:00Z"});
    model::server::merge_condition(&mut pod, &gate);
    world.server.write_status("web-0", pod);
}

fn patches(world: &World) -> usize {
    let effects = world.plan().effects;
    effects
        .iter()
        .filter(|(_, e)| matches!(e, Effect::PatchPod { .. }))
        .count()
}

#[test]
fn a_drained_pod_is_its_workloads() {
    let mut world = World::empty(&json!({}));
    world.add("web-0", with_gate);
    world.settle();
    gate(&mut world, "True");
    world.settle();
    world.set_image("agent:2");
    world.reconcile();
    assert_eq!(patches(&world), 1);
    gate(&mut world, "False");
    world.settle();
    assert_eq!(world.images("agent"), ["agent:1"]);
    assert_eq!(world.reasons(), [("WaitingWorkload".into(), 1)]);
    // It is not asked to be let in by us: the workload does that.
    world.kubelet.excused.insert("uid-001".into());
    gate(&mut world, "True");
    world.settle();
    assert_eq!(world.images("agent"), ["agent:2"]);
}

#[test]
fn so_is_one_in_the_middle_of_its_update() {
    let record = |last: Value| {
        let state = json!({"revision": "web-1", "updateTimestamp": "2026-03-01T11:59:00Z",
            "lastContainerStatuses": last, "updateImages": true});
        state.to_string()
    };
    let mut world = World::running(1, &json!({}));
    let id = |world: &World| {
        let statuses = &world.server.pods["web-00"]["status"]["containerStatuses"];
        let main = statuses
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["name"] == "main");
        main.unwrap()["containerID"].clone()
    };
    let last = json!({"main": {"imageID": "x", "containerID": id(&world)}});
    for (key, value) in [
        (names::IN_PLACE_STATE_ANNOTATION, record(last)),
        (names::LIFECYCLE_STATE_LABEL, "Updating".to_owned()),
    ] {
        let map = if key == names::LIFECYCLE_STATE_LABEL {
            "labels"
        } else {
            "annotations"
        };
        let mut busy = World::running(1, &json!({}));
        let mut pod = (*busy.server.pods["web-00"]).clone();
        pod["metadata"][map][key] = value.into();
        busy.server.write_status("web-00", pod);
        busy.set_image("agent:2");
        busy.settle();
        assert_eq!(busy.reasons(), [("WaitingWorkload".into(), 1)], "{key}");
        assert_eq!(busy.images("agent"), ["agent:1"]);
    }
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.images("agent"), ["agent:2"]);
}

/// Between the decision and the write the workload may have begun with the Pod.
#[test]
fn a_patch_is_refused_once_anybody_wrote_to_the_pod() {
    let mut world = World::empty(&json!({}));
    world.add("web-0", with_gate);
    world.settle();
    gate(&mut world, "True");
    world.settle();
    world.set_image("agent:2");
    world.reconcile();
    let effects = world.plan().effects;
    gate(&mut world, "False");
    let answer = world.server.perform(&effects[0].1.request());
    assert_eq!(answer, Err(model::server::Refused::TestFailed));
}

/// The kubelet takes a moment to say that a Pod is not ready any more. Until then its workload would
/// count it among those that serve, and drain another one.
#[test]
fn the_workload_does_not_count_on_a_pod_whose_sidecar_is_about_to_restart() {
    let rolling = json!({"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 1});
    let mut shop = model::world::World::running(3, &rolling);
    let name = shop.server.pods.keys().next().unwrap().clone();
    let mut pod = (*shop.server.pods[&name]).clone();
    let id = pod["status"]["containerStatuses"][0]["containerID"].clone();
    let state = json!({"log": {"revision": "x", "updateTimestamp": shop.server.now_text(),
        "lastContainerStatuses": {"main": {"imageID": "x", "containerID": id}}}});
    pod["metadata"]["annotations"][names::SIDECAR_IN_PLACE_STATE_ANNOTATION] =
        state.to_string().into();
    shop.server.write_status(&name, pod);
    shop.set_image("web:2");
    shop.observe();
    shop.reconcile();
    shop.observe();
    let plan = shop.plan();
    assert_eq!(plan.budget.available, 2, "as many as have to stay");
    let drained: Vec<&str> = plan.effects.iter().map(Effect::name).collect();
    assert!(
        drained.iter().all(|drained| *drained == name),
        "{drained:?}"
    );
}
