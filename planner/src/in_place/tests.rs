#![allow(
    clippy::needless_pass_by_value,
    reason = "fixtures read better that way"
)]

use serde_json::{Value, json};

use super::*;

fn progress(pod: &Pod) -> Progress {
    super::progress(pod, pod.in_place_state().as_ref())
}

fn pod(spec: &str, generation: i64, status: Value, record: Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": "web-1", "uid": "u", "generation": generation,
            "labels": {"controller-revision-hash": "web-a"}},
        "spec": {"containers": [{"name": "main", "image": spec}],
            "readinessGates": [{"conditionType": "InPlaceUpdateReady"}]},
        "status": {"phase": "Running", "observedGeneration": generation,
            "conditions": [{"type": "InPlaceUpdateReady", "status": "False"}],
            "containerStatuses": [status]},
    });
    if !record.is_null() {
        pod["metadata"]["annotations"] =
            json!({"apps.kruise.io/inplace-update-state": record.to_string()});
    }
    serde_json::from_value(pod).unwrap()
}

/// The changed Pod as it would come from the API server.
fn decoded(pod: &Pod) -> Pod {
    serde_json::from_value(serde_json::to_value(pod).unwrap()).unwrap()
}

fn running(id: &str) -> Value {
    json!({"name": "main", "containerID": id, "imageID": "sha256:1", "image": "web:1",
        "state": {"running": {"startedAt": "2026-03-01T12:00:10Z"}}})
}

fn ours(image: &str) -> Value {
    json!({"revision": "web-a", "updateTimestamp": "2026-03-01T12:00:00Z", "generation": 1,
        "lastContainerStatuses": {"main":
            {"imageID": "sha256:1", "containerID": "old", "image": image}}})
}

/// OpenKruise's record, made at `time`.
fn theirs(time: &str) -> Value {
    json!({"revision": "web-a", "updateTimestamp": time,
        "lastContainerStatuses": {"main": {"imageID": "sha256:1"}}})
}

fn revision(image: &str, annotations: Value) -> Revision {
    let metadata = serde_json::from_value(json!({"name": "web-a"})).unwrap();
    let template = json!({"metadata": {"annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": image}]}});
    Revision::new(metadata, 1, template)
}

#[test]
fn a_pod_without_a_record_is_done() {
    assert_eq!(
        progress(&pod("web:1", 1, running("old"), Value::Null)),
        Progress::Done
    );
}

#[test]
fn nothing_is_done_before_the_kubelet_has_seen_the_patch() {
    let mut pod = pod("web:2", 2, running("new"), ours("web:1"));
    pod.status.observed_generation = Some(1);
    let pod = decoded(&pod);
    assert_eq!(progress(&pod), Progress::Unseen);
}

#[test]
fn another_container_id_is_done_whatever_the_image_id_says() {
    assert_eq!(
        progress(&pod("web:2", 2, running("new"), ours("web:1"))),
        Progress::Done
    );
}

#[test]
fn the_same_container_id_is_awaited() {
    let awaited = pod("web:2", 2, running("old"), ours("web:1"));
    assert_eq!(progress(&awaited), Progress::Restarting(Reason::Patched));
}

#[test]
fn the_same_container_id_is_kept_when_the_spec_names_its_image_again() {
    assert_eq!(
        progress(&pod("web:1", 3, running("old"), ours("web:1"))),
        Progress::Done
    );
}

#[test]
fn a_container_that_does_not_run_is_awaited_and_its_trouble_told() {
    let mut waiting = running("old");
    waiting["state"] = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}});
    let Progress::Restarting(reason) = progress(&pod("web:2", 2, waiting, ours("web:1"))) else {
        panic!("it is not done");
    };
    assert_eq!(reason.as_str(), "ImagePull");
    assert!(reason.to_string().contains("no such tag"), "{reason}");
}

#[test]
fn a_record_of_openkruise_is_done_when_the_image_id_differs() {
    let mut other = running("x");
    other["imageID"] = "sha256:2".into();
    let pod = pod("web:2", 2, other, theirs("2026-03-01T12:00:30Z"));
    assert_eq!(progress(&pod), Progress::Done);
}

/// Bug: two tags of one digest, patched by OpenKruise, were awaited for ever.
#[test]
fn a_record_of_openkruise_is_done_when_the_container_started_since() {
    let before = pod("web:2", 2, running("x"), theirs("2026-03-01T12:00:30Z"));
    assert_ne!(progress(&before), Progress::Done);
    let since = pod("web:2", 2, running("x"), theirs("2026-03-01T12:00:00Z"));
    assert_eq!(progress(&since), Progress::Done);
}

#[test]
fn a_record_of_openkruise_is_done_when_openkruise_opened_the_gate() {
    let mut pod = pod("web:2", 2, running("x"), theirs("2026-03-01T12:00:30Z"));
    pod.status.conditions[0].status = "True".into();
    let pod = decoded(&pod);
    assert_eq!(progress(&pod), Progress::Done);
}

#[test]
fn an_image_of_an_untouched_pod_is_what_admission_made_of_it() {
    let own = revision("web:1", json!({}));
    let pod = pod("mirror/web:1", 1, running("x"), Value::Null);
    assert_eq!(way(&pod, &own, &own, None), Way::Arrived);
}

#[test]
fn an_image_of_an_edited_pod_is_taken_back() {
    let own = revision("web:1", json!({}));
    let pod = pod("mine:1", 2, running("x"), Value::Null);
    let Way::InPlace(changes) = way(&pod, &own, &own, None) else {
        panic!("it differs");
    };
    assert_eq!(changes.images[0].from, "mine:1");
    assert_eq!(changes.images[0].to, "web:1");
    assert!(!changes.label);
}

#[test]
fn annotations_are_changed_where_the_revisions_differ_and_nowhere_else() {
    let own = revision("web:1", json!({"gone": "1", "kept": "1", "new": "1"}));
    let target = revision("web:1", json!({"kept": "1", "new": "2"}));
    let mut pod = pod("web:1", 1, running("x"), Value::Null);
    let live = [
        ("gone", "1"),
        ("kept", "by hand"),
        ("new", "1"),
        ("theirs", "1"),
    ];
    pod.annotations = live.into_iter().collect();
    let changes = key_changes(&pod, None, &own, &target);
    let changes: Vec<_> = changes
        .iter()
        .map(|c| (c.key.as_str(), c.to.as_deref()))
        .collect();
    assert_eq!(changes, [("gone", None), ("new", Some("2"))]);
}

#[test]
fn a_second_patch_before_the_kubelet_acted_remembers_the_image_that_runs() {
    let pod = pod("web:2", 2, running("old"), ours("web:1"));
    let target = revision("web:3", json!({}));
    let Way::InPlace(changes) = way(&pod, &revision("web:2", json!({})), &target, None) else {
        panic!("it differs");
    };
    let now = "2026-03-01T12:00:20Z".parse().unwrap();
    let effect = patch_pod(
        &pod,
        &target,
        &batch(&changes, &target),
        now,
        crate::effect::Disruption::None,
    );
    let body = effect.request().body.to_string();
    assert!(body.contains(r#"\"image\":\"web:1\""#), "{body}");
    assert!(!body.contains(r#"\"image\":\"web:2\""#), "{body}");
}

#[test]
fn a_patch_tests_what_was_looked_at() {
    let pod = pod("web:1", 1, running("old"), Value::Null);
    let target = revision("web:2", json!({}));
    let Way::InPlace(changes) = way(&pod, &revision("web:1", json!({})), &target, None) else {
        panic!("it differs");
    };
    let now = "2026-03-01T12:00:20Z".parse().unwrap();
    let effect = patch_pod(
        &pod,
        &target,
        &batch(&changes, &target),
        now,
        crate::effect::Disruption::None,
    );
    let body = effect.request().body;
    let tests: Vec<&str> = body
        .as_array()
        .unwrap()
        .iter()
        .filter(|op| op["op"] == "test")
        .filter_map(|op| op["path"].as_str())
        .collect();
    for path in [
        "/metadata/uid",
        "/status/conditions/0/status",
        "/spec/containers/0/name",
        "/spec/containers/0/image",
    ] {
        assert!(tests.contains(&path), "{path} is not among {tests:?}");
    }
}
