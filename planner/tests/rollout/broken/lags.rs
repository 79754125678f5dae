//! Views that are late, found by the simulation (`make sim`).

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
