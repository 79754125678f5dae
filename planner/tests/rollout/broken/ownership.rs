//! Whose Pods they are, and what becomes of a set that is deleted.

use model::watchdog::condition;
use planner::Effect;

use super::*;

fn orphan(world: &mut World) {
    for name in names(world) {
        let mut pod = world.server.pods[&name].clone();
        pod["metadata"]["ownerReferences"] = json!([]);
        world.server.write_status(&name, pod);
    }
    world.observe();
}

/// Bug: Pods were created in the place of those that were being adopted, and deleted again.
#[test]
fn adopted_pods_are_not_created_a_second_time() {
    let mut world = World::running(3, &in_place("InPlaceIfPossible"));
    let uids = world.uids();
    orphan(&mut world);
    world.writes.clear();
    world.settle();
    assert_eq!(world.uids(), uids);
    assert!(world.writes.values().all(|writes| *writes == 1));
}

#[test]
fn a_pod_whose_labels_leave_the_selector_is_released_and_replaced() {
    let mut world = World::running(2, &in_place("InPlaceIfPossible"));
    let name = names(&world)[0].clone();
    let mut pod = world.server.pods[&name].clone();
    pod["metadata"]["labels"]["app"] = "debug".into();
    world.server.write_status(&name, pod);
    world.settle();
    assert_eq!(world.server.pods.len(), 3);
    let owners = &world.server.pods[&name]["metadata"]["ownerReferences"];
    assert_eq!(*owners, Value::Null);
}

/// Bug: a set that is being deleted still recorded a new template.
#[test]
fn a_deleted_set_plans_nothing() {
    let mut world = World::running(2, &in_place("InPlaceIfPossible"));
    world.set["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z".into();
    world.set_image("web:2");
    world.edit("replicas 5", |spec| spec["replicas"] = 5.into());
    orphan(&mut world);
    assert_eq!(world.plan().effects, []);
    world.settle();
    assert!(world.writes.is_empty());
    assert_eq!(world.ready_reason(), "Deleting");
    assert!(!world.is_ready());
}

/// Bug: the revisions of a set that was deleted with `--cascade=orphan` and made again kept the
/// names that it wanted to give, and it asked for them for ever.
#[test]
fn a_set_made_again_adopts_its_revisions_and_restarts_nothing() {
    let mut world = World::running(2, &in_place("InPlaceIfPossible"));
    let uids = world.uids();
    for revision in world.server.revisions.values_mut() {
        revision["metadata"]["ownerReferences"] = json!([]);
    }
    orphan(&mut world);
    world.set["metadata"]["uid"] = "another-uid".into();
    world.set["status"] = Value::Null;
    world.settle();
    assert_eq!(world.uids(), uids);
    assert_eq!(world.server.revisions.len(), 1);
    let owners = |object: &Value| object["metadata"]["ownerReferences"][0]["uid"].clone();
    let all = world
        .server
        .pods
        .values()
        .chain(world.server.revisions.values());
    assert!(
        all.map(|object| owners(object))
            .all(|uid| uid == "another-uid")
    );
    assert!(world.is_ready());
}

/// Another process let go of the Pod, and this one has yet to hear of it: nothing is written to
/// what is not ours. (Found by the simulation, seeds 52062 and 68775.)
#[test]
fn a_pod_that_was_let_go_meanwhile_is_not_patched() {
    let mut world = World::running(1, &in_place("InPlaceOnly"));
    let name = names(&world).remove(0);
    world.set_image("web:2");
    loop {
        world.tick();
        world.observe();
        let mut effects = world.plan().effects.into_iter();
        if effects.any(|effect| matches!(effect, Effect::PatchPod { .. })) {
            break;
        }
        world.reconcile();
        world.kubelet_round();
    }
    let mut pod = world.server.pods[&name].clone();
    pod["metadata"]["ownerReferences"] = Value::Null;
    world.server.write_status(&name, pod);
    world.reconcile();
    assert_eq!(world.images(), ["web:1"]);
}

/// Nor is it let into its Services, whose owner may just have taken it out. (Found by the simulation,
/// seeds 500812 and 501611 of a time when all lives had owners that got lost.)
#[test]
fn the_gate_of_a_pod_that_was_let_go_meanwhile_is_not_opened() {
    let mut world = World::running(1, &in_place("InPlaceOnly"));
    let name = names(&world).remove(0);
    world.set_image("web:2");
    loop {
        world.tick();
        world.observe();
        let mut effects = world.plan().effects.into_iter();
        if effects.any(|effect| matches!(effect, Effect::OpenGate { .. })) {
            break;
        }
        world.reconcile();
        world.kubelet_round();
    }
    let mut pod = world.server.pods[&name].clone();
    pod["metadata"]["ownerReferences"] = Value::Null;
    world.server.write_status(&name, pod);
    world.reconcile();
    let pod = &world.server.pods[&name];
    assert_eq!(condition(pod, "InPlaceUpdateReady"), "False");
}
