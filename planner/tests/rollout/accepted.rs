//! Acceptance scenarios of OpenKruise that no other suite here plays as a whole, one test each.
//! Where we differ on purpose the test says so; docs/compatibility.md has the reasons.

use std::collections::BTreeMap;

use apis::condition::ConditionType;
use model::hooks::{self, label};
use model::kubelet::is_warmer;
use model::watchdog::is_active;
use model::world::World;
use serde_json::{Value, json};

fn in_place() -> Value {
    json!({"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 1})
}

/// Status and reason of the condition Progressing.
fn progressing(world: &World) -> (String, String) {
    let status = world.status();
    let condition = planner::status::condition(&status, ConditionType::Progressing).unwrap();
    (condition.status.clone(), condition.reason.clone().unwrap())
}

fn says(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

fn labels(world: &World) -> Vec<&str> {
    world.server.pods.values().map(|p| label(p)).collect()
}

/// The owner of a hook puts it on a Pod, or takes it away.
fn set_hook(world: &mut World, name: &str, hook: &Value, hold: bool) {
    let mut pod = world.server.pods[name].clone();
    let hook = serde_json::from_value(hook.clone()).unwrap();
    hooks::set(&mut pod, &hook, hold);
    world.server.write_status(name, pod);
}

fn pods(world: &World) -> Vec<String> {
    world.server.pods.keys().cloned().collect()
}

/// The owner's UID of each claim, by name.
fn claims(world: &World) -> BTreeMap<String, String> {
    let claims = world.server.claims.iter();
    let owner = |claim: &Value| {
        let uid = &claim["metadata"]["ownerReferences"][0]["uid"];
        uid.as_str().unwrap().to_owned()
    };
    claims.map(|(name, c)| (name.clone(), owner(c))).collect()
}

/// Pods with the claims `data` and `log`, gone with them.
fn with_claims(replicas: u32) -> World {
    let mut world = World::new(replicas, &in_place());
    world.edit("claims", |spec| {
        let claim = |name: &str| {
            json!({"metadata": {"name": name},
                "spec": {"resources": {"requests": {"storage": "1Gi"}}}})
        };
        spec["volumeClaimTemplates"] = json!([claim("data"), claim("log")]);
    });
    world
}

/// Both claims of each of `pods`, sorted.
fn claims_of(pods: &[String]) -> Vec<String> {
    let mut names: Vec<String> = pods
        .iter()
        .flat_map(|pod| [format!("data-{pod}"), format!("log-{pod}")])
        .collect();
    names.sort();
    names
}

#[test]
fn a_pod_that_no_node_takes_stays_preparing_normal_and_the_deadline_passes() {
    let hook = json!({"labelsHandler": {"in": "yes"}});
    let mut world = World::new(1, &in_place());
    world.kubelet.is_unschedulable = true;
    world.edit("a hook and a deadline", |spec| {
        spec["lifecycle"] = json!({"preNormal": hook});
        spec["progressDeadlineSeconds"] = 10.into();
    });
    for _ in 0..15 {
        world.step();
    }
    assert_eq!(labels(&world), ["PreparingNormal"]);
    assert_eq!(
        progressing(&world),
        says("False", "ProgressDeadlineExceeded")
    );
    world.kubelet.is_unschedulable = false;
    let name = pods(&world).remove(0);
    set_hook(&mut world, &name, &hook, true);
    world.settle();
    assert_eq!(labels(&world), ["Normal"]);
    assert_eq!(progressing(&world), says("True", "CloneSetAvailable"));
}

/// Differs on purpose: there the condition is absent then, here it is always there.
#[test]
fn a_deadline_of_the_largest_number_never_passes() {
    for ready in [0, i32::MAX] {
        let mut world = World::new(2, &in_place());
        world.edit("never", |spec| {
            spec["progressDeadlineSeconds"] = i32::MAX.into();
            spec["minReadySeconds"] = ready.into();
            spec["template"]["spec"]["containers"][0]["image"] = "web:bad".into();
        });
        for _ in 0..5 {
            world.step();
            world.server.now += jiff::SignedDuration::from_hours(10_000);
        }
        assert_eq!(progressing(&world), says("True", "CloneSetUpdated"));
    }
}

#[test]
fn a_set_that_is_paused_from_the_start_has_its_pods() {
    let mut world = World::new(3, &json!({"paused": true}));
    world.step();
    assert_eq!(progressing(&world), says("True", "CloneSetPaused"));
    world.settle();
    let status = world.status();
    assert_eq!((status.replicas, status.ready_replicas), (3, 3));
    // A set that is available is not called paused, there as here.
    assert_eq!(progressing(&world), says("True", "CloneSetAvailable"));
}

#[test]
fn a_partition_of_99_percent_updates_exactly_one_of_four() {
    let mut rolling = in_place();
    rolling["partition"] = "99%".into();
    rolling["maxUnavailable"] = "50%".into();
    let mut world = World::running(4, &rolling);
    world.set_image("web:2");
    world.settle();
    for _ in 0..30 {
        world.step();
    }
    assert_eq!(world.images(), ["web:1", "web:1", "web:1", "web:2"]);
    assert_eq!(world.status().expected_updated_replicas, Some(1));
    assert_eq!(
        progressing(&world),
        says("True", "ProgressPartitionAvailable")
    );
}

/// Differs on purpose: there, behind a feature gate, a Pod that prepares counts as updated, so a
/// new one comes up at the current revision. Here it is an old Pod until its image changes, so the
/// new one is the canary, and the Pod that prepared is let go.
#[test]
fn a_pod_that_prepares_for_its_update_is_an_old_one_and_the_canary_is_no_larger() {
    let hook = json!({"labelsHandler": {"hold": "yes"}});
    let mut rolling = in_place();
    rolling["partition"] = 2.into();
    let mut world = World::new(3, &rolling);
    world.edit("a hook", |spec| {
        spec["lifecycle"] = json!({"inPlaceUpdate": hook});
        spec["template"]["metadata"]["labels"]["hold"] = "yes".into();
    });
    world.settle();
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:1"; 3]);
    let states = || ["Normal", "Normal", "PreparingUpdate"];
    let mut seen = labels(&world);
    seen.sort_unstable();
    assert_eq!(seen, states());

    let another = world.server.pods.iter().find(|(_, p)| label(p) == "Normal");
    let another = another.unwrap().0.clone();
    world.server.terminate(&another);
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:2"]);
    assert_eq!(labels(&world), ["Normal"; 3]);

    world.set_rolling("partition", Value::Null);
    for _ in 0..3 {
        world.settle();
        for name in pods(&world) {
            let state = label(&world.server.pods[&name]).to_owned();
            if state == "PreparingUpdate" || state == "Updated" {
                set_hook(&mut world, &name, &hook, state == "Updated");
            }
        }
        world.settle();
        let lifecycle = world.valid().lifecycle.clone();
        while hooks::owner_acts(&lifecycle, &mut world.server) {
            world.settle();
        }
    }
    assert_eq!(world.images(), ["web:2"; 3]);
}

/// Differs on purpose: there, behind a feature gate, a changed claim template makes new Pods.
#[test]
fn another_size_of_claims_is_no_reason_for_new_pods() {
    let mut world = with_claims(2);
    world.settle();
    let (uids, before) = (world.uids(), claims(&world));
    world.writes.clear();
    world.edit("2Gi", |spec| {
        let requests = json!({"storage": "2Gi"});
        spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"] = requests;
    });
    world.settle();
    assert!(world.writes.is_empty(), "size alone: no Pod is touched");
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 2]);
    assert_eq!((world.uids(), claims(&world)), (uids, before));
    for claim in world.server.claims.values() {
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
    }
}

/// Differs on purpose: there an ImagePullJob does it beside the update, here Pods do it before.
#[test]
fn two_nodes_at_a_time_pull_the_new_image_and_nothing_is_left_of_it() {
    let mut world = World::new(4, &in_place());
    world.kubelet.nodes = 4;
    world.settle();
    world.set_rolling(
        "inPlaceUpdateStrategy",
        json!({"imagePreDownloadParallelism": 2}),
    );
    world.settle();
    world.set_image("web:2");
    let mut most = 0;
    for _ in 0..60 {
        world.step();
        let pods = world.server.pods.values();
        let pulling = pods.filter(|pod| is_warmer(pod) && is_active(pod));
        let images = pulling.map(|pod| pod["spec"]["containers"][0]["image"].clone());
        let images: Vec<Value> = images.collect();
        assert!(images.iter().all(|image| image == "web:2"));
        most = most.max(images.len());
    }
    world.settle();
    assert_eq!(most, 2);
    assert_eq!(world.server.pods.len(), 4);
    assert_eq!(world.images(), ["web:2"; 4]);
}

#[test]
fn creates_that_fail_half_way_leave_no_claim_without_its_pod() {
    for mask in 0..=u8::MAX {
        let mut world = with_claims(2);
        world.timeline.is_off = true;
        world.reconcile_partly(mask);
        world.observe();
        world.reconcile_partly(mask.rotate_left(3));
        world.settle();
        let names: Vec<String> = claims(&world).into_keys().collect();
        assert_eq!(pods(&world).len(), 2);
        assert_eq!(names, claims_of(&pods(&world)), "mask {mask:#b}");
    }
}

#[test]
fn pods_that_are_too_many_take_exactly_their_own_claims_along() {
    let mut world = with_claims(4);
    world.settle();
    let before = world.server.claims.clone();
    world.edit("replicas 1", |spec| spec["replicas"] = 1.into());
    world.settle();
    world.tick();
    let names: Vec<String> = claims(&world).into_keys().collect();
    assert_eq!(names, claims_of(&pods(&world)));
    for (name, claim) in &world.server.claims {
        assert_eq!(claim["metadata"]["uid"], before[name]["metadata"]["uid"]);
    }
}

#[test]
fn claims_of_a_pod_on_its_way_out_become_its_own_and_the_others_stay_the_sets() {
    let mut world = with_claims(3);
    world.settle();
    let name = pods(&world).remove(1);
    let uid = world.server.pods[&name]["metadata"]["uid"].clone();
    world.server.terminate(&name);
    world.observe();
    world.reconcile();
    for (claim, owner) in claims(&world) {
        let is_its = claim.ends_with(&name);
        let wanted = if is_its {
            uid.as_str().unwrap()
        } else {
            "set-uid"
        };
        assert_eq!(owner, wanted, "{claim}");
    }
}

#[test]
fn a_new_pod_is_normal_when_all_parts_of_its_hook_are_there() {
    let hook = json!({"labelsHandler": {"in": "yes"}, "finalizersHandler": ["ex.io/in"]});
    let mut world = World::new(1, &in_place());
    world.edit("a hook", |spec| {
        spec["lifecycle"] = json!({"preNormal": hook});
    });
    world.settle();
    let name = pods(&world).remove(0);
    assert_eq!(labels(&world), ["PreparingNormal"]);
    set_hook(
        &mut world,
        &name,
        &json!({"labelsHandler": {"in": "yes"}}),
        true,
    );
    world.settle();
    assert_eq!(
        labels(&world),
        ["PreparingNormal"],
        "the finalizer is missing"
    );
    set_hook(&mut world, &name, &hook, true);
    world.settle();
    assert_eq!(labels(&world), ["Normal"]);
}

/// Differs on purpose: there it is PreparingNormal until it is scheduled.
#[test]
fn without_a_hook_a_new_pod_is_normal_before_it_is_scheduled() {
    let mut world = World::new(1, &in_place());
    world.kubelet.is_unschedulable = true;
    for _ in 0..3 {
        world.step();
    }
    assert_eq!(labels(&world), ["Normal"]);
    assert!(!world.is_ready());
}

#[test]
fn a_normal_pod_that_a_hook_holds_prepares_for_its_update() {
    let hook = json!({"labelsHandler": {"hold": "yes"}});
    let mut world = World::new(1, &in_place());
    world.edit("a hook", |spec| {
        spec["lifecycle"] = json!({"inPlaceUpdate": hook});
        spec["template"]["metadata"]["labels"]["hold"] = "yes".into();
    });
    world.settle();
    world.set_image("web:2");
    world.settle();
    assert_eq!(labels(&world), ["PreparingUpdate"]);
    assert_eq!(world.images(), ["web:1"]);
}

/// Differs on purpose: there it is Updating; here its preNormal hook is still to come.
#[test]
fn a_pod_that_was_never_normal_is_updated_without_asking_and_still_awaited() {
    let hook = json!({"labelsHandler": {"in": "yes"}});
    let mut world = World::new(1, &in_place());
    world.edit("hooks", |spec| {
        spec["lifecycle"] = json!({"preNormal": hook,
            "inPlaceUpdate": {"labelsHandler": {"hold": "yes"}}});
    });
    world.settle();
    let uids = world.uids();
    world.set_image("web:2");
    world.settle();
    assert_eq!(
        (world.images(), world.uids()),
        (vec!["web:2".to_owned()], uids)
    );
    assert_eq!(labels(&world), ["PreparingNormal"]);
}
