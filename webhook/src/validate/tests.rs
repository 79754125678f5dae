use serde_json::json;

use super::*;

fn set() -> Value {
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "web:1"}]}}}})
}

fn wrong() -> Value {
    let mut set = set();
    set["spec"]["replicas"] = (-1).into();
    set["spec"]["minReadySeconds"] = (-1).into();
    set
}

/// A question about an object of any kind.
pub(super) fn request(operation: Operation, old: &Value, new: &Value) -> Request {
    let object = |object: &Value| Deserialize::deserialize(object).unwrap();
    Request {
        operation,
        object: object(new),
        old_object: object(old),
        ..Request::default()
    }
}

fn judged(operation: Operation, old: &Value, new: &Value) -> Verdict {
    let mut request = request(operation, old, new);
    let rules = Rules {
        deletion_protection: true,
    };
    clone_set(&mut request, rules)
}

#[track_caller]
pub(super) fn paths(verdict: Verdict) -> Vec<String> {
    match verdict {
        Verdict::Invalid(errors) => errors.into_iter().map(|e| e.path).collect(),
        other => panic!("{other:?}"),
    }
}

fn because(verdict: Verdict) -> String {
    match verdict {
        Verdict::Forbidden(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_makes_sense_is_let_in() {
    assert_eq!(judged(Operation::Create, &Value::Null, &set()), allowed());
    let mut next = set();
    next["spec"]["replicas"] = 5.into();
    assert_eq!(judged(Operation::Update, &set(), &next), allowed());
}

#[test]
fn all_that_is_wrong_is_found_at_once() {
    let fields = ["spec.replicas", "spec.minReadySeconds"];
    for old in [Value::Null, set()] {
        let operation = if old.is_null() {
            Operation::Create
        } else {
            Operation::Update
        };
        assert_eq!(paths(judged(operation, &old, &wrong())), fields);
    }
}

#[test]
fn what_is_no_spec_at_all_is_refused_as_a_whole() {
    let mut set = set();
    set["spec"]["replicas"] = json!("many");
    assert_eq!(
        paths(judged(Operation::Create, &Value::Null, &set)),
        ["spec"]
    );
    assert_eq!(
        paths(judged(Operation::Create, &Value::Null, &Value::Null)),
        ["spec"]
    );
}

#[test]
fn what_was_wrong_before_can_be_labelled_and_taken_apart() {
    let mut labelled = wrong();
    labelled["metadata"]["labels"] = json!({"team": "shop"});
    assert_eq!(judged(Operation::Update, &wrong(), &labelled), allowed());
    let mut leaving = wrong();
    leaving["spec"]["replicas"] = (-2).into();
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(judged(Operation::Update, &wrong(), &leaving), allowed());
}

fn protected(by: &str) -> Value {
    let mut set = set();
    set["metadata"]["labels"] = json!({names::DELETE_PROTECTION_LABEL: by});
    set
}

#[test]
fn a_protected_set_says_what_keeps_it() {
    let delete = |old: &Value| judged(Operation::Delete, old, &Value::Null);
    assert_eq!(delete(&set()), allowed());
    assert!(because(delete(&protected("Always"))).contains("remove the label"));
    assert!(because(delete(&protected("Cascading"))).contains("spec.replicas is 3: scale it to 0"));
    let mut empty = protected("Cascading");
    empty["spec"]["replicas"] = 0.into();
    assert_eq!(delete(&empty), allowed());
    let mut leaving = protected("Always");
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(delete(&leaving), allowed());
    assert_eq!(delete(&Value::Null), allowed());
    assert_eq!(delete(&protected("Sometimes")), allowed());
}

#[test]
fn without_the_rule_nothing_is_protected() {
    let mut request = Request {
        operation: Operation::Delete,
        old_object: Deserialize::deserialize(protected("Always")).unwrap(),
        ..Request::default()
    };
    assert_eq!(clone_set(&mut request, Rules::default()), allowed());
}

fn with_policy(policy: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut set = set();
    set["spec"]["updateStrategy"]["rollingUpdate"]["podUpdatePolicy"] = policy.into();
    change(&mut set["spec"]["template"]["spec"]["containers"][0]);
    set
}

#[test]
fn in_place_only_takes_what_can_be_done_in_place() {
    let old = with_policy("InPlaceOnly", |_| {});
    let image = with_policy("InPlaceOnly", |main| main["image"] = "web:2".into());
    assert_eq!(judged(Operation::Update, &old, &image), allowed());
    let env = with_policy("InPlaceOnly", |main| {
        main["env"] = json!([{"name": "A", "value": "1"}]);
    });
    match judged(Operation::Update, &old, &env) {
        Verdict::Invalid(errors) => {
            let text = errors[0].to_string();
            assert!(text.contains("containers[0].env"), "{text}");
            assert!(text.contains("use InPlaceIfPossible"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    let create = judged(Operation::Create, &Value::Null, &env);
    assert_eq!(create, allowed(), "there is nothing to change yet");
}

fn warnings(verdict: Verdict) -> Vec<String> {
    match verdict {
        Verdict::Allowed { warnings } => warnings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_recreates_pods_is_told_by_which_field() {
    let old = with_policy("InPlaceIfPossible", |_| {});
    let env = with_policy("InPlaceIfPossible", |main| {
        main["env"] = json!([{"name": "A", "value": "1"}]);
    });
    let told = warnings(judged(Operation::Update, &old, &env));
    assert!(told[0].contains("containers[0].env"), "{told:?}");
    assert_eq!(told.len(), 1);
    let recreate = with_policy("ReCreate", |main| main["image"] = "web:2".into());
    assert_eq!(judged(Operation::Update, &old, &recreate), allowed());
}

#[test]
fn who_leaves_no_room_for_updates_is_told() {
    let mut set = set();
    let rolling = json!({"maxUnavailable": "0%", "maxSurge": 0});
    set["spec"]["updateStrategy"]["rollingUpdate"] = rolling;
    let told = warnings(judged(Operation::Create, &Value::Null, &set));
    assert!(
        told[0].contains("maxUnavailable and maxSurge are both 0"),
        "{told:?}"
    );
    set["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] = 1.into();
    assert_eq!(judged(Operation::Create, &Value::Null, &set), allowed());
}

/// A review of a conversion is one level deeper than that of an admission: an object at the limit was
/// let in, and then the kind could not be listed in the other version any more.
#[test]
fn what_is_nested_too_deep_to_be_converted_is_refused() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let judged = |operation, levels| {
        let mut set = set();
        set["spec"]["template"]["spec"]["ofTomorrow"] = nested(levels);
        let object: Object = Deserialize::deserialize(set).unwrap();
        let mut request = Request {
            operation,
            kind: Kind {
                group: names::GROUP.to_owned(),
                version: "v1beta1".to_owned(),
                kind: "CloneSet".to_owned(),
            },
            object: Some(object.clone()),
            old_object: Some(object).filter(|_| operation == Operation::Update),
            ..Request::default()
        };
        judge(&mut request, Rules::default(), &Sets::default(), Look::Last).unwrap()
    };
    // The spec, the template and its spec are three more.
    assert!(matches!(
        judged(Operation::Create, 97),
        Verdict::Allowed { .. }
    ));
    assert_eq!(paths(judged(Operation::Create, 98)), ["spec"]);
    // One that is there already can be labelled, and taken apart.
    assert!(matches!(
        judged(Operation::Update, 110),
        Verdict::Allowed { .. }
    ));
}
