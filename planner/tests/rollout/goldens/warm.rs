//! Images are pulled ahead.

use model::kubelet::is_warmer;
use model::object::Object;
use model::world::World;
use planner::Effect;
use serde_json::{Value, json};

use super::{compare, in_place};

/// Three Pods on three nodes.
fn world(warm: &Value) -> World {
    let mut world = World::new(3, &in_place());
    world.kubelet.nodes = 3;
    world.settle();
    world.set_rolling("inPlaceUpdateStrategy", warm.clone());
    world.settle();
    world.writes.clear();
    world.timeline.begin();
    world
}

fn warmers(world: &World) -> usize {
    world.server.pods.values().filter(|p| is_warmer(p)).count()
}

fn run(world: &mut World, passes: usize) {
    for _ in 0..passes {
        world.tick();
        world.observe();
        world.reconcile();
        world.kubelet_round();
    }
}

#[test]
fn warm_before_update() {
    let mut world = world(&json!({"imagePreDownloadParallelism": 2}));
    let uids = world.uids();
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 3]);
    assert_eq!(world.uids(), uids);
    compare(
        &world,
        "warm-before-update",
        "Nodes pull the new image before a Pod on them is drained, two nodes at a time. D, E and F are\n\
         the short-lived Pods that make them do so.",
    );
}

#[test]
fn warm_pull_failure() {
    let mut world = world(&json!({"imagePreDownloadParallelism": 1}));
    world.set_image("web:bad");
    run(&mut world, 30);
    let running = |p: &&Object| !is_warmer(p);
    let pods: Vec<&Object> = world.server.pods.values().filter(running).collect();
    for pod in pods {
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
        assert_eq!(pod["spec"]["containers"][0]["image"], "web:1");
    }
    assert_eq!(world.ready_reason(), "ImagePull");
    assert_eq!(world.status().available_replicas, 3);
    assert_eq!(warmers(&world), 1);
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 3]);
    compare(
        &world,
        "warm-pull-failure",
        "An image that cannot be pulled is found out before a container is stopped for it.",
    );
}

#[test]
fn a_warmer_is_no_replica_and_restricted_namespaces_admit_it() {
    let mut world = world(&json!({"imagePreDownloadParallelism": "3"}));
    world.edit("pull always", |spec| {
        spec["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Always".into();
    });
    world.settle();
    world.set_image("web:3");
    world.observe();
    world.reconcile();
    let plan = world.plan();
    let bodies = plan.effects.iter().filter_map(|e| match e {
        Effect::CreateWarmer { node, body, .. } => Some((node, body)),
        _ => None,
    });
    let bodies: Vec<_> = bodies.collect();
    assert_eq!(bodies.len(), 3);
    for (node, body) in bodies {
        let spec = &body["spec"];
        assert_eq!(spec["nodeName"], node.as_str());
        assert_eq!(spec["restartPolicy"], "Never");
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        assert_eq!(spec["containers"][0]["image"], "web:3");
        assert_eq!(spec["containers"][0]["imagePullPolicy"], "Always");
        assert!(spec["containers"][0]["resources"].is_null());
        let labels = body["metadata"]["labels"].as_object().unwrap();
        assert_eq!(labels.len(), 2);
        assert_eq!(labels["apps.kruise.io/image-warmer-of"], "web");
    }
    run(&mut world, 1);
    assert_eq!(warmers(&world), 3);
    assert_eq!(world.status().replicas, 3);
    assert!(
        !plan
            .effects
            .iter()
            .any(|e| matches!(e, Effect::Drain { .. }))
    );
}

#[test]
fn a_pause_or_another_template_ends_warmers() {
    let silent = || {
        let mut world = world(&json!({"imagePreDownloadParallelism": 3}));
        world.kubelet.silent = ["node-1", "node-2", "node-3"].map(str::to_owned).into();
        world.set_image("web:2");
        run(&mut world, 5);
        assert_eq!(warmers(&world), 3);
        world
    };
    let mut paused = silent();
    paused.set_rolling("paused", json!(true));
    run(&mut paused, 5);
    assert_eq!(warmers(&paused), 0);
    let mut back = silent();
    back.set_image("web:1");
    run(&mut back, 5);
    assert_eq!(warmers(&back), 0);
    let mut off = silent();
    off.set_rolling("inPlaceUpdateStrategy", json!({}));
    off.settle();
    assert_eq!(off.images(), ["web:2"; 3]);
}

#[test]
fn neither_a_silent_node_nor_a_quota_stops_a_rollout() {
    let warm = json!({"imagePreDownloadParallelism": 1, "imagePreDownloadTimeoutSeconds": 30});
    let mut silent = world(&warm);
    silent.kubelet.silent.insert("node-2".into());
    silent.set_image("web:2");
    run(&mut silent, 25);
    assert!(silent.images().contains(&"web:1".to_owned()), "it waits");
    silent.settle();
    assert_eq!(silent.images(), ["web:2"; 3]);

    let mut refused = world(&warm);
    refused.server.refuses_warmers = true;
    refused.set_image("web:2");
    run(&mut refused, 25);
    assert_eq!(refused.images(), ["web:1"; 3], "it waits");
    refused.settle();
    assert_eq!(refused.images(), ["web:2"; 3]);
}

#[test]
fn first_pods_are_updated_without_and_broken_pods_always() {
    let mut world = world(&json!({"imagePreDownloadParallelism": 1,
        "imagePreDownloadMinUpdatedReadyPods": 1}));
    world.set_image("web:2");
    run(&mut world, 3);
    assert_eq!(warmers(&world), 0);
    world.settle();
    assert!(world.writes.keys().any(|name| name.contains("-warm-")));

    let mut broken = World::new(2, &in_place());
    broken.set_image("web:bad");
    broken.settle();
    broken.set_rolling(
        "inPlaceUpdateStrategy",
        json!({"imagePreDownloadParallelism": 1}),
    );
    broken.set_image("web:1");
    broken.settle();
    assert!(!broken.writes.keys().any(|name| name.contains("-warm-")));
}

/// Bug: `--cascade=orphan` left warmers behind that nobody would ever delete.
#[test]
fn warmers_go_when_the_set_goes() {
    let mut world = world(&json!({"imagePreDownloadParallelism": 2}));
    world.set_image("web:2");
    run(&mut world, 2);
    assert!(warmers(&world) > 0);
    world.set["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z".into();
    world.set["metadata"]["finalizers"] = json!(["orphan"]);
    let effects = world.plan().effects;
    assert_eq!(effects.len(), warmers(&world));
    let ends = |effect: &Effect| matches!(effect, Effect::DeleteWarmer { .. });
    assert!(effects.iter().all(ends), "{effects:?}");
}
