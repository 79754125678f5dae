//! `v1alpha1` and `v1beta1` say the same of one object, and what one cannot say is not lost in the
//! other.

use apis::conversion::{FORM_V1ALPHA1, FORM_V1BETA1, Version, convert};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::random::Random;

const SEEDS: u64 = 6000;

pub(crate) fn schema(version: Version) -> Value {
    let crd = match version {
        Version::V1Alpha1 => apis::v1alpha1::CloneSet::crd(),
        Version::V1Beta1 => apis::CloneSet::crd(),
    };
    let crd = serde_json::to_value(crd).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

pub(crate) fn other(version: Version) -> Version {
    match version {
        Version::V1Alpha1 => Version::V1Beta1,
        Version::V1Beta1 => Version::V1Alpha1,
    }
}

fn object(version: Version, spec: &Value) -> Value {
    json!({"apiVersion": format!("apps.kruise.io/{}", version.as_str()), "kind": "CloneSet",
        "metadata": {"name": "web"}, "spec": spec})
}

/// A spec along the schema, nonsense included, with what `v1alpha1` says in keys.
fn random(version: Version, schema: &Value, seed: u64) -> Value {
    let mut random = Random::new(seed);
    let mut object = object(version, &random.spec(schema));
    for key in [
        "image-predownload-parallelism",
        "image-predownload-timeout-seconds",
        "image-predownload-min-updated-ready-pods",
    ] {
        if let Some(value) = random.text() {
            object["metadata"]["annotations"][format!("apps.kruise.io/{key}")] = value;
        }
    }
    if let Some(value) = random.text() {
        let key = "apps.kruise.io/cloneset-scaling-exclude-preparing-delete";
        object["metadata"]["labels"][key] = value;
    }
    object
}

/// What the API server does with a converted object: fields of the spec that the version does not
/// know are dropped.
pub(crate) fn pruned(mut object: Value, schema: &Value) -> Value {
    prune(&mut object["spec"], schema);
    object
}

fn prune(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(known) = schema["properties"].as_object() {
                fields.retain(|name, _| known.contains_key(name));
                for (name, field) in fields {
                    prune(field, &known[name]);
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| prune(item, &schema["items"])),
        _ => {}
    }
}

#[test]
fn what_goes_through_the_other_version_comes_back_as_it_was() {
    come_back(SEEDS, schema, random);
}

/// Random objects of a kind by its `schema`, there and back, from either version.
pub(crate) fn come_back(
    seeds: u64,
    schema: impl Fn(Version) -> Value,
    random: impl Fn(Version, &Value, u64) -> Value,
) {
    for version in [Version::V1Alpha1, Version::V1Beta1] {
        let (own, others) = (schema(version), schema(other(version)));
        for seed in 0..seeds {
            let before = random(version, &own, seed);
            let there = convert(before.clone(), other(version)).unwrap();
            let there = pruned(there, &others);
            let again = convert(there.clone(), version).unwrap();
            assert_eq!(again, before, "{version:?}, seed {seed}, by way of {there}");
        }
    }
}

/// Clients of both versions take turns: each changes one field, and finds everything else that was
/// ever said in its version as it was.
#[test]
fn clients_that_take_turns_lose_nothing_of_one_anothers() {
    let schemas = [Version::V1Alpha1, Version::V1Beta1].map(|v| (v, schema(v)));
    for seed in 0..SEEDS {
        let (mut version, own) = (schemas[1].0, &schemas[1].1);
        let mut object = random(version, own, seed);
        let is_object = |v: &Value| v.is_object();
        if !is_object(&object["spec"]) {
            continue;
        }
        for turn in 0..6 {
            let mut expected = object.clone();
            let policy = ["ReCreate", "InPlaceOnly"][turn % 2];
            let strategy = fields(&mut expected["spec"]["updateStrategy"]);
            let rolling = match (strategy, version) {
                (Some(strategy), Version::V1Beta1) => {
                    fields(strategy.entry("rollingUpdate").or_insert(Value::Null))
                }
                (strategy, _) => strategy,
            };
            let Some(rolling) = rolling else { break };
            rolling.insert("partition".into(), turn.into());
            rolling.insert("paused".into(), (turn % 2 == 0).into());
            if version == Version::V1Beta1 {
                rolling.insert("podUpdatePolicy".into(), policy.into());
            }
            // Through the other version and back without a change.
            let (there, back) = (other(version), version);
            let seen = pruned(
                convert(expected.clone(), there).unwrap(),
                schema_of(&schemas, there),
            );
            let again = convert(seen.clone(), back).unwrap();
            let same = without_forms(again) == without_forms(expected.clone());
            assert!(
                same,
                "seed {seed}, turn {turn}: {expected} by way of {seen}"
            );
            object = seen;
            version = there;
        }
    }
}

pub(crate) fn without_forms(mut object: Value) -> Value {
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        annotations.remove(FORM_V1ALPHA1);
        annotations.remove(FORM_V1BETA1);
        if annotations.is_empty() {
            object["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("annotations");
        }
    }
    object
}

fn schema_of(schemas: &[(Version, Value); 2], version: Version) -> &Value {
    let found = schemas.iter().find(|(v, _)| *v == version);
    &found.unwrap().1
}

/// The fields of an object, which is made where there is none. None where something else stands.
fn fields(value: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

fn beta(spec: &Value) -> Value {
    let mut all = crate::cases::spec();
    all.as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    object(Version::V1Beta1, &all)
}

#[test]
fn a_client_of_v1alpha1_keeps_what_it_cannot_say() {
    let before = beta(&json!({
        "scaleStrategy": {"excludePreparingDelete": true, "enablePVCReuse": true},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {
            "podUpdatePolicy": "InPlaceIfPossible", "partition": 3, "rollbackOnDeadline": true,
            "inPlaceUpdateStrategy": {"gracePeriodSeconds": 5, "resizeDeadlineSeconds": 60,
                "imagePreDownloadParallelism": 2}}}}));
    let mut old = convert(before.clone(), Version::V1Alpha1).unwrap();
    assert_eq!(old["apiVersion"], "apps.kruise.io/v1alpha1");
    assert_eq!(
        old["spec"]["updateStrategy"],
        json!({"type": "InPlaceIfPossible", "partition": 3,
            "inPlaceUpdateStrategy": {"gracePeriodSeconds": 5}})
    );
    assert!(
        old["spec"].get("scaleStrategy").is_none(),
        "reuse is its default"
    );
    let (labels, annotations) = (&old["metadata"]["labels"], &old["metadata"]["annotations"]);
    assert_eq!(
        labels["apps.kruise.io/cloneset-scaling-exclude-preparing-delete"],
        "true"
    );
    assert_eq!(
        annotations["apps.kruise.io/image-predownload-parallelism"],
        "2"
    );

    old["spec"]["updateStrategy"]["partition"] = 1.into();
    let after = convert(old, Version::V1Beta1).unwrap();
    let mut expected = before;
    expected["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 1.into();
    assert_eq!(after, expected);
}

#[test]
fn each_version_has_its_own_default_for_claims() {
    let mut plain = beta(&json!({}));
    let old = convert(plain.clone(), Version::V1Alpha1).unwrap();
    assert_eq!(
        old["spec"]["scaleStrategy"],
        json!({"disablePVCReuse": true})
    );
    plain["apiVersion"] = "apps.kruise.io/v1alpha1".into();
    let new = convert(plain, Version::V1Beta1).unwrap();
    assert_eq!(
        new["spec"]["scaleStrategy"],
        json!({"enablePVCReuse": true})
    );
}

#[test]
fn on_delete_keeps_its_rolling_parameters() {
    let rolling = json!({"podUpdatePolicy": "InPlaceOnly", "maxUnavailable": 2});
    let before = beta(&json!({"updateStrategy": {"type": "OnDelete", "rollingUpdate": rolling}}));
    let old = convert(before.clone(), Version::V1Alpha1).unwrap();
    let strategy = &old["spec"]["updateStrategy"];
    assert_eq!(*strategy, json!({"type": "OnDelete", "maxUnavailable": 2}));
    assert_eq!(convert(old, Version::V1Beta1).unwrap(), before);
}

/// Common objects carry no annotation: it is for what cannot be said otherwise.
#[test]
fn what_both_versions_can_say_needs_no_annotation() {
    let in_place = json!({"type": "InPlaceIfPossible", "partition": "20%", "maxSurge": 1});
    let mut old = beta(&json!({"updateStrategy": in_place,
        "scaleStrategy": {"podsToDelete": ["web-a"], "disablePVCReuse": true}}));
    old["apiVersion"] = "apps.kruise.io/v1alpha1".into();
    let new = convert(old.clone(), Version::V1Beta1).unwrap();
    assert!(new["metadata"].get("annotations").is_none(), "{new}");
    assert_eq!(convert(new, Version::V1Alpha1).unwrap(), old);
}

#[test]
fn a_spoilt_annotation_is_as_good_as_none() {
    let plain = without_forms(convert(beta(&json!({})), Version::V1Alpha1).unwrap());
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{\"was\": 1}",
        "{\"was\": 1, \"is\": 2}",
    ] {
        let mut old = plain.clone();
        old["metadata"]["annotations"] = json!({FORM_V1BETA1: text, FORM_V1ALPHA1: text});
        let new = convert(old, Version::V1Beta1).unwrap();
        let clean = convert(plain.clone(), Version::V1Beta1).unwrap();
        assert_eq!(new, clean, "{text}");
    }
}

#[test]
fn what_is_not_ours_is_refused_by_name() {
    let message = |object: Value| convert(object, Version::V1Beta1).unwrap_err().to_string();
    let text = message(json!({"apiVersion": "apps.kruise.io/v1", "kind": "CloneSet"}));
    assert!(
        text.contains("\"apps.kruise.io/v1\"") && text.contains("v1beta1"),
        "{text}"
    );
    let text = message(json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "DaemonSet"}));
    assert!(text.contains("\"DaemonSet\""), "{text}");
    assert!(message(json!(null)).contains("\"\""));
}
