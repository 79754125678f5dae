//! Resizes: interrupted, flipped, refused, fought over.

use super::*;

fn resources(cpu: &str, memory: &str) -> Value {
    json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}})
}

fn set_resources(world: &mut World, resources: Value) {
    world.edit("resources", |spec| {
        spec["template"]["spec"]["containers"][0]["resources"] = resources;
    });
}

/// A running set of `replicas` Pods; changes of `restarting` restart their container.
fn running(replicas: u32, policy: &str, restarting: &[&str]) -> World {
    let mut world = World::new(replicas, &in_place(policy));
    let policies: Vec<Value> = restarting
        .iter()
        .map(|r| json!({"resourceName": r, "restartPolicy": "RestartContainer"}))
        .collect();
    world.edit("a new set", |spec| {
        let main = &mut spec["template"]["spec"]["containers"][0];
        main["resources"] = resources("1", "1Gi");
        if !policies.is_empty() {
            main["resizePolicy"] = policies.into();
        }
    });
    world.settle();
    world.writes.clear();
    world
}

fn cpus(world: &World) -> Vec<&str> {
    let path = "/spec/containers/0/resources/requests/cpu";
    let pods = world.server.pods.values();
    pods.filter_map(|pod| pod.pointer(path)?.as_str()).collect()
}

fn drains(world: &World) -> bool {
    world.timeline.render("").contains("drain")
}

#[test]
fn policies_decide_whether_a_container_restarts() {
    // What restarts it, what changes, and whether it does.
    for (restarting, to, restarted) in [
        (&[] as &[&str], ("2", "2Gi"), false),
        (&["memory"], ("2", "1Gi"), false),
        (&["memory"], ("1", "2Gi"), true),
        (&["cpu"], ("2", "1Gi"), true),
        (&["cpu"], ("1", "2Gi"), false),
        (&["cpu", "memory"], ("2", "2Gi"), true),
    ] {
        let mut world = running(2, "InPlaceOnly", restarting);
        let uids = world.uids();
        set_resources(&mut world, resources(to.0, to.1));
        world.settle();
        let case = format!("{restarting:?} {to:?}");
        assert!(world.is_ready(), "{case}");
        assert_eq!(world.uids(), uids, "{case}");
        assert_eq!(cpus(&world), [to.0; 2], "{case}");
        assert_eq!(restarts(&world), [i64::from(restarted); 2], "{case}");
        let writes = if restarted { 4 } else { 2 };
        assert_eq!(drains(&world), restarted, "{case}");
        assert!(world.writes.values().all(|w| *w == writes), "{case}");
    }
}

#[test]
fn what_cannot_be_resized_needs_a_new_pod() {
    for (to, path) in [
        (json!({}), "limits.memory (removed)"),
        (
            json!({"limits": {"memory": "1Gi"}}),
            "requests.cpu (removed)",
        ),
        (
            json!({"requests": {"cpu": "1", "memory": "1Gi"},
                "limits": {"memory": "1Gi", "nvidia.com/gpu": 1}}),
            "spec.template.spec.containers[0].resources",
        ),
        (
            json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "1Gi"}}),
            "(QoS class Burstable -> Guaranteed)",
        ),
    ] {
        let mut world = running(1, "InPlaceOnly", &[]);
        set_resources(&mut world, to);
        world.settle();
        assert_eq!(reasons(&world), ["NeedsRecreate"]);
        let plan = world.plan();
        assert!(plan.pods[0].1.to_string().contains(path), "{:?}", plan.pods);
        assert_eq!(world.writes.len(), 0);
    }
}

#[test]
fn amounts_may_be_added_and_written_otherwise() {
    let mut world = running(1, "InPlaceOnly", &[]);
    let mut more = resources("1000m", "1024Mi");
    set_resources(&mut world, more.clone());
    world.settle();
    assert_eq!(world.writes.len(), 0, "another way to say the same");
    more["limits"]["cpu"] = json!(2);
    set_resources(&mut world, more);
    world.settle();
    let limit = "/spec/containers/0/resources/limits/cpu";
    let pod = world.server.pods.values().next().unwrap();
    assert_eq!(pod.pointer(limit), Some(&json!("2")));
    assert!(world.is_ready());
}

#[test]
fn a_crash_between_patch_and_resize_is_finished_by_the_record() {
    let mut world = running(1, "InPlaceOnly", &[]);
    set_resources(&mut world, resources("2", "1Gi"));
    while world.writes.is_empty() {
        world.observe();
        world.reconcile();
    }
    assert_eq!(cpus(&world), ["1"], "announced only");
    world.observe();
    assert_eq!(reasons(&world), ["Resizing"]);
    assert!(!world.is_ready());
    world.set_rolling("paused", json!(true));
    world.settle();
    assert_eq!(cpus(&world), ["2"], "what has begun is finished");
}

#[test]
fn a_flip_back_converges_wherever_it_meets_the_resize() {
    for steps in 0..8 {
        let mut world = running(1, "InPlaceOnly", &["cpu"]);
        set_resources(&mut world, resources("2", "1Gi"));
        for _ in 0..steps {
            world.step();
        }
        set_resources(&mut world, resources("1", "1Gi"));
        world.settle();
        assert_eq!(cpus(&world), ["1"], "{steps} steps");
        assert!(world.is_ready(), "{steps} steps: {}", world.ready_reason());
    }
}

/// An autoscaler that wants what it wanted before comes back to the amount our record started
/// from.
#[test]
fn an_autoscaler_is_not_fought() {
    let mut world = running(1, "InPlaceOnly", &[]);
    let name = names(&world)[0].clone();
    for cpu in ["5", "7"] {
        world.server.edit_cpu(&name, "5");
        world.settle();
        assert_eq!(cpus(&world), ["5"]);
        set_resources(&mut world, resources(cpu, "1Gi"));
        world.settle();
        assert_eq!(cpus(&world), [cpu], "the template changed");
    }
    world.writes.clear();
    world.server.edit_cpu(&name, "5");
    world.kubelet.is_full = true;
    world.settle();
    assert_eq!(world.writes.len(), 0);
    assert!(world.is_ready(), "its resize is not our update");
}

#[test]
fn a_node_that_reports_no_resources_is_not_waited_for() {
    let mut world = running(1, "InPlaceOnly", &[]);
    set_resources(&mut world, resources("2", "1Gi"));
    for report in [Value::Null, json!({}), json!({"limits": {}})] {
        for _ in 0..6 {
            world.step();
            for pod in world.server.pods.values_mut() {
                pod["status"]["containerStatuses"][0]["resources"] = report.clone();
                let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
                conditions.retain(|c| c["type"] != "PodResizeInProgress");
            }
        }
        world.observe();
        assert_eq!(reasons(&world), ["UpToDate"], "{report}");
    }
}

#[test]
fn a_resize_that_waits_counts_against_the_budget_and_the_pod_serves() {
    let mut world = running(4, "InPlaceOnly", &[]);
    world.kubelet.is_full = true;
    set_resources(&mut world, resources("2", "1Gi"));
    world.settle();
    assert_eq!(world.writes.len(), 1, "one Pod at a time");
    let status = world.status();
    assert_eq!((status.ready_replicas, status.available_replicas), (4, 3));
    assert!(!world.is_ready());
    world.kubelet.is_full = false;
    world.settle();
    assert_eq!(cpus(&world), ["2"; 4]);
}

/// Bug: a Pod that the partition kept, and that was to be replaced because its node could not resize
/// it, was prepared for deletion and spared in turn, for ever.
#[test]
fn a_pod_prepared_to_be_replaced_for_its_resize_stays_prepared() {
    let mut world = running(2, "InPlaceIfPossible", &[]);
    world.set_rolling(
        "inPlaceUpdateStrategy",
        json!({"resizeDeadlineSeconds": 30}),
    );
    world.edit("a hook", |spec| {
        spec["template"]["metadata"]["labels"]["hold"] = "yes".into();
        spec["lifecycle"]["preDelete"]["labelsHandler"]["hold"] = "yes".into();
    });
    world.settle();
    set_resources(&mut world, resources("1000", "1Gi"));
    for _ in 0..5 {
        world.step();
    }
    world.writes.clear();
    world.set_rolling("partition", json!(2));
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:1"; 2]);
    let states = world.server.pods.values().map(|p| model::hooks::label(p));
    let states: Vec<&str> = states.collect();
    assert_eq!(
        states.iter().filter(|s| **s == "PreparingDelete").count(),
        1,
        "{states:?}"
    );
    assert_eq!(
        world.writes.values().sum::<usize>(),
        1,
        "{:?}",
        world.writes
    );
    let waits = world.status().reasons;
    assert!(
        waits
            .iter()
            .any(|r| r.reason == "WaitingHook" && r.pods == 1),
        "{waits:?}"
    );
}

/// The node may make it at any moment, and the container restarts then.
#[test]
fn a_pod_that_awaits_a_restart_by_resize_stays_drained() {
    let mut world = running(2, "InPlaceOnly", &["cpu"]);
    world.kubelet.is_full = true;
    set_resources(&mut world, resources("2", "1Gi"));
    world.settle();
    assert_eq!(world.status().ready_replicas, 1);
    assert_eq!(
        reasons(&world)
            .iter()
            .filter(|r| *r == "ResizeDeferred")
            .count(),
        1
    );
    world.kubelet.is_full = false;
    world.settle();
    assert!(world.is_ready());
}
