use std::collections::BTreeMap;

use apis::condition::ConditionType;
use apis::{CloneSet, Valid, names};
use serde_json::{Value, json};

use super::*;

fn snapshot(spec: &Value, status: &Value) -> Snapshot {
    let mut set = json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
        "metadata": {"name": "web", "namespace": "shop", "uid": "set", "generation": 7},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "web:1"}]}}},
        "status": status,
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        set["spec"][key] = value.clone();
    }
    let set: CloneSet = serde_json::from_value(set).unwrap();
    let template = set.spec.template.clone();
    let metadata = serde_json::from_value(json!({"name": "web-first"})).unwrap();
    Snapshot {
        now: "2026-03-01T12:00:00.123456Z".parse().unwrap(),
        set: Valid::new(set).map_err(|(_, errors)| errors).unwrap(),
        pods: Vec::new(),
        orphans: Vec::new(),
        claims: Vec::new(),
        nodes: Vec::new(),
        orphan_revisions: Vec::new(),
        revisions: vec![Arc::new(Revision::new(metadata, 1, template))],
        held: BTreeMap::new(),
        in_flight: BTreeSet::new(),
        effects_max: 100,
    }
}

fn names(plan: &Plan) -> Vec<String> {
    plan.effects.iter().map(|e| e.name().to_owned()).collect()
}

#[test]
fn the_names_of_new_pods_are_the_same_for_the_same_view() {
    let s = snapshot(&json!({}), &Value::Null);
    assert_eq!(names(&plan(&s)), names(&plan(&s)));
    let mut distinct = names(&plan(&s));
    distinct.dedup();
    assert_eq!(distinct.len(), 3);
}

#[test]
fn the_names_of_new_pods_are_fresh_once_anything_was_seen_to_change() {
    let mut s = snapshot(&json!({}), &Value::Null);
    let before = names(&plan(&s));
    let pod = json!({"metadata": {"name": before[0], "uid": "gone",
        "deletionTimestamp": "2026-03-01T12:00:00Z", "labels": {"app": "web"}}});
    s.pods = vec![Arc::new(serde_json::from_value(pod).unwrap())];
    assert!(names(&plan(&s)).iter().all(|name| !before.contains(name)));
}

#[test]
fn no_more_effects_come_out_than_asked_for() {
    let mut s = snapshot(&json!({"replicas": 50_000}), &Value::Null);
    s.effects_max = 20;
    assert_eq!(plan(&s).effects.len(), 20);
}

#[test]
fn a_new_template_is_recorded_before_anything_else() {
    let mut s = snapshot(&json!({}), &Value::Null);
    s.revisions.clear();
    let plan = plan(&s);
    assert!(matches!(plan.effects[..], [Effect::CreateRevision { .. }]));
    assert_eq!(
        plan.status.observed_generation, None,
        "nothing speaks of the new spec yet"
    );
}

#[test]
fn a_hash_that_another_template_has_is_not_used_again() {
    let mut s = snapshot(&json!({}), &Value::Null);
    s.revisions.clear();
    let first = names(&plan(&s))[0].clone();
    let metadata = serde_json::from_value(json!({"name": first})).unwrap();
    let other = json!({"spec": {"containers": [{"name": "main", "image": "other"}]}});
    s.revisions = vec![Arc::new(Revision::new(metadata, 1, other))];
    let plan = plan(&s);
    assert_ne!(names(&plan)[0], first);
    assert_eq!(plan.status.collision_count, Some(1));
}

#[test]
fn unused_revisions_beyond_the_limit_are_forgotten_oldest_first() {
    let mut s = snapshot(
        &json!({"revisionHistoryLimit": 2, "replicas": 0}),
        &Value::Null,
    );
    let newest = Arc::clone(&s.revisions[0]);
    let template = newest.template.clone();
    s.revisions = (1..=5)
        .map(|n| {
            let metadata = serde_json::from_value(json!({"name": format!("web-{n}")})).unwrap();
            let other = json!({"spec": {"containers": [{"name": "main", "image": n.to_string()}]}});
            Arc::new(Revision::new(metadata, n, other))
        })
        .collect();
    let metadata = serde_json::from_value(json!({"name": "web-6"})).unwrap();
    s.revisions
        .push(Arc::new(Revision::new(metadata, 6, template)));
    assert_eq!(names(&plan(&s)), ["web-1", "web-2", "web-3"]);
}

#[test]
fn conditions_never_contradict_each_other_and_name_the_generation() {
    let plan = plan(&snapshot(&json!({}), &Value::Null));
    let holds = |type_| {
        let condition = status::condition(&plan.status, type_).unwrap();
        assert_eq!(condition.observed_generation, Some(7));
        condition.status == "True"
    };
    assert!(!holds(ConditionType::Ready));
    assert!(holds(ConditionType::Progressing));
    assert!(holds(ConditionType::Reconciling));
    assert!(!holds(ConditionType::Stalled));
}

#[test]
fn a_status_that_was_stored_is_not_written_again() {
    let s = snapshot(&json!({"replicas": 0}), &Value::Null);
    let stored = serde_json::to_value(plan(&s).status).unwrap();
    let mut again = snapshot(&json!({"replicas": 0}), &stored);
    again.now = "2026-03-01T13:00:00Z".parse().unwrap();
    assert_eq!(serde_json::to_value(plan(&again).status).unwrap(), stored);
}

#[test]
fn a_failure_is_reported_once_and_taken_back() {
    let s = snapshot(&json!({"replicas": 0}), &Value::Null);
    let failed = status::Outcome {
        update_error: Some("no".into()),
        ..Default::default()
    };
    let first = status::with_outcome(plan(&s).status, &failed, 7, s.now);
    let stored = serde_json::to_value(&first).unwrap();
    let again = snapshot(&json!({"replicas": 0}), &stored);
    let second = status::with_outcome(plan(&again).status, &failed, 7, again.now);
    assert_eq!(serde_json::to_value(&second).unwrap(), stored);
    let well = status::with_outcome(second, &status::Outcome::default(), 7, again.now);
    let condition = status::condition(&well, ConditionType::FailedUpdate).unwrap();
    assert_eq!(condition.status, "False");
}

#[test]
fn an_invalid_spec_keeps_the_counts_and_stalls() {
    let old = plan(&snapshot(&json!({}), &Value::Null)).status;
    let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet", "metadata": {},
        "spec": {"replicas": -1, "selector": {}, "template": {}}});
    let set: CloneSet = serde_json::from_value(set).unwrap();
    let (_, errors) = Valid::new(set).map(drop).unwrap_err();
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let status = status::invalid(&old, 8, &errors, now);
    let stalled = status::condition(&status, ConditionType::Stalled).unwrap();
    assert_eq!(stalled.reason.as_deref(), Some("InvalidSpec"));
    assert!(
        stalled
            .message
            .as_deref()
            .unwrap()
            .contains("spec.replicas")
    );
    assert_eq!(status.update_revision, old.update_revision);
    assert_eq!(status::invalid(&status, 8, &errors, now), status);
}

mod in_flight;
