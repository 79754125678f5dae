//! Other writers: people, admission webhooks, old kubelets.

use planner::Effect;

use super::*;

#[test]
fn a_hand_edit_of_an_image_is_taken_back_within_the_budget() {
    let mut world = World::running(4, &in_place("InPlaceIfPossible"));
    for name in names(&world) {
        world.hand_edit(&name, "web:mine");
        // The kubelet acts before we do.
        for _ in 0..5 {
            world.kubelet.sync(&mut world.server, &name);
        }
    }
    world.settle();
    assert_eq!(world.images(), ["web:1"; 4]);
}

#[test]
fn a_hand_edit_under_way_makes_the_set_not_ready() {
    let mut world = World::running(4, &in_place("InPlaceIfPossible"));
    let name = names(&world)[0].clone();
    world.hand_edit(&name, "web:mine");
    for _ in 0..5 {
        world.kubelet.sync(&mut world.server, &name);
    }
    world.observe();
    world.reconcile();
    assert!(!world.is_ready());
}

fn mirror(pod: &mut Value) {
    let image = pod["spec"]["containers"][0]["image"].as_str().unwrap();
    if !image.starts_with("mirror/") {
        pod["spec"]["containers"][0]["image"] = format!("mirror/{image}").into();
    }
}

#[test]
fn images_that_admission_rewrites_are_patched_once() {
    let mut world = World::new(3, &in_place("InPlaceIfPossible"));
    world.server.admission = Some(mirror);
    world.settle();
    world.writes.clear();
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["mirror/web:2"; 3]);
    assert!(world.writes.values().all(|writes| *writes == 3));
    assert!(world.is_ready());
}

/// Bug: a patch of metadata alone left a record of the revision before, by which images that
/// admission had rewritten no longer looked like admission's: every Pod was drained for nothing.
#[test]
fn metadata_over_rewritten_images_drains_nobody() {
    let mut world = World::new(3, &in_place("InPlaceIfPossible"));
    world.server.admission = Some(mirror);
    world.settle();
    world.set_image("web:2");
    world.settle();
    world.writes.clear();
    world.edit("annotation", |spec| {
        spec["template"]["metadata"]["annotations"] = json!({"a": "1"});
    });
    world.settle();
    assert!(
        world.writes.values().all(|writes| *writes == 1),
        "{:?}",
        world.writes
    );
}

#[test]
fn a_hand_edit_over_rewritten_images_is_taken_back() {
    let mut world = World::new(3, &in_place("InPlaceIfPossible"));
    world.server.admission = Some(mirror);
    world.settle();
    let name = names(&world)[0].clone();
    world.hand_edit(&name, "web:mine");
    world.settle();
    assert_eq!(world.images(), ["mirror/web:1"; 3]);
}

/// Bug: an annotation that an injector rewrites at creation was set back on every pass.
#[test]
fn annotations_that_admission_rewrites_are_left_alone() {
    fn merge_metrics(pod: &mut Value) {
        pod["metadata"]["annotations"]["prometheus.io/port"] = "15020".into();
    }
    let mut world = World::new(2, &in_place("InPlaceIfPossible"));
    world.server.admission = Some(merge_metrics);
    world.edit("annotation", |spec| {
        spec["template"]["metadata"]["annotations"] = json!({"prometheus.io/port": "8080"});
    });
    world.settle();
    assert!(
        world.writes.values().all(|writes| *writes == 2),
        "create and gate"
    );
}

/// Bug: a Pod without a container of the template was replaced, again and again.
#[test]
fn a_container_that_admission_takes_out_is_not_missed() {
    fn strip(pod: &mut Value) {
        let containers = pod["spec"]["containers"].as_array_mut().unwrap();
        containers.retain(|c| c["name"] != "helper");
    }
    let mut world = World::new(2, &in_place("InPlaceIfPossible"));
    world.server.admission = Some(strip);
    world.edit("helper", |spec| {
        let containers = spec["template"]["spec"]["containers"]
            .as_array_mut()
            .unwrap();
        containers.push(json!({"name": "helper", "image": "helper:1"}));
    });
    world.settle();
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 2]);
}

#[test]
fn a_change_taken_back_before_the_kubelet_acted_restarts_nothing() {
    let mut world = World::running(2, &in_place("InPlaceIfPossible"));
    world.set_image("web:2");
    world.reconcile();
    world.reconcile();
    world.kubelet_round();
    world.observe();
    world.reconcile();
    assert_eq!(
        world.images(),
        ["web:1", "web:2"],
        "patched, and the kubelet sleeps"
    );
    world.set_image("web:1");
    world.settle();
    assert_eq!(world.images(), ["web:1"; 2]);
    assert_eq!(restarts(&world), [0, 0]);
    assert!(world.is_ready());
}

#[test]
fn a_kubelet_that_reports_no_generation_is_waited_for_by_its_containers() {
    let mut world = World::new(3, &in_place("InPlaceIfPossible"));
    world.kubelet.is_old = true;
    world.settle();
    world.writes.clear();
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 3]);
    assert_eq!(restarts(&world), [1; 3]);
    assert!(world.writes.values().all(|writes| *writes == 3));
}

/// Bug: the gate of a new Pod was opened although the kubelet had not seen the patch it was given
/// meanwhile, so that it could serve for a moment with the container that was about to stop.
#[test]
fn a_new_pod_that_was_patched_is_let_in_when_the_kubelet_has_seen_it() {
    let mut world = World::new(1, &in_place("InPlaceIfPossible"));
    world.reconcile();
    world.reconcile();
    // The Pod starts while the controller is away.
    for _ in 0..4 {
        world.kubelet_round();
    }
    world.set_image("web:2");
    world.observe();
    world.reconcile();
    world.reconcile();
    assert_eq!(world.images(), ["web:2"]);
    assert_eq!(world.plan().effects, [], "the gate waits for the kubelet");
    world.settle();
    assert!(world.is_ready());
}

#[test]
fn a_crashing_image_is_named_with_its_container() {
    let mut world = World::running(3, &in_place("InPlaceOnly"));
    world.set_image("web:crash");
    world.settle();
    assert_eq!(world.ready_reason(), "CrashLoop");
    assert_eq!(
        world.images().iter().filter(|i| *i == "web:crash").count(),
        1
    );
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 3]);
    assert!(world.is_ready());
}

/// Bug: a Pod that was just let in, and not Ready yet, was patched without a drain: the kubelet
/// called it Ready for the old container, and then stopped that.
#[test]
fn a_pod_that_may_become_ready_any_moment_is_drained_too() {
    let mut world = World::running(1, &in_place("InPlaceIfPossible"));
    world.set_image("web:2");
    while world
        .plan()
        .effects
        .iter()
        .all(|e| !matches!(e, Effect::OpenGate { .. }))
    {
        world.reconcile();
        world.kubelet_round();
        world.observe();
    }
    for _ in 0..3 {
        world.kubelet_round();
    }
    world.observe();
    world.reconcile();
    assert!(
        !serves(world.view.values().next().unwrap()),
        "let in, and not yet Ready"
    );
    world.set_image("web:3");
    world.reconcile();
    assert!(matches!(world.plan().effects[..], [Effect::Drain { .. }]));
    // The kubelet asserts that what it stops serves nobody.
    world.settle();
    assert_eq!(world.images(), ["web:3"]);
}

/// Bug: where the view of a new Pod had no Ready condition, nothing kept the patch from a Pod that
/// had become Ready since.
#[test]
fn a_patch_decided_on_a_pod_without_a_ready_condition_is_refused_once_it_serves() {
    let mut world = World::new(1, &in_place("InPlaceIfPossible"));
    for _ in 0..2 {
        world.reconcile();
    }
    world.reconcile();
    for _ in 0..6 {
        world.kubelet_round();
    }
    assert!(world.server.pods.values().all(|p| serves(p)));
    world.set_image("web:2");
    world.reconcile();
    world.reconcile();
    assert_eq!(world.images(), ["web:1"], "the patch was refused");
    world.settle();
    assert_eq!(world.images(), ["web:2"]);
}

/// A node is silent while somebody edits an image there, and while that is taken back. When its
/// kubelet is back it has nothing to restart. (Found by the simulation, seed 20084.)
#[test]
fn an_edit_that_no_kubelet_saw_is_not_waited_for() {
    let mut world = World::running(1, &in_place("InPlaceOnly"));
    let name = names(&world).remove(0);
    world.hand_edit(&name, "web:bad");
    let mut pod = world.server.pods[&name].clone();
    for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
        if condition["type"] == "Ready" {
            condition["status"] = "False".into();
        }
    }
    world.server.write_status(&name, pod);
    while world.images() != ["web:1"] {
        world.tick();
        world.observe();
        assert!(world.reconcile() > 0, "{:?}", reasons(&world));
    }
    let restarts_before = restarts(&world);
    world.settle();
    assert_eq!(restarts(&world), restarts_before);
    assert!(world.is_ready());
}

/// A kubelet sees an image that somebody put there by hand, and before it stops anything the image
/// is taken back. Bug: the Pod was `Patched`, and so not available, until its next update. (Found by
/// the simulation, seed 86884.)
#[test]
fn an_edit_that_a_kubelet_saw_is_waited_for_no_longer_than_a_restart_takes() {
    let cases = [
        (false, Value::Null, 90),
        (false, json!(45), 105),
        (false, json!(-1), 61),
        // Such a Pod was never let in again. (Found by the simulation, seed 952.)
        (true, Value::Null, 90),
    ];
    for (is_old, grace, expected) in cases {
        let mut world = World::new(1, &in_place("InPlaceIfPossible"));
        world.kubelet.is_old = is_old;
        world.edit("grace period", |spec| {
            spec["template"]["spec"]["terminationGracePeriodSeconds"] = grace.clone();
        });
        world.reconcile();
        world.reconcile();
        // The Pod starts while the controller is away.
        while world.kubelet_round() {}
        let name = names(&world).remove(0);
        world.hand_edit(&name, "web:mine");
        if !is_old {
            // One that tells what it has seen takes another round to act on it.
            world.kubelet_round();
        }
        world.observe();
        while world.images() != ["web:1"] {
            assert!(world.reconcile() > 0, "{:?}", reasons(&world));
            world.observe();
        }
        while world.reconcile() > 0 || world.kubelet_round() {
            world.observe();
        }
        assert_eq!(reasons(&world), ["Patched"]);
        let wake_at = world.plan().wake_at.unwrap();
        let wait = wake_at.duration_since(world.server.now);
        assert_eq!(wait.as_secs(), expected, "grace {grace}");
        world.settle();
        assert_eq!(restarts(&world), [0]);
        assert!(world.is_ready());
    }
}

/// The same where the runtime reports another tag of the image's digest, as it does for as long as
/// the container runs. Bug: the Pod was `Patched` until its next update.
#[test]
fn an_edit_that_a_kubelet_saw_is_not_waited_for_because_of_another_tag() {
    let mut world = World::new(1, &in_place("InPlaceIfPossible"));
    world.reconcile();
    world.reconcile();
    // The Pod starts, and starts anew, while the controller does not let it in.
    while world.kubelet_round() {}
    world.observe();
    world.set_image("web:1-again");
    while world.images() != ["web:1-again"] {
        assert!(world.reconcile() > 0, "{:?}", reasons(&world));
    }
    while world.kubelet_round() {}
    let name = names(&world).remove(0);
    let restarts_before = restarts(&world);
    world.hand_edit(&name, "web:mine");
    world.kubelet_round();
    world.observe();
    while world.images() != ["web:1-again"] {
        assert!(world.reconcile() > 0, "{:?}", reasons(&world));
        world.observe();
    }
    while world.reconcile() > 0 || world.kubelet_round() {
        world.observe();
    }
    assert_eq!(reasons(&world), ["Patched"]);
    world.settle();
    assert_eq!(restarts(&world), restarts_before);
    assert!(world.is_ready());
    assert_eq!(reasons(&world), ["UpToDate"]);
}
