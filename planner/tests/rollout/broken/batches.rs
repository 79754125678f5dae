//! Batches by launch priority: interrupted, changed, mended.

use super::*;

/// `a`, `b` and `c` start one after the other.
fn running(replicas: u32) -> World {
    let mut world = World::new(replicas, &in_place("InPlaceOnly"));
    world.edit("a new set", |spec| {
        let template = &mut spec["template"];
        template["metadata"]["annotations"] =
            json!({"apps.kruise.io/container-launch-priority": "Ordered"});
        template["spec"]["containers"] = ["a", "b", "c"]
            .map(|name| json!({"name": name, "image": "x:1"}))
            .as_slice()
            .into();
    });
    world.settle();
    world.writes.clear();
    world
}

fn set_images(world: &mut World, images: [&str; 3]) {
    world.edit("images", |spec| {
        for (i, image) in images.into_iter().enumerate() {
            spec["template"]["spec"]["containers"][i]["image"] = image.into();
        }
    });
}

fn images(world: &World) -> Vec<String> {
    let pod = world.server.pods.values().next().unwrap();
    let containers = pod["spec"]["containers"].as_array().unwrap();
    containers
        .iter()
        .map(|c| c["image"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_batch_waits_for_the_one_before_and_the_pod_stays_drained() {
    let mut world = running(1);
    set_images(&mut world, ["x:2", "x:2", "x:2"]);
    let mut seen: Vec<Vec<String>> = Vec::new();
    for _ in 0..60 {
        world.step();
        let now = images(&world);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert_eq!(
        seen,
        [
            ["x:1", "x:1", "x:1"],
            ["x:2", "x:1", "x:1"],
            ["x:2", "x:2", "x:1"],
            ["x:2"; 3]
        ]
    );
    world.settle();
    assert_eq!(
        world.writes.values().sum::<usize>(),
        5,
        "one drain, three patches, one undrain"
    );
    assert_eq!(restarts(&world), [1]);
}

#[test]
fn a_second_change_during_batches_loses_nothing() {
    for steps in 0..14 {
        for second in [["x:3", "x:2", "x:2"], ["x:2", "x:3", "x:1"], ["x:1"; 3]] {
            let mut world = running(1);
            let uids = world.uids();
            set_images(&mut world, ["x:2", "x:2", "x:2"]);
            for _ in 0..steps {
                world.step();
            }
            set_images(&mut world, second);
            world.settle();
            assert_eq!(images(&world), second, "after {steps} steps");
            assert_eq!(world.uids(), uids);
            assert!(world.is_ready(), "{steps} {second:?}");
        }
    }
}

#[test]
fn a_first_container_that_is_never_ready_keeps_the_others_and_a_template_mends_it() {
    for bad in ["x:bad", "x:crash"] {
        let mut world = running(2);
        set_images(&mut world, [bad, "x:2", "x:2"]);
        world.settle();
        assert_eq!(world.status().ready_replicas, 1);
        let touched: Vec<&Object> = world
            .server
            .pods
            .values()
            .filter(|p| p["spec"]["containers"][0]["image"] == bad)
            .collect();
        assert_eq!(touched.len(), 1);
        assert_eq!(touched[0]["spec"]["containers"][1]["image"], "x:1");
        set_images(&mut world, ["x:3", "x:2", "x:2"]);
        world.settle();
        assert_eq!(images(&world), ["x:3", "x:2", "x:2"]);
        assert!(world.is_ready());
    }
}

#[test]
fn batches_that_have_begun_are_finished_while_paused() {
    let mut world = running(1);
    set_images(&mut world, ["x:2", "x:2", "x:2"]);
    while images(&world)[0] == "x:1" {
        world.step();
    }
    world.observe();
    assert!(matches!(
        reasons(&world)[0].as_str(),
        "WaitingKubelet" | "WaitingBatch"
    ));
    world.set_rolling("paused", json!(true));
    world.settle();
    assert_eq!(images(&world), ["x:2"; 3]);
}

fn mirror(pod: &mut Value) {
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        let image = container["image"].as_str().unwrap().to_owned();
        if !image.starts_with("mirror/") {
            container["image"] = format!("mirror/{image}").into();
        }
    }
}

#[test]
fn images_that_admission_rewrites_do_not_end_the_batches() {
    let mut world = World::new(1, &in_place("InPlaceOnly"));
    world.server.admission = Some(mirror);
    world.set = running(1).set;
    world.settle();
    world.writes.clear();
    set_images(&mut world, ["x:2", "x:2", "x:2"]);
    world.settle();
    assert_eq!(images(&world), ["mirror/x:2"; 3]);
    assert_eq!(world.writes.values().sum::<usize>(), 5);
}

/// The env of `b` is read from a label that changes; taking its image back while it waits would
/// leave it with the old value.
#[test]
fn an_env_that_would_never_be_read_needs_a_new_pod() {
    let mut world = running(1);
    let tier = |world: &mut World, tier: &str, image: &str| {
        let env = json!([{"name": "T", "valueFrom":
            {"fieldRef": {"fieldPath": "metadata.labels['tier']"}}}]);
        world.edit("tier", |spec| {
            let template = &mut spec["template"];
            template["metadata"]["labels"]["tier"] = tier.into();
            template["spec"]["containers"][0]["image"] = image.into();
            template["spec"]["containers"][1]["image"] = image.into();
            template["spec"]["containers"][1]["env"] = env;
        });
    };
    world.set_rolling("podUpdatePolicy", json!("InPlaceIfPossible"));
    tier(&mut world, "1", "x:1");
    world.settle();
    tier(&mut world, "2", "x:2");
    while images(&world)[0] == "x:1" {
        world.step();
    }
    world.set_rolling("podUpdatePolicy", json!("InPlaceOnly"));
    tier(&mut world, "3", "x:1");
    world.settle();
    assert_eq!(reasons(&world), ["NeedsRecreate"]);
}

/// An image and cpu of the first container change at once, and a native sidecar comes before it.
/// The announced resize is half of the batch itself: it waited for its own end. (Found by the
/// simulation, seeds 28109 and 39663.)
#[test]
fn a_resize_does_not_wait_for_itself() {
    let mut world = World::new(1, &in_place("InPlaceIfPossible"));
    world.edit("a new set", |spec| {
        let template = &mut spec["template"];
        template["metadata"]["annotations"] =
            json!({"apps.kruise.io/container-launch-priority": "Ordered"});
        template["spec"]["initContainers"] =
            json!([{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}]);
        template["spec"]["containers"] = json!([
            {"name": "a", "image": "x:1", "resources": {"requests": {"cpu": "1"}}},
            {"name": "b", "image": "x:1"},
        ]);
    });
    world.settle();
    let uids = world.uids();
    world.edit("images, and cpu of a", |spec| {
        let containers = &mut spec["template"]["spec"]["containers"];
        containers[0]["resources"]["requests"]["cpu"] = "3".into();
        containers[0]["image"] = "x:2".into();
        containers[1]["image"] = "x:2".into();
    });
    world.settle();
    assert_eq!(images(&world), ["x:2"; 2]);
    assert_eq!(world.uids(), uids);
    let pod = world.server.pods.values().next().unwrap();
    let cpu = &pod["spec"]["containers"][0]["resources"]["requests"]["cpu"];
    assert_eq!(cpu, "3");
    assert!(world.is_ready());
}
