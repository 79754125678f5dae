//! Updates of injected containers, with the model's API server and kubelet.

use serde_json::json;

mod both;
mod drain;
mod limits;
mod memo;
mod missed;
mod revisions;
mod strategy;
mod twins;
mod workload;
mod world;

use world::World;

#[test]
fn a_new_image_restarts_that_container_and_nothing_else() {
    let mut world = World::running(3, &json!({}));
    let others = world.others("agent");
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.images("agent"), ["agent:2"; 3]);
    assert_eq!(world.others("agent"), others);
    assert_eq!(world.counts(), [3, 3, 3, 3]);
    assert_eq!(
        world.condition("Ready"),
        ("True".into(), "AllUpdated".into())
    );
    assert_eq!(world.fewest, 2, "one at a time is the default");
    assert!(world.writes.values().all(|n| *n == 1), "{:?}", world.writes);
}

#[test]
fn so_does_one_of_a_native_sidecar() {
    let spec = json!({"initContainers":
        [{"name": "native", "image": "proxy:1", "restartPolicy": "Always"}]});
    let mut world = World::running(2, &spec);
    let others = world.others("native");
    world.edit(|spec| spec["initContainers"][0]["image"] = "proxy:2".into());
    world.settle();
    assert_eq!(world.images("native"), ["proxy:2"; 2]);
    assert_eq!(world.others("native"), others);
    assert_eq!(world.counts(), [2, 2, 2, 2]);
}

#[test]
fn a_bad_image_stops_at_the_budget_and_a_good_one_heals() {
    let mut world = World::running(3, &json!({}));
    world.set_image("agent:bad");
    world.settle();
    assert_eq!(world.counts(), [3, 1, 2, 0]);
    assert_eq!(
        world.condition("Stalled"),
        ("True".into(), "ImagePull".into())
    );
    assert_eq!(
        world.reasons(),
        [("ImagePull".into(), 1), ("WaitingBudget".into(), 2)]
    );
    world.set_image("agent:3");
    world.settle();
    assert_eq!(world.counts(), [3, 3, 3, 3]);
    assert_eq!(world.condition("Stalled").0, "False");
    assert_eq!(world.fewest, 2);
}

#[test]
fn one_that_was_taken_back_before_the_kubelet_acted_is_over_at_once() {
    let mut world = World::running(1, &json!({}));
    let before = world.others("main");
    world.set_image("agent:2");
    world.reconcile();
    world.reconcile();
    world.set_image("agent:1");
    world.settle();
    assert_eq!(world.images("agent"), ["agent:1"]);
    assert_eq!(world.others("main"), before, "it was not restarted");
}

#[test]
fn what_the_kubelet_cannot_do_waits_for_a_new_pod() {
    let mut world = World::running(2, &json!({}));
    world.edit(|spec| spec["containers"][0]["command"] = json!(["log"]));
    world.settle();
    assert_eq!(world.counts(), [2, 0, 2, 0]);
    assert_eq!(world.reasons(), [("NeedsRecreate".into(), 2)]);
    assert_eq!(
        world.condition("Stalled"),
        ("True".into(), "NeedsRecreate".into())
    );
    // A Pod made now follows images, and the old ones stay.
    world.add("web-99", |_| {});
    world.settle();
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.images("agent"), ["agent:1", "agent:1", "agent:2"]);
    // The old containers come back, but for the image.
    world.edit(|spec| spec["containers"][0] = json!({"name": "agent", "image": "agent:2"}));
    world.settle();
    assert_eq!(world.images("agent")[..2], ["agent:2", "agent:2"]);
}

#[test]
fn what_is_in_no_hash_touches_no_pod() {
    let mut world = World::running(
        2,
        &json!({"initContainers": [{"name": "set-up", "image": "s:1"}]}),
    );
    world.edit(|spec| spec["initContainers"][0]["image"] = "s:2".into());
    world.edit(|spec| spec["patchPodMetadata"] = json!([{"annotations": {"a": "b"}}]));
    world.settle();
    assert_eq!(world.writes.len(), 0);
    assert_eq!(world.counts(), [2, 2, 2, 2]);
}

#[test]
fn annotations_go_with_the_next_image_as_far_as_they_are_allowed() {
    let mut world = World::running(1, &json!({}));
    let rules = r#"{"rules": [{"allowedAnnotationKeyExprs": ["^team/"]}]}"#;
    world.white_list = apis::sidecar_set::white_list::WhiteList::parse(rules).unwrap();
    world.edit(|spec| {
        spec["patchPodMetadata"] = json!([{"annotations": {"team/log": "1", "other": "2"}}]);
        spec["containers"][0]["image"] = "agent:2".into();
    });
    world.settle();
    let annotations = &world.server.pods["web-00"]["metadata"]["annotations"];
    assert_eq!(annotations["team/log"], "1");
    assert!(annotations["other"].is_null());
}

#[test]
fn images_that_admission_rewrites_stay_unless_the_set_wants_others() {
    let two = json!({"containers": [{"name": "agent", "image": "agent:1"},
        {"name": "probe", "image": "probe:1"}]});
    let mut world = World::empty(&two);
    world.add("web-00", |pod| {
        pod["spec"]["containers"][2]["image"] = "mirror/probe:1".into();
    });
    world.settle();
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.images("agent"), ["agent:2"]);
    assert_eq!(world.images("probe"), ["mirror/probe:1"]);
}

/// The webhook names the revision that it knows of; the newest one may not be recorded yet. The set
/// was taken back, and the Pod kept the image.
#[test]
fn what_a_pod_has_is_not_told_by_the_name_of_a_revision() {
    let mut world = World::running(1, &json!({}));
    let first = world.status().latest_revision;
    world.set_image("agent:2");
    world.add("web-50", |pod| {
        let key = apis::names::SIDECAR_HASH_ANNOTATION;
        let text = pod["metadata"]["annotations"][key].as_str().unwrap();
        let mut entries: serde_json::Value = serde_json::from_str(text).unwrap();
        entries["log"]["controllerRevision"] = json!(first);
        pod["metadata"]["annotations"][key] = entries.to_string().into();
    });
    world.set_image("agent:1");
    world.settle();
    assert_eq!(world.images("agent"), ["agent:1", "agent:1"]);
    assert_eq!(world.counts(), [2, 2, 2, 2]);
}

/// The vector of the specification: written by OpenKruise, found by us.
#[test]
fn pods_that_openkruise_injected_are_taken_over_without_a_restart() {
    let mut world = World::empty(&json!({"containers":
        [{"name": "agent", "image": "agent:1", "imagePullPolicy": "IfNotPresent",
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "resources": {}, "podInjectPolicy": "BeforeAppContainer",
            "shareVolumePolicy": {"type": "disabled"},
            "upgradeStrategy": {"upgradeType": "ColdUpgrade"}}]}));
    for n in 0..3 {
        world.add(&format!("web-{n}"), |pod| {
            let old = json!({"log": {"revision": "x", "updateTimestamp": "2026-02-01T00:00:00Z",
                "lastContainerStatuses": {"agent": {"imageID": "sha256:agent:0"}}}});
            pod["metadata"]["annotations"]["kruise.io/sidecarset-inplace-update-state"] =
                old.to_string().into();
        });
    }
    world.settle();
    assert_eq!(world.writes.len(), 0);
    assert_eq!(world.counts(), [3, 3, 3, 3]);
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.counts(), [3, 3, 3, 3]);
}

#[test]
fn a_record_that_cannot_be_read_is_left_alone() {
    let mut world = World::running(2, &json!({}));
    world.add("web-50", |pod| {
        pod["metadata"]["annotations"]["kruise.io/sidecarset-hash"] = "[]".into();
    });
    world.settle();
    world.set_image("agent:2");
    world.settle();
    assert_eq!(world.images("agent"), ["agent:2", "agent:2", "agent:1"]);
    assert_eq!(world.reasons(), [("UnreadableRecord".into(), 1)]);
}

#[test]
fn a_pod_that_the_server_refuses_to_change_stops_nobody_else() {
    let mut world = World::running(2, &json!({"updateStrategy": {"partition": 1}}));
    world.set_image("agent:2");
    let first = world
        .plan()
        .effects
        .iter()
        .find_map(|(_, e)| e.uid().map(str::to_owned));
    assert_eq!(first, None, "the revision comes first");
    world.reconcile();
    let chosen = world.plan().effects[0].1.uid().unwrap().to_owned();
    world.held.insert(chosen, "no".into());
    world.settle();
    assert_eq!(world.counts(), [2, 1, 2, 1]);
    assert_eq!(world.reasons(), [("BackingOff".into(), 1)]);
}

#[test]
fn pods_that_slipped_in_beside_the_door_are_counted() {
    let mut world = World::running(1, &json!({}));
    let pod = |name: &str, made: &str| {
        json!({"metadata": {"name": name, "namespace": "shop", "uid": name,
            "creationTimestamp": made, "labels": {"app": "web"}}, "spec": {}})
    };
    world.without = vec![
        pod("before-the-set", "2026-03-01T09:59:00Z"),
        pod("after-it", "2026-03-01T10:01:00Z"),
    ];
    let mut mirror = pod("mirror", "2026-03-01T10:01:00Z");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    let mut warmer = pod("warmer", "2026-03-01T10:01:00Z");
    warmer["metadata"]["labels"][apis::names::WARMER_LABEL] = "web".into();
    let mut system = pod("system", "2026-03-01T10:01:00Z");
    system["metadata"]["namespace"] = "kube-system".into();
    let mut own = pod("own", "2026-03-01T10:01:00Z");
    own["metadata"]["namespace"] = "insitu-system".into();
    world.without.extend([mirror, warmer, system, own]);
    world.settle();
    assert_eq!(world.plan().uninjected, [1]);
    assert_eq!(world.status().uninjected_pods, Some(1));
    world.without.clear();
    world.settle();
    assert_eq!(world.status().uninjected_pods, None);
}
