use serde_json::{Value, json};

use super::*;
use crate::validation::Valid;

fn spec() -> Value {
    json!({
        "replicas": 5,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "web:1"}]}
        }
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut spec = spec();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let mut at = &mut spec;
    for step in parent.split('/').filter(|s| !s.is_empty()) {
        at = match step.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        };
    }
    at[key] = value;
    spec
}

fn check(spec: Value) -> Result<Valid<CloneSet>, Vec<FieldError>> {
    let set = CloneSet::new("web", serde_json::from_value(spec).unwrap());
    Valid::new(set).map_err(|(_, errors)| errors)
}

fn refused(spec: Value, path: &str) -> FieldError {
    let errors = check(spec).unwrap_err();
    assert_eq!(
        errors.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(),
        [path],
        "{errors:?}"
    );
    errors[0].clone()
}

#[test]
fn defaults_are_those_of_the_api() {
    let set = check(spec()).unwrap();
    assert_eq!(set.partition, IntOrPercent::Int(0));
    assert_eq!(set.max_unavailable, IntOrPercent::Percent(20));
    assert_eq!(set.policy, PodUpdatePolicy::ReCreate);
    assert_eq!(
        (set.replicas, set.revision_history_limit, set.paused),
        (5, 10, false)
    );
}

#[test]
fn a_bad_partition_names_the_field_and_is_not_a_zero() {
    let error = refused(
        with("/updateStrategy/rollingUpdate/partition", json!("12.5%")),
        "spec.updateStrategy.rollingUpdate.partition",
    );
    assert!(error.message.contains("12.5%"), "{error}");
}

#[test]
fn a_selector_that_misses_its_own_template_is_refused() {
    refused(
        with("/selector/matchLabels", json!({"app": "api"})),
        "spec.template.metadata.labels",
    );
}

#[test]
fn an_empty_selector_is_refused() {
    refused(with("/selector", json!({})), "spec.selector");
}

#[test]
fn pods_must_be_kept_running() {
    refused(
        with("/template/spec/restartPolicy", json!("Never")),
        "spec.template.spec.restartPolicy",
    );
    refused(
        with("/template/spec/activeDeadlineSeconds", json!(5)),
        "spec.template.spec.activeDeadlineSeconds",
    );
}

#[test]
fn containers_need_names_and_images_and_names_are_unique() {
    refused(
        with("/template/spec/containers", json!([])),
        "spec.template.spec.containers",
    );
    refused(
        with("/template/spec/containers", json!([{"name": "a"}])),
        "spec.template.spec.containers[0].image",
    );
    refused(
        with(
            "/template/spec/initContainers",
            json!([{"name": "main", "image": "x"}]),
        ),
        "spec.template.spec.initContainers[0].name",
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut spec = with("/updateStrategy/rollingUpdate/maxUnavailable", json!(-1));
    spec["replicas"] = json!(-3);
    spec["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    assert_eq!(check(spec).unwrap_err().len(), 3);
}

#[test]
fn a_pod_listed_twice_for_deletion_is_refused() {
    refused(
        with("/scaleStrategy/podsToDelete", json!(["a", "b", "a"])),
        "spec.scaleStrategy.podsToDelete[2]",
    );
}

#[test]
fn hooks_that_no_pod_can_carry_are_refused() {
    let lifecycle = |hook| with("/lifecycle", hook);
    refused(
        lifecycle(json!({"preNormal": {"finalizersHandler": ["ex.io/a", ""]}})),
        "spec.lifecycle.preNormal.finalizersHandler[1]",
    );
    refused(
        lifecycle(json!({"inPlaceUpdate": {"labelsHandler": {"": "yes"}}})),
        "spec.lifecycle.inPlaceUpdate.labelsHandler",
    );
    let fine = [
        json!({"preDelete": {"labelsHandler": {"hold": "yes"}, "markPodNotReady": true}}),
        json!({"preDelete": {"labelsHandler": {"hold": ""}}}),
        json!({"preDelete": {}}),
    ];
    for hook in fine {
        check(lifecycle(hook)).unwrap();
    }
}

#[test]
fn a_rollback_needs_a_deadline() {
    let path = "/updateStrategy/rollingUpdate/rollbackOnDeadline";
    let error = refused(
        with(path, json!(true)),
        "spec.updateStrategy.rollingUpdate.rollbackOnDeadline",
    );
    assert!(error.message.contains("spec.progressDeadlineSeconds"));
    let mut spec = with(path, json!(true));
    spec["progressDeadlineSeconds"] = json!(i32::MAX);
    refused(
        spec.clone(),
        "spec.updateStrategy.rollingUpdate.rollbackOnDeadline",
    );
    spec["progressDeadlineSeconds"] = json!(60);
    assert!(check(spec).unwrap().rollback_on_deadline);
}
