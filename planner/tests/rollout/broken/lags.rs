//! Views that are late, found by the simulation (`make sim`).

use super::*;

/// The view shows a new Pod before its containers were reported; at the server they already run.
/// The patch records no container then, and must not be taken for done: the gate would open while
/// the kubelet has yet to stop what runs.
#[test]
fn a_new_pod_that_is_patched_before_its_containers_are_reported_waits_for_the_kubelet() {
    let mut world = World::new(1, &in_place("InPlaceIfPossible"));
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
    assert_eq!(world.images(), ["web:2"]);
    world.observe();
    assert_eq!(reasons(&world), ["WaitingKubelet"]);
    assert!(world.plan().effects.is_empty(), "the gate stays as it is");
    world.settle();
    assert!(world.is_ready());
}
