use serde_json::json;

use super::*;
use crate::sets::{Followed, Sets};
use crate::validate::tests::{paths, request};

fn set() -> Value {
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
        "metadata": {"name": "log"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "containers": [{"name": "agent", "image": "agent:1"}]}})
}

fn judged(operation: Operation, old: &Value, new: &Value) -> Verdict {
    beside(&[], operation, old, new)
}

fn beside(others: &[Value], operation: Operation, old: &Value, new: &Value) -> Verdict {
    let others = others.iter().cloned();
    let others = others.map(|set| (Followed::SidecarSets, set));
    let sets = Sets::of(&others.collect::<Vec<_>>());
    let mut request = request(operation, old, new);
    judge(&mut request, &sets.read(), Look::Last).unwrap()
}

#[test]
fn what_makes_sense_is_let_in() {
    assert_eq!(judged(Operation::Create, &Value::Null, &set()), allowed());
    let mut next = set();
    next["spec"]["containers"][0]["image"] = "agent:2".into();
    assert_eq!(judged(Operation::Update, &set(), &next), allowed());
    assert_eq!(judged(Operation::Delete, &set(), &Value::Null), allowed());
}

#[test]
fn all_that_is_wrong_is_found_at_once() {
    let mut wrong = set();
    wrong["spec"]["selector"] = json!({});
    wrong["spec"]["containers"][0]["image"] = "".into();
    wrong["spec"]["containers"][0]["env"] = json!([{"name": "PORT", "value": 80}]);
    let expected = [
        "spec.selector",
        "spec.containers[0].image",
        "spec.containers[0].env[0].value",
    ];
    let mut found = paths(judged(Operation::Create, &Value::Null, &wrong));
    found.sort();
    let mut expected = expected.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn what_is_of_the_wrong_type_is_named_with_its_place() {
    let mut wrong = set();
    wrong["spec"]["updateStrategy"] = json!({"type": "Whenever"});
    let found = paths(judged(Operation::Create, &Value::Null, &wrong));
    assert_eq!(found, ["spec.updateStrategy.type"]);
    let found = paths(judged(Operation::Create, &Value::Null, &Value::Null));
    assert_eq!(found, ["spec"]);
}

#[test]
fn a_container_cannot_be_added_and_a_canary_stays_one() {
    let mut more = set();
    let containers = more["spec"]["containers"].as_array_mut().unwrap();
    containers.push(json!({"name": "b", "image": "b:1"}));
    let found = paths(judged(Operation::Update, &set(), &more));
    assert_eq!(found, ["spec.containers[1].name"]);
    let mut canary = set();
    canary["spec"]["updateStrategy"] = json!({"type": "NotUpdate"});
    canary["metadata"]["annotations"] =
        json!({CANARY_ANNOTATION: "true", CANARY_BASE_ANNOTATION: "base"});
    let mut other = canary.clone();
    other["metadata"]["annotations"][CANARY_BASE_ANNOTATION] = "other".into();
    let found = paths(judged(Operation::Update, &canary, &other));
    assert_eq!(
        found,
        [format!("metadata.annotations[{CANARY_BASE_ANNOTATION}]")]
    );
}

#[test]
fn sets_for_the_same_pods_must_not_clash() {
    let mut other = set();
    other["metadata"]["name"] = "other".into();
    let create = |set: &Value| {
        beside(
            std::slice::from_ref(&other),
            Operation::Create,
            &Value::Null,
            set,
        )
    };
    assert_eq!(paths(create(&set())), ["spec.containers[0].name"]);
    let mut elsewhere = set();
    elsewhere["spec"]["selector"] = json!({"matchLabels": {"app": "shop"}});
    assert_eq!(create(&elsewhere), allowed());
    // A set does not clash with itself.
    let mut next = other.clone();
    next["spec"]["containers"][0]["image"] = "agent:2".into();
    let own = std::slice::from_ref(&other);
    assert_eq!(beside(own, Operation::Update, &other, &next), allowed());
}

#[test]
fn what_depends_on_others_is_refused_at_its_field() {
    let mut annotated = set();
    annotated["spec"]["patchPodMetadata"] = json!([{"annotations": {"a": "b"}}]);
    let found = paths(judged(Operation::Create, &Value::Null, &annotated));
    assert_eq!(found, ["spec.patchPodMetadata[0].annotations"]);
    let mut pinned = set();
    pinned["spec"]["injectionStrategy"] = json!({"revision": {"revisionName": "log-1"}});
    let found = paths(judged(Operation::Create, &Value::Null, &pinned));
    assert_eq!(found, ["spec.injectionStrategy.revision"]);
}

#[test]
fn a_base_that_nobody_told_of_is_asked_for_once() {
    let mut canary = set();
    canary["metadata"]["annotations"] =
        json!({CANARY_ANNOTATION: "true", CANARY_BASE_ANNOTATION: "base"});
    canary["spec"]["updateStrategy"] = json!({"type": "NotUpdate"});
    let mut request = Request {
        operation: Operation::Create,
        object: Deserialize::deserialize(&canary).unwrap(),
        ..Request::default()
    };
    let sets = Sets::of(&[]);
    let missing = judge(&mut request, &sets.read(), Look::First);
    assert_eq!(missing, Err(Missing::Set("base".to_owned())));
    let found = paths(judged(Operation::Create, &Value::Null, &canary));
    assert!(found[0].contains(CANARY_BASE_ANNOTATION), "{found:?}");
}

#[test]
fn before_the_first_lists_nobody_can_say() {
    let mut request = Request {
        operation: Operation::Create,
        object: Deserialize::deserialize(&set()).unwrap(),
        ..Request::default()
    };
    let sets = Sets::default();
    let missing = judge(&mut request, &sets.read(), Look::Last);
    assert_eq!(missing, Err(Missing::Everything));
}

#[test]
fn what_was_let_in_once_can_be_labelled_and_can_leave() {
    let mut wrong = set();
    wrong["spec"]["selector"] = json!({});
    let mut labelled = wrong.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(judged(Operation::Update, &wrong, &labelled), allowed());
    let mut leaving = set();
    leaving["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z".into();
    leaving["spec"]["selector"] = json!({});
    assert_eq!(judged(Operation::Update, &set(), &leaving), allowed());
}
