//! SidecarSet: schema and checks agree, and so do its versions.

use apis::conversion::{Version, convert};
use apis::validation::FieldErrorKind;
use apis::{SidecarSet, Valid};
use kube::CustomResourceExt;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::random::Random;
use crate::schema;
use crate::versions::{come_back, other, pruned, without_forms};

/// What only the manager can refuse: a part of the field's path.
const BEYOND_SCHEMA: [(&str, &str); 7] = [
    ("spec.containers", "containers are kept as raw JSON"),
    ("spec.initContainers", "containers are kept as raw JSON"),
    ("spec.volumes", "volumes are kept as raw JSON"),
    ("elector", "whether a selector is empty or parses"),
    (".scatterStrategy[", "pairs that are listed twice"),
    ("spec.patchPodMetadata[", "keys, and values that are JSON"),
    ("metadata.name", "names that need no quotes"),
];

fn spec_schema(version: Version) -> Value {
    let crd = match version {
        Version::V1Alpha1 => apis::v1alpha1::sidecar_set::SidecarSet::crd(),
        Version::V1Beta1 => SidecarSet::crd(),
    };
    let crd = serde_json::to_value(crd).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

fn refused(spec: &Value) -> Vec<(String, FieldErrorKind)> {
    let set = SidecarSet::deserialize(json!({"metadata": {"name": "log"}, "spec": spec}));
    let Ok(set) = set else {
        return vec![(String::new(), FieldErrorKind::Invalid)];
    };
    let errors = Valid::new(set).err().map(|(_, errors)| errors);
    let errors = errors.unwrap_or_default().into_iter();
    errors.map(|e| (e.path, e.kind)).collect()
}

#[test]
fn schema_and_checks_agree_on_random_sidecar_sets() {
    let schema = spec_schema(Version::V1Beta1);
    let (mut accepted, mut kept_out) = (0, 0);
    for seed in 0..1500 {
        let spec = Random::new(seed).sidecar_spec(&schema);
        let refused = refused(&spec);
        match schema::verdict(&schema, &spec) {
            Err(why) => {
                kept_out += 1;
                // As for CloneSets: serde takes a list for an object.
                let is_list = why.contains("type \"object\": [");
                assert!(
                    !refused.is_empty() || is_list,
                    "seed {seed}: the schema refuses ({why}), the checks do not: {spec}"
                );
            }
            Ok(()) => {
                let only_ours: Vec<_> = refused
                    .iter()
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
fn every_rule_of_the_schema_is_one_of_the_checks() {
    let schema = spec_schema(Version::V1Beta1);
    let spec = |fields: Value| {
        let mut spec = json!({"selector": {"matchLabels": {"app": "web"}},
            "containers": [{"name": "log", "image": "log:1"}]});
        let fields = fields.as_object().unwrap().clone();
        spec.as_object_mut().unwrap().extend(fields);
        spec
    };
    let selector = json!({"matchLabels": {"a": "b"}});
    let twice = json!([{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]);
    let many: Vec<_> = (0..65)
        .map(|i| json!({"name": format!("c{i}"), "image": "x"}))
        .collect();
    for bad in [
        spec(json!({"containers": []})),
        spec(json!({"containers": twice})),
        spec(json!({"containers": many})),
        spec(json!({"containers": [{"name": "a".repeat(64), "image": "x"}]})),
        spec(json!({"updateStrategy": {"selector": selector, "partition": "50%"}})),
        spec(json!({"updateStrategy": {"maxUnavailable": "101%"}})),
        spec(json!({"updateStrategy": {"type": "Sometimes"}})),
        spec(json!({"injectionStrategy": {"revision": {"policy": "Always"}}})),
        spec(json!({"revisionHistoryLimit": -1})),
        spec(json!({"imagePullSecrets": [{"name": ""}]})),
    ] {
        assert!(schema::verdict(&schema, &bad).is_err(), "schema: {bad}");
        assert!(!refused(&bad).is_empty(), "checks: {bad}");
    }
    let unknown = spec(json!({"containers": [{"name": "a", "image": "x", "newer": {"a": 1}}]}));
    assert!(schema::verdict(&schema, &unknown).is_ok());
    assert!(refused(&unknown).is_empty());
}

fn object(version: Version, spec: &Value) -> Value {
    json!({"apiVersion": format!("apps.kruise.io/{}", version.as_str()), "kind": "SidecarSet",
        "metadata": {"name": "log"}, "spec": spec})
}

fn random(version: Version, schema: &Value, seed: u64) -> Value {
    let mut random = Random::new(seed);
    let mut object = object(version, &random.sidecar_spec(schema));
    if let Some(value) = random.text() {
        object["metadata"]["labels"]["apps.kruise.io/sidecarset-custom-version"] = value;
    }
    if let Some(name) = random.text().filter(|_| object["spec"].is_object()) {
        let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
        object["spec"]["namespaceSelector"] = selector;
    }
    object
}

#[test]
fn what_goes_through_the_other_version_comes_back_as_it_was() {
    come_back(500, spec_schema, random);
}

/// Clients of both versions take turns at fields that both have.
#[test]
fn clients_that_take_turns_lose_nothing() {
    let schemas = [Version::V1Alpha1, Version::V1Beta1].map(|v| (v, spec_schema(v)));
    let schema_of = |version| &schemas.iter().find(|(v, _)| *v == version).unwrap().1;
    for seed in 0..500 {
        let mut version = Version::V1Beta1;
        let mut object = random(version, schema_of(version), seed);
        if !object["spec"].is_object() {
            continue;
        }
        for turn in 0..4 {
            object["spec"]["revisionHistoryLimit"] = turn.into();
            let there = other(version);
            let seen = pruned(convert(object.clone(), there).unwrap(), schema_of(there));
            let again = convert(seen.clone(), version).unwrap();
            assert_eq!(
                without_forms(again),
                without_forms(object),
                "seed {seed}, turn {turn}"
            );
            (object, version) = (seen, there);
        }
    }
}

#[test]
fn one_namespace_and_a_version_are_said_in_each_versions_own_way() {
    let old = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet",
        "metadata": {"name": "log", "labels":
            {"apps.kruise.io/sidecarset-custom-version": "v1", "team": "a"}},
        "spec": {"namespace": "shop", "selector": {}}});
    let new = convert(old.clone(), Version::V1Beta1).unwrap();
    assert_eq!(
        new,
        json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
            "metadata": {"name": "log", "labels": {"team": "a"}},
            "spec": {"customVersion": "v1", "selector": {}, "namespaceSelector":
                {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}})
    );
    assert_eq!(convert(new, Version::V1Alpha1).unwrap(), old);

    let mut both = old;
    both["spec"]["namespaceSelector"] = json!({"matchLabels": {"a": "b"}});
    let new = convert(both.clone(), Version::V1Beta1).unwrap();
    let labels = &new["spec"]["namespaceSelector"]["matchLabels"];
    assert_eq!(*labels, json!({"kubernetes.io/metadata.name": "shop"}));
    assert_eq!(convert(new, Version::V1Alpha1).unwrap(), both);
}

#[test]
fn the_columns_are_those_that_tools_know_and_a_reason() {
    let crd = serde_json::to_value(apis::crd::sidecar_set().unwrap()).unwrap();
    assert_eq!(crd["spec"]["scope"], "Cluster");
    for version in crd["spec"]["versions"].as_array().unwrap() {
        let columns = version["additionalPrinterColumns"].as_array().unwrap();
        let columns: Vec<_> = columns
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        assert_eq!(columns, ["Matched", "Updated", "Ready", "Reason", "Age"]);
        assert_eq!(version["storage"], version["name"] == "v1beta1");
    }
}
