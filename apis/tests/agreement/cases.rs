//! What is refused at which field, as a table; and what the CRD offers besides the spec.

use apis::CloneSet;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::refused;

pub(crate) fn spec() -> Value {
    json!({
        "replicas": 5,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "web:1"}]}
        },
        "updateStrategy": {"rollingUpdate": {}},
        "scaleStrategy": {}
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut spec = spec();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    spec.pointer_mut(parent).unwrap()[key] = value;
    spec
}

fn paths(spec: &Value) -> Vec<String> {
    refused(spec).into_iter().map(|(path, _)| path).collect()
}

/// OpenKruise also asks whether a Pod in `podsToDelete` exists: we ignore names that are gone. It
/// refuses `maxUnavailable` 0 beside `maxSurge` 0: so may a spec say that nothing is updated.
#[test]
fn what_makes_no_sense_is_refused_at_its_field() {
    for (pointer, value, path) in [
        ("/selector", json!({}), "spec.selector"),
        (
            "/selector/matchLabels",
            json!({"app": "api"}),
            "spec.template.metadata.labels",
        ),
        (
            "/template/spec/restartPolicy",
            json!("Never"),
            "spec.template.spec.restartPolicy",
        ),
        (
            "/template/spec/activeDeadlineSeconds",
            json!(1),
            "spec.template.spec.activeDeadlineSeconds",
        ),
        (
            "/updateStrategy/rollingUpdate/partition",
            json!("half"),
            "spec.updateStrategy.rollingUpdate.partition",
        ),
        (
            "/scaleStrategy/podsToDelete",
            json!(["a", "a"]),
            "spec.scaleStrategy.podsToDelete[1]",
        ),
        (
            "/progressDeadlineSeconds",
            json!(0),
            "spec.progressDeadlineSeconds",
        ),
    ] {
        let found = paths(&with(pointer, value));
        assert!(found.iter().any(|p| p == path), "{path}: {found:?}");
    }
    assert_eq!(paths(&spec()), Vec::<String>::new());
}

/// An API server refuses a null where there is an `enum`, whatever `nullable` says; without
/// `nullable` it drops the null, so that it is as good as nothing, as for every other field.
#[test]
fn no_field_with_an_enum_says_that_it_may_be_null() {
    fn look(schema: &Value, path: &str) {
        let has_both = schema.get("enum").is_some() && schema["nullable"] == true;
        assert!(!has_both, "{path}");
        for (key, inner) in schema.as_object().into_iter().flatten() {
            look(inner, &format!("{path}.{key}"));
        }
    }
    look(&serde_json::to_value(CloneSet::crd()).unwrap(), "v1beta1");
    let old = apis::v1alpha1::CloneSet::crd();
    look(&serde_json::to_value(old).unwrap(), "v1alpha1");
    let none = with("/updateStrategy/rollingUpdate/podUpdatePolicy", json!(null));
    assert_eq!(paths(&none), Vec::<String>::new());
    let schema = crate::spec_schema();
    let none = crate::schema::without_nulls(&schema, none);
    assert_eq!(none["updateStrategy"]["rollingUpdate"], json!({}));
    let nullable = json!({"type": "string", "enum": ["a"], "nullable": true});
    assert!(crate::schema::verdict(&nullable, &json!(null)).is_err());
}

#[test]
fn a_parallelism_is_a_number_or_a_number_as_text() {
    let path =
        "spec.updateStrategy.rollingUpdate.inPlaceUpdateStrategy.imagePreDownloadParallelism";
    let invalid = |value: Value| {
        let strategy = json!({"imagePreDownloadParallelism": value});
        let spec = with(
            "/updateStrategy/rollingUpdate/inPlaceUpdateStrategy",
            strategy,
        );
        refused(&spec)
            .iter()
            .any(|(p, kind)| p == path && *kind == apis::validation::FieldErrorKind::Invalid)
    };
    for good in [json!(0), json!(5), json!("5")] {
        assert!(!invalid(good.clone()), "{good}");
    }
    for bad in [
        json!(-1),
        json!("50%"),
        json!("-1"),
        json!("+1"),
        json!("abc"),
        json!(""),
    ] {
        assert!(invalid(bad.clone()), "{bad}");
    }
}

#[test]
fn the_scale_subresource_and_the_columns_are_those_that_tools_know() {
    let crd = serde_json::to_value(CloneSet::crd()).unwrap();
    let version = &crd["spec"]["versions"][0];
    assert_eq!(
        version["subresources"]["scale"],
        json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.labelSelector"})
    );
    let columns: Vec<_> = version["additionalPrinterColumns"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["name"] != "Reason")
        .map(|c| {
            (
                c["name"].as_str().unwrap().to_uppercase(),
                c["jsonPath"].as_str().unwrap(),
            )
        })
        .collect();
    let known = [
        ("DESIRED", ".spec.replicas"),
        ("UPDATED", ".status.updatedReplicas"),
        ("UPDATED_READY", ".status.updatedReadyReplicas"),
        ("UPDATED_AVAILABLE", ".status.updatedAvailableReplicas"),
        ("READY", ".status.readyReplicas"),
        ("TOTAL", ".status.replicas"),
        ("AGE", ".metadata.creationTimestamp"),
        ("CONTAINERS", ".spec.template.spec.containers[*].name"),
        ("IMAGES", ".spec.template.spec.containers[*].image"),
        ("SELECTOR", ".status.labelSelector"),
    ];
    assert_eq!(columns, known.map(|(name, path)| (name.to_owned(), path)));
}
