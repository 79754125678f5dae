//! `progressDeadlineSeconds`: what the Progressing condition says, and when time counts.

use apis::condition::{Condition, ConditionType};
use jiff::SignedDuration;
use model::world::World;
use serde_json::{Value, json};

const DEADLINE: i64 = 600;

fn rolling() -> Value {
    json!({"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 1})
}

/// Three Pods that run, with a deadline.
fn world(deadline: Option<i64>) -> World {
    let mut world = World::running(3, &rolling());
    world.edit("a deadline", |spec| {
        if let Some(seconds) = deadline {
            spec["progressDeadlineSeconds"] = seconds.into();
        }
    });
    world.settle();
    world
}

/// One pass that is reported, without a kubelet.
fn pass(world: &mut World) -> Condition {
    world.observe();
    let plan = world.plan();
    world.set["status"] = serde_json::to_value(&plan.status).unwrap();
    planner::status::condition(&plan.status, ConditionType::Progressing)
        .unwrap()
        .clone()
}

fn says(world: &mut World) -> (String, String) {
    let condition = pass(world);
    (condition.status, condition.reason.unwrap())
}

fn later(world: &mut World, seconds: i64) {
    world.server.now += SignedDuration::from_secs(seconds);
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

/// All Pods stop being ready.
fn break_all(world: &mut World) {
    let names: Vec<String> = world.server.pods.keys().cloned().collect();
    for name in names {
        let mut pod = world.server.pods[&name].clone();
        for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
            if condition["type"] == "Ready" {
                condition["status"] = "False".into();
            }
        }
        world.server.write_status(&name, pod);
    }
}

#[test]
fn the_matrix_of_reasons() {
    // (deadline, paused, partition, template changed, seconds later) and what is said.
    let cases = [
        (
            Some(600),
            false,
            0,
            false,
            700,
            is("True", "CloneSetAvailable"),
        ),
        (None, false, 0, true, 700, is("True", "CloneSetUpdated")),
        (
            Some(i64::from(i32::MAX)),
            false,
            0,
            true,
            700,
            is("True", "CloneSetUpdated"),
        ),
        (
            Some(600),
            false,
            0,
            true,
            599,
            is("True", "CloneSetUpdated"),
        ),
        (
            Some(600),
            false,
            0,
            true,
            600,
            is("False", "ProgressDeadlineExceeded"),
        ),
        (Some(600), true, 0, true, 700, is("True", "CloneSetPaused")),
        (Some(600), true, 3, true, 700, is("True", "CloneSetPaused")),
        (
            Some(600),
            false,
            3,
            true,
            700,
            is("True", "ProgressPartitionAvailable"),
        ),
    ];
    for (deadline, paused, partition, changed, seconds, expected) in cases {
        let mut world = world(deadline);
        world.edit("spec", |spec| {
            let rolling = &mut spec["updateStrategy"]["rollingUpdate"];
            rolling["paused"] = paused.into();
            rolling["partition"] = partition.into();
            if changed {
                spec["template"]["spec"]["containers"][0]["image"] = "web:2".into();
            }
        });
        // The revision is recorded, the rollout begins, and the kubelet is never heard of again.
        world.observe();
        world.reconcile();
        world.reconcile();
        later(&mut world, seconds);
        assert_eq!(
            says(&mut world),
            expected,
            "{deadline:?} {paused} {partition} {changed}"
        );
    }
}

#[test]
fn the_clock_starts_when_work_starts() {
    let mut world = world(Some(DEADLINE));
    assert_eq!(says(&mut world), is("True", "CloneSetAvailable"));
    later(&mut world, 100 * DEADLINE);
    world.set_image("web:2");
    assert_eq!(says(&mut world), is("True", "CloneSetUpdated"));
    world.reconcile();
    world.reconcile();
    later(&mut world, DEADLINE - 1);
    assert_eq!(says(&mut world), is("True", "CloneSetUpdated"));
    assert_eq!(
        world.plan().wake_at,
        Some(world.server.now + SignedDuration::from_secs(1)),
        "somebody looks when it is over"
    );
    later(&mut world, 1);
    let condition = pass(&mut world);
    assert_eq!(condition.status, "False");
    let message = condition.message.unwrap();
    let revision = world.status().update_revision.unwrap();
    assert!(message.contains(&revision), "{message}");
    assert_eq!(
        world.plan().wake_at,
        None,
        "and then waits for something to happen"
    );
}

#[test]
fn a_set_that_loses_its_pods_long_after_it_was_available_has_the_whole_time() {
    let mut world = world(Some(DEADLINE));
    later(&mut world, 100 * DEADLINE);
    break_all(&mut world);
    assert_eq!(says(&mut world), is("True", "CloneSetUpdated"));
    later(&mut world, DEADLINE);
    assert_eq!(says(&mut world), is("False", "ProgressDeadlineExceeded"));
    let status = world.status();
    for (type_, expected) in [
        (ConditionType::Stalled, "True"),
        (ConditionType::Ready, "False"),
        (ConditionType::Reconciling, "False"),
    ] {
        let condition = planner::status::condition(&status, type_).unwrap();
        assert_eq!(condition.status, expected);
        assert_eq!(
            condition.reason.as_deref(),
            Some("ProgressDeadlineExceeded")
        );
    }
}

#[test]
fn it_goes_back_by_itself_when_something_moves_or_the_template_changes() {
    let stuck = || {
        let mut world = world(Some(DEADLINE));
        world.set_image("web:bad");
        for _ in 0..20 {
            world.observe();
            world.reconcile();
            world.kubelet_round();
            world.tick();
        }
        later(&mut world, DEADLINE);
        assert_eq!(says(&mut world), is("False", "ProgressDeadlineExceeded"));
        world
    };
    let mut other = stuck();
    other.set_image("web:3");
    record(&mut other);
    assert_eq!(says(&mut other), is("True", "CloneSetUpdated"));
    other.settle();
    assert_eq!(says(&mut other), is("True", "CloneSetAvailable"));

    let mut scaled = stuck();
    scaled.edit("replicas 4", |spec| spec["replicas"] = 4.into());
    let (_, reason) = says(&mut scaled);
    assert_ne!(reason, "ProgressDeadlineExceeded");

    let mut paused = stuck();
    paused.set_rolling("paused", json!(true));
    assert_ne!(says(&mut paused).1, "ProgressDeadlineExceeded");
}

fn record(world: &mut World) {
    for _ in 0..3 {
        world.observe();
        world.reconcile();
    }
}

#[test]
fn a_pod_that_a_hook_holds_is_no_progress() {
    let mut world = World::new(1, &rolling());
    world.edit("a hook", |spec| {
        spec["progressDeadlineSeconds"] = DEADLINE.into();
        spec["lifecycle"] = json!({"preNormal": {"finalizersHandler": ["ex.io/hold"]}});
    });
    for _ in 0..10 {
        world.tick();
        world.observe();
        world.reconcile();
        world.kubelet_round();
    }
    assert_eq!(says(&mut world), is("True", "CloneSetUpdated"));
    later(&mut world, DEADLINE);
    assert_eq!(says(&mut world), is("False", "ProgressDeadlineExceeded"));
    for mut pod in world.server.pods.clone().into_values() {
        pod["metadata"]["finalizers"] = json!(["ex.io/hold"]);
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        world.server.write_status(&name, pod);
    }
    world.settle();
    assert_eq!(says(&mut world), is("True", "CloneSetAvailable"));
}

#[test]
fn words_that_change_are_no_progress_and_nothing_new_is_no_write() {
    let mut world = world(Some(DEADLINE));
    world.set_image("web:bad");
    for _ in 0..20 {
        world.observe();
        world.reconcile();
        world.kubelet_round();
        world.tick();
    }
    let before = pass(&mut world);
    for (n, words) in ["back-off 10s", "back-off 20s"].into_iter().enumerate() {
        later(&mut world, 1);
        let name = world.server.pods.keys().next().unwrap().clone();
        for mut pod in world.server.pods.clone().into_values() {
            if pod["spec"]["containers"][0]["image"] == "web:bad" {
                pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"] = words.into();
                let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
                world.server.write_status(&name, pod);
            }
        }
        let after = pass(&mut world);
        assert_eq!(
            after.last_update_time, before.last_update_time,
            "{n} {name}"
        );
        assert_ne!(after.message, before.message);
    }
    later(&mut world, 1);
    world.observe();
    assert_eq!(world.plan().status, world.status());
}
