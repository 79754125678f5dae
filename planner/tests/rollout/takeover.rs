//! Sets that OpenKruise 1.9 made are continued: at rest nothing is written, half-way no container
//! restarts twice and no Pod is made anew.

use serde_json::{Value, json};

use model::object::Object;
use model::world::World;

const OLD: &str = "web-5bf7d4c9";
const NEW: &str = "web-7c6d9f8b";
const STATE: &str = "apps.kruise.io/inplace-update-state";

/// A set of `pods` whose template is that of `revision`, as OpenKruise's webhook and manager leave
/// it behind.
fn world(revision: usize, pods: Vec<Value>) -> World {
    let rolling = json!({"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 1,
        "partition": 0, "paused": false});
    let mut world = World::new(u32::try_from(pods.len()).unwrap(), &rolling);
    let revisions: Vec<Value> =
        serde_json::from_str(include_str!("takeover/revisions.json")).unwrap();
    let mut template = revisions[revision - 1]["data"]["spec"]["template"].clone();
    template.as_object_mut().unwrap().remove("$patch");
    world.set["spec"]["template"] = template;
    world.set["status"] = json!({"currentRevision": OLD, "updateRevision": revisions[revision - 1]["metadata"]["name"]});
    for revision in revisions.into_iter().take(revision) {
        let name = revision["metadata"]["name"].as_str().unwrap().to_owned();
        world.server.revisions.insert(name, revision.into());
    }
    for pod in pods {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        let uid = pod["metadata"]["uid"].as_str().unwrap();
        for status in pod["status"]["containerStatuses"].as_array().unwrap() {
            let image = status["imageID"]
                .as_str()
                .unwrap()
                .trim_start_matches("sha256:");
            world
                .kubelet
                .has_started(uid, status["name"].as_str().unwrap(), image);
        }
        world.server.write_status(&name, pod);
    }
    world
}

/// A Pod at the first revision.
fn pod(id: &str) -> Value {
    let mut pod: Value = serde_json::from_str(include_str!("takeover/pod.json")).unwrap();
    pod["metadata"]["name"] = format!("web-{id}").into();
    pod["metadata"]["uid"] = format!("uid-{id}").into();
    pod["metadata"]["labels"]["apps.kruise.io/cloneset-instance-id"] = id.into();
    pod
}

fn set_condition(pod: &mut Value, type_: &str, status: &str, message: &str) {
    let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
    let condition = conditions.iter_mut().find(|c| c["type"] == type_).unwrap();
    condition["status"] = status.into();
    condition["message"] = message.into();
}

/// Its gate is closed and OpenKruise has written Ready itself.
fn drained(mut pod: Value) -> Value {
    set_condition(&mut pod, "InPlaceUpdateReady", "False", "");
    set_condition(&mut pod, "Ready", "False", "");
    pod["metadata"]["labels"]["lifecycle.apps.kruise.io/state"] = "Updating".into();
    pod
}

/// Labelled with the second revision, with `images` and OpenKruise's `record`.
fn updated(mut pod: Value, images: [&str; 2], record: &Value) -> Value {
    pod["metadata"]["labels"]["controller-revision-hash"] = NEW.into();
    pod["metadata"]["labels"]["pod-template-hash"] = "7c6d9f8b".into();
    pod["metadata"]["annotations"][STATE] = record.to_string().into();
    for (i, image) in images.into_iter().enumerate() {
        if pod["spec"]["containers"][i]["image"] != image {
            pod["spec"]["containers"][i]["image"] = image.into();
            pod["metadata"]["generation"] = 2.into();
        }
    }
    pod
}

/// The container at `index` runs `image` since the update.
fn restarted(mut pod: Value, index: usize, image: &str) -> Value {
    pod["status"]["observedGeneration"] = pod["metadata"]["generation"].clone();
    let status = &mut pod["status"]["containerStatuses"][index];
    status["imageID"] = format!("sha256:{image}").into();
    status["containerID"] = format!("containerd://1{index}").into();
    status["restartCount"] = 1.into();
    status["state"]["running"]["startedAt"] = "2026-03-01T11:59:55Z".into();
    pod
}

fn record() -> Value {
    json!({"revision": NEW, "updateTimestamp": "2026-03-01T11:59:50Z",
        "lastContainerStatuses": {"db": {"imageID": "sha256:db:1"}, "main": {"imageID": "sha256:web:1"}},
        "updateImages": true,
        "containerBatchesRecord": [{"timestamp": "2026-03-01T11:59:50Z", "containers": ["db", "main"]}]})
}

/// db has restarted; main is still to come.
fn between_batches() -> Value {
    let mut record = record();
    record["lastContainerStatuses"] = json!({"db": {"imageID": "sha256:db:1"}});
    record["nextContainerImages"] = json!({"main": "web:2"});
    record["preCheckBeforeNext"] = json!({"containersRequiredReady": ["db"]});
    let pod = updated(drained(pod("bbbbb")), ["db:2", "web:1"], &record);
    restarted(pod, 0, "db:2")
}

/// Waits for its grace period: labelled, recorded, not patched.
fn in_grace(key: &str) -> Value {
    let record =
        json!({"revision": NEW, "updateTimestamp": "2026-03-01T11:59:50Z", "updateImages": true});
    let mut pod = updated(drained(pod("ggggg")), ["db:1", "web:1"], &record);
    pod["metadata"]["annotations"][key] = json!({"revision": NEW, "graceSeconds": 30,
        "containerImages": {"db": "db:other", "main": "web:other"}})
    .to_string()
    .into();
    pod
}

fn restarts(world: &World) -> Vec<i64> {
    let statuses = |p: &Object| p["status"]["containerStatuses"].as_array().unwrap().clone();
    let all = world.server.pods.values().flat_map(statuses);
    all.map(|s| s["restartCount"].as_i64().unwrap()).collect()
}

/// Everything is at the second revision, every container restarted once, every Pod is the same.
fn assert_continued(world: &mut World, case: &str) {
    let uids: Vec<String> = world
        .server
        .pods
        .values()
        .map(|p| p["metadata"]["uid"].to_string())
        .collect();
    world.settle();
    let after: Vec<String> = world
        .server
        .pods
        .values()
        .map(|p| p["metadata"]["uid"].to_string())
        .collect();
    assert_eq!(after, uids, "{case}");
    assert!(
        restarts(world).iter().all(|r| *r == 1),
        "{case}: {:?}",
        restarts(world)
    );
    for pod in world.server.pods.values() {
        assert_eq!(pod["spec"]["containers"][0]["image"], "db:2", "{case}");
        assert_eq!(pod["spec"]["containers"][1]["image"], "web:2", "{case}");
        let keys = pod["metadata"]["annotations"].as_object().unwrap();
        assert!(
            !keys.keys().any(|k| k.contains("inplace-update-grace")),
            "{case}"
        );
    }
    assert!(world.is_ready(), "{case}: {}", world.ready_reason());
}

#[test]
fn at_rest_nothing_is_written() {
    let short = |mut pod: Value| {
        pod["metadata"]["labels"]["controller-revision-hash"] = "5bf7d4c9".into();
        pod
    };
    let mut world = world(1, vec![pod("aaaaa"), short(pod("bbbbb")), pod("ccccc")]);
    world.settle();
    assert_eq!(world.writes.len(), 0, "{:?}", world.writes);
    assert_eq!(restarts(&world), [0; 6]);
    assert_eq!(world.server.revisions.len(), 1);
    assert!(world.is_ready());
}

#[test]
fn at_rest_after_updates_in_place_nothing_is_written() {
    let done = |id| {
        let pod = updated(pod(id), ["db:2", "web:2"], &record());
        restarted(restarted(pod, 0, "db:2"), 1, "web:2")
    };
    // Two tags of one digest; images that admission rewrote; the old name of the annotation.
    let mut same_digest = done("bbbbb");
    same_digest["status"]["containerStatuses"][1]["imageID"] = "sha256:web:1".into();
    let mut old_name = done("ccccc");
    let annotations = old_name["metadata"]["annotations"].as_object_mut().unwrap();
    let state = annotations.remove(STATE).unwrap();
    annotations.insert("inplace-update-state".into(), state);
    let mut rewritten = done("ddddd");
    rewritten["spec"]["containers"][1]["image"] = "mirror/web:2".into();
    rewritten["status"]["containerStatuses"][1]["imageID"] = "sha256:mirror/web:2".into();
    let mut world = world(2, vec![done("aaaaa"), same_digest, old_name, rewritten]);
    world.kubelet.has_started("uid-bbbbb", "main", "web:2");
    world.settle();
    assert_eq!(world.writes.len(), 0, "{:?}", world.writes);
    assert!(world.is_ready(), "{}", world.ready_reason());
}

/// The user's manifest never had what OpenKruise's webhook filled in.
#[test]
fn the_users_own_manifest_restarts_nothing() {
    let mut world = world(1, vec![pod("aaaaa"), pod("bbbbb")]);
    world.edit("the manifest", |spec| {
        spec["template"] = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
            {"name": "db", "image": "db:1",
                "env": [{"name": "KRUISE_CONTAINER_PRIORITY", "value": "1"}]},
            {"name": "main", "image": "web:1",
                "resources": {"limits": {"cpu": 1, "memory": "1024Mi"}}}]}});
    });
    let uids = world.uids();
    world.settle();
    assert_eq!(world.uids(), uids);
    assert_eq!(restarts(&world), [0; 4]);
    assert!(
        world.writes.values().all(|w| *w <= 1),
        "labels at most: {:?}",
        world.writes
    );
}

#[test]
fn half_way_no_container_restarts_twice() {
    let others = || vec![pod("aaaaa")];
    let patched = updated(drained(pod("bbbbb")), ["db:2", "web:2"], &record());
    for (case, pod) in [
        ("drained", drained(pod("bbbbb"))),
        ("patched", patched.clone()),
        ("half restarted", restarted(patched, 0, "db:2")),
        ("in grace", in_grace("apps.kruise.io/inplace-update-grace")),
        ("in grace, old name", in_grace("inplace-update-grace")),
        ("next batch", between_batches()),
    ] {
        let mut world = world(2, [others(), vec![pod]].concat());
        assert_continued(&mut world, case);
    }
}

#[test]
fn a_pod_that_was_to_be_replaced_is_replaced() {
    let mut leaving = pod("bbbbb");
    leaving["metadata"]["labels"]["apps.kruise.io/specified-delete"] = "true".into();
    let mut world = world(1, vec![pod("aaaaa"), leaving]);
    world.settle();
    assert!(!world.server.pods.contains_key("web-bbbbb"));
    assert!(world.server.pods.contains_key("web-aaaaa"));
    assert_eq!(world.server.pods.len(), 2);
    assert!(world.is_ready());
}

#[test]
fn the_gate_that_openkruise_left_closed_is_opened_unless_somebody_else_holds_it() {
    let hook = r#"[{"userAgent":"Lifecycle","key":"preUpdateHook"}]"#;
    let restart = r#"[{"userAgent":"ContainerRecreateRequest","key":"crr-1"}]"#;
    for (message, opened) in [(hook, true), ("[]", true), ("", true), (restart, false)] {
        let mut held = pod("bbbbb");
        set_condition(&mut held, "KruisePodReady", "False", message);
        set_condition(&mut held, "Ready", "False", "");
        let mut world = world(1, vec![pod("aaaaa"), held]);
        world.settle();
        assert_eq!(world.is_ready(), opened, "{message}");
        assert_eq!(world.writes.len(), usize::from(opened), "{message}");
    }
    let mut unset = pod("bbbbb");
    unset["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
    let mut world = world(1, vec![pod("aaaaa"), unset]);
    world.settle();
    assert!(world.is_ready(), "{}", world.ready_reason());
}

#[test]
fn take_over_half_way() {
    let mut world = world(
        2,
        vec![
            pod("aaaaa"),
            between_batches(),
            in_grace("apps.kruise.io/inplace-update-grace"),
        ],
    );
    world.set_rolling("maxUnavailable", json!(2));
    world.timeline.begin();
    world.edit("OpenKruise is gone", |_| {});
    assert_continued(&mut world, "half-way");
    super::goldens::compare(
        &world,
        "takeover-half-way",
        "OpenKruise left one Pod at the old revision, one between two batches of containers, and one\n\
         in its grace period. Each goes on from where it is; no container restarts twice.",
    );
}
