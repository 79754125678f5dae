//! The CRD's schema and the checks in Rust say the same: what the API server lets in makes sense
//! to the manager, and what it keeps out would have been refused. Random specs, nonsense included.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use apis::conversion::{Version, convert};
use apis::validation::FieldErrorKind;
use apis::{CloneSet, Valid};
use kube::CustomResourceExt;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::random::Random;

mod cases;
mod random;
mod schema;
mod sidecar_sets;
mod versions;

/// What only the manager can refuse, and why the schema cannot: a part of the field's path.
const BEYOND_SCHEMA: [(&str, &str); 6] = [
    ("spec.lifecycle.", "the forms of labels and finalizers"),
    ("spec.template.", "the template is kept as raw JSON"),
    ("spec.volumeClaimTemplates", "claims are kept as raw JSON"),
    ("spec.selector", "whether a selector is empty or parses"),
    (".matchSelector", "whether a selector is empty or parses"),
    (".scatterStrategy[", "pairs that are listed twice"),
];

pub(crate) fn spec_schema() -> Value {
    let crd = serde_json::to_value(CloneSet::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// What the webhook is asked about when a client of `v1alpha1` sends this.
fn converted(spec: &Value) -> Value {
    let set = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
        "metadata": {"name": "web"}, "spec": spec});
    convert(set, Version::V1Beta1).unwrap()["spec"].take()
}

/// The verdict of the manager, as paths; what does not even parse has the path "".
pub(crate) fn refused(spec: &Value) -> Vec<(String, FieldErrorKind)> {
    let set = CloneSet::deserialize(json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
        "metadata": {"name": "web"}, "spec": spec}));
    let Ok(set) = set else {
        return vec![(String::new(), FieldErrorKind::Invalid)];
    };
    let errors = Valid::new(set).err().map(|(_, errors)| errors);
    let errors = errors.unwrap_or_default().into_iter();
    errors.map(|e| (e.path, e.kind)).collect()
}

#[test]
fn schema_and_checks_agree_on_random_specs() {
    // serde takes a list for an object with these fields in a row; it is the schema that never
    // lets one in.
    agree(&spec_schema(), Value::clone, &["type \"object\": ["]);
}

/// The schema of `v1alpha1` and the same checks: clients of both versions hear the same.
#[test]
fn schema_and_checks_agree_on_random_specs_of_the_old_version() {
    // What cannot be converted travels as it is, and not in the spec.
    let schema = versions::schema(Version::V1Alpha1);
    let shapes = ["type \"object\": ", "disablePVCReuse: type \"boolean\": "];
    agree(&schema, converted, &shapes);
}

/// Asks a version's schema about random specs, and the checks about what they become when they
/// are `stored`. What the schema says of `only_schema` the checks need not see.
fn agree(schema: &Value, stored: impl Fn(&Value) -> Value, only_schema: &[&str]) {
    let (mut accepted, mut kept_out) = (0, 0);
    for seed in 0..6000 {
        let spec = schema::without_nulls(schema, Random::new(seed).spec(schema));
        let by_schema = schema::verdict(schema, &spec);
        let refused = refused(&stored(&spec));
        match &by_schema {
            Err(why) => {
                kept_out += 1;
                assert!(
                    !refused.is_empty() || only_schema.iter().any(|part| why.contains(part)),
                    "seed {seed}: the schema refuses ({why}), the checks do not: {spec}"
                );
            }
            Ok(()) => {
                let only_ours: Vec<_> = refused
                    .iter()
                    .filter(|(_, kind)| *kind == FieldErrorKind::Invalid)
                    .filter(|(path, _)| !BEYOND_SCHEMA.iter().any(|(part, _)| path.contains(part)))
                    .collect();
                assert!(only_ours.is_empty(), "seed {seed}: {only_ours:?}: {spec}");
                accepted += usize::from(refused.is_empty());
            }
        }
    }
    assert!(accepted > 100 && kept_out > 100, "{accepted}, {kept_out}");
}

#[test]
fn every_limit_of_the_schema_is_a_limit_of_the_checks() {
    let schema = spec_schema();
    let rolling = |key: &str, value: Value| {
        let mut spec = cases::spec();
        spec["updateStrategy"]["rollingUpdate"][key] = value;
        spec
    };
    let scale = |key: &str, value: Value| {
        let mut spec = cases::spec();
        spec["scaleStrategy"][key] = value;
        spec
    };
    let terms: Vec<_> = (0..65)
        .map(|i| json!({"orderedKey": format!("k{i}")}))
        .collect();
    let weight = json!([{"weight": 101, "matchSelector": {"matchLabels": {"a": "b"}}}]);
    let both = json!({"orderPriority": [{"orderedKey": "a"}], "weightPriority":
        [{"weight": 1, "matchSelector": {"matchLabels": {"a": "b"}}}]});
    for spec in [
        rolling("partition", json!("12.5%")),
        rolling("partition", json!(-1)),
        rolling("maxUnavailable", json!("101%")),
        rolling("maxSurge", json!("5")),
        rolling("priorityStrategy", json!({"orderPriority": terms})),
        rolling("priorityStrategy", json!({"weightPriority": weight})),
        rolling("priorityStrategy", both),
        rolling("scatterStrategy", json!([{"key": "", "value": "x"}])),
        scale("maxUnavailable", json!("x%")),
        scale("podsToDelete", json!(["a", "a"])),
    ] {
        assert!(schema::verdict(&schema, &spec).is_err(), "schema: {spec}");
        assert!(!refused(&spec).is_empty(), "checks: {spec}");
    }
}
