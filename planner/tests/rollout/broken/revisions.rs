//! Which revision a Pod should be at, and what may not change.

use super::*;

#[test]
fn percentages_of_the_partition_round_up_but_never_to_all() {
    for (partition, updated) in [("40%", 3), ("99%", 1), ("100%", 0), ("0%", 5)] {
        let mut world = World::running(5, &in_place("InPlaceIfPossible"));
        world.set_rolling("partition", json!(partition));
        world.set_image("web:2");
        world.settle();
        let new = world.images().iter().filter(|i| *i == "web:2").count();
        assert_eq!(new, updated, "{partition}");
    }
}

#[test]
fn in_place_only_refuses_an_env_change_with_its_path_and_touches_nothing() {
    let mut world = World::running(3, &in_place("InPlaceOnly"));
    set_env(&mut world, "1");
    world.settle();
    assert!(world.writes.is_empty());
    assert_eq!(world.ready_reason(), "NeedsRecreate");
    let example = world.status().reasons[0].example.clone().unwrap();
    assert!(
        example.contains("spec.template.spec.containers[0].env"),
        "{example}"
    );
    assert_eq!(world.status().reasons[0].pods, 3);
}

#[test]
fn in_place_only_with_a_drained_pod_and_a_refused_template_undrains_it() {
    let mut world = World::running(3, &in_place("InPlaceOnly"));
    world.set_image("web:2");
    world.reconcile();
    world.reconcile();
    set_env(&mut world, "1");
    world.settle();
    assert_eq!(world.images(), ["web:1"; 3]);
    assert_eq!(world.server.pods.values().filter(|p| serves(p)).count(), 3);
}

/// Bug: Pods that may not be replaced used up the places of those that could be patched.
#[test]
fn a_refused_pod_does_not_take_the_place_of_another() {
    let mut world = World::running(4, &in_place("InPlaceOnly"));
    world.set_rolling("partition", json!(3));
    set_env(&mut world, "1");
    world.set_rolling("podUpdatePolicy", json!("InPlaceIfPossible"));
    world.settle();
    // One Pod has the new env now; with yet another image only it can be patched.
    world.set_rolling("podUpdatePolicy", json!("InPlaceOnly"));
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:1", "web:2"]);
    assert_eq!(world.ready_reason(), "PartitionReached");
}

#[test]
fn a_pod_of_an_unknown_revision_is_replaced_where_that_is_allowed_and_else_reported() {
    for (policy, reason) in [
        ("InPlaceIfPossible", "AllAvailable"),
        ("InPlaceOnly", "UnknownRevision"),
        ("ReCreate", "AllAvailable"),
    ] {
        let mut world = World::running(3, &in_place(policy));
        let name = names(&world)[0].clone();
        let mut pod = world.server.pods[&name].clone();
        pod["metadata"]["labels"]["controller-revision-hash"] = "web-lost".into();
        world.server.write_status(&name, pod);
        world.settle();
        assert_eq!(world.ready_reason(), reason, "{policy}");
        assert_eq!(
            world.server.pods.contains_key(&name),
            policy == "InPlaceOnly"
        );
    }
}

#[test]
fn the_old_template_again_rolls_back_in_place() {
    let mut world = World::running(3, &in_place("InPlaceOnly"));
    let uids = world.uids();
    world.set_image("web:2");
    world.settle();
    world.set_image("web:1");
    world.settle();
    assert_eq!(world.images(), ["web:1"; 3]);
    assert_eq!(world.uids(), uids);
    assert_eq!(
        world.server.revisions.len(),
        2,
        "the old revision is used again"
    );
}

/// Bug: a canary that was taken back by applying the old template stayed, because the partition,
/// still set, "kept" the canary Pods.
#[test]
fn a_canary_is_taken_back_by_the_old_template_whatever_the_partition_says() {
    let mut world = World::running(4, &in_place("InPlaceIfPossible"));
    world.set_rolling("partition", json!(3));
    world.set_image("web:2");
    world.settle();
    world.set_image("web:1");
    world.settle();
    assert_eq!(world.images(), ["web:1"; 4]);
    assert_eq!(world.ready_reason(), "AllAvailable");
}

/// Bug: a mended canary could go to a Pod that had not been one, and leave the broken one.
#[test]
fn the_next_canary_goes_to_the_canary_pods() {
    let mut world = World::running(4, &in_place("InPlaceIfPossible"));
    world.set_rolling("partition", json!(3));
    world.set_rolling("maxUnavailable", json!(2));
    world.set_image("web:2");
    world.settle();
    let broken = world
        .server
        .pods
        .values()
        .find(|p| p["spec"]["containers"][0]["image"] == "web:1");
    let broken = broken.unwrap()["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    world.kubelet.broken.insert(broken);
    world.set_image("web:3");
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:1", "web:3"]);
}

#[test]
fn recreate_replaces_every_pod_within_the_budget() {
    let mut world = World::running(3, &in_place("ReCreate"));
    let uids = world.uids();
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 3]);
    assert!(world.uids().iter().all(|uid| !uids.contains(uid)));
}

#[test]
fn the_current_revision_moves_only_when_nothing_is_kept_back() {
    let mut world = World::running(3, &in_place("InPlaceIfPossible"));
    let first = world.status().current_revision;
    world.set_rolling("partition", json!(1));
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.status().current_revision, first);
    world.set_rolling("partition", json!(0));
    world.settle();
    let status = world.status();
    assert_ne!(status.current_revision, first);
    assert_eq!(status.current_revision, status.update_revision);
}

/// Bug: without a recorded current revision the update revision stood in for it, so a Pod lost
/// during a canary came back as another canary.
#[test]
fn a_lost_status_does_not_widen_a_canary() {
    let mut world = World::running(4, &in_place("InPlaceIfPossible"));
    world.set_rolling("partition", json!(3));
    world.set_image("web:2");
    world.settle();
    world.set["status"] = Value::Null;
    let old = world
        .server
        .pods
        .iter()
        .find(|(_, p)| p["spec"]["containers"][0]["image"] == "web:1");
    let old = old.unwrap().0.clone();
    world.server.terminate(&old);
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:1", "web:2"]);
}

#[test]
fn two_templates_that_mean_the_same_are_one_revision() {
    let mut world = World::running(2, &in_place("InPlaceIfPossible"));
    world.edit("the same in other words", |spec| {
        spec["template"]["metadata"]["creationTimestamp"] = Value::Null;
        spec["template"]["spec"]["containers"][0]["resources"] = json!({});
        spec["template"]["spec"]["containers"][0]["env"] = json!([]);
    });
    world.settle();
    assert_eq!(world.server.revisions.len(), 1);
    assert!(world.writes.is_empty());
}
