//! Views that are late, found by the simulation (`make sim`).

use model::kubelet::Kubelet;
use model::watchdog::condition;
use planner::Effect;

use super::*;

/// The view shows a new Pod before its containers were reported; at the server they already run.
/// A patch could not record them, and would be taken for done while the kubelet has yet to stop
/// what runs. So the server refuses it, and the next view has what there is to record.
#[test]
fn a_new_pod_is_not_patched_by_a_view_from_before_its_containers_were_reported() {
    for is_old in [false, true] {
        let mut world = World::new(1, &in_place("InPlaceIfPossible"));
        world.kubelet.is_old = is_old;
        world.reconcile();
        world.reconcile();
        for _ in 0..2 {
            world.kubelet_round();
        }
        world.observe();
        for _ in 0..3 {
            world.kubelet_round();
        }
        world.set_image("web:2");
        world.reconcile();
        world.reconcile();
        assert_eq!(world.images(), ["web:1"]);
        world.settle();
        assert_eq!(world.images(), ["web:2"]);
        assert!(world.is_ready());
    }
}

/// Bug: a container was started anew between the view and the patch, with the digest that the next
/// template names too. The one on record was gone already, so the patch was taken for done, and the
/// Pod served until the kubelet stopped what still ran.
#[test]
fn a_container_that_was_started_since_the_view_is_not_taken_for_its_successor() {
    for is_old in [false, true] {
        let mut world = World::running(1, &in_place("InPlaceIfPossible"));
        world.kubelet.is_old = is_old;
        world.set_image("web:2");
        while !matches!(world.plan().effects[..], [Effect::PatchPod { .. }]) {
            world.reconcile();
            world.kubelet_round();
            world.observe();
        }
        let name = world.server.pods.keys().next().unwrap().clone();
        Kubelet::crash(&mut world.server, &name);
        while world.kubelet_round() {}
        world.reconcile();
        assert_eq!(world.images(), ["web:1"], "the patch was refused");
        world.settle();
        assert_eq!(world.images(), ["web:2"]);
    }
}

/// Bug: a gate that a new Pod was about to get was opened after another process had drained and
/// patched that Pod, or had let go of it.
#[test]
fn the_gate_of_a_new_pod_is_not_opened_by_a_view_from_before_it_was_changed() {
    let mut world = World::new(1, &in_place("InPlaceIfPossible"));
    world.reconcile();
    while !matches!(world.plan().effects[..], [Effect::OpenGate { .. }]) {
        world.reconcile();
    }
    let name = world.server.pods.keys().next().unwrap().clone();
    let mut pod = world.server.pods[&name].clone();
    pod["metadata"]["ownerReferences"] = json!([]);
    world.server.write_status(&name, pod);
    world.reconcile();
    let pod = &world.server.pods[&name];
    assert_eq!(condition(pod, "InPlaceUpdateReady"), "Unknown");
}
