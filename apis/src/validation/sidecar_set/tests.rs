use serde_json::{Value, json};

use super::*;
use crate::names::{CANARY_ANNOTATION, CANARY_BASE_ANNOTATION};
use crate::validation::Valid;

fn spec() -> Value {
    json!({
        "selector": {"matchLabels": {"app": "web"}},
        "containers": [{"name": "log", "image": "log:1"}]
    })
}

fn with(changes: Value) -> Value {
    let mut spec = spec();
    let changes = changes.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(changes);
    spec
}

fn container(fields: Value) -> Value {
    let mut container = json!({"name": "log", "image": "log:1"});
    let fields = fields.as_object().unwrap().clone();
    container.as_object_mut().unwrap().extend(fields);
    with(json!({"containers": [container]}))
}

fn check(spec: Value) -> Result<Valid<SidecarSet>, Vec<FieldError>> {
    named("log", spec)
}

fn named(name: &str, spec: Value) -> Result<Valid<SidecarSet>, Vec<FieldError>> {
    let set = SidecarSet::new(name, serde_json::from_value(spec).unwrap());
    Valid::new(set).map_err(|(_, errors)| errors)
}

#[test]
fn defaults_are_those_of_the_api() {
    let mut spec = with(json!({"initContainers": [{"name": "init", "image": "i"}]}));
    spec["injectionStrategy"] = json!({"revision": {"revisionName": "log-1"}});
    spec["patchPodMetadata"] = json!([{"annotations": {"a": "1"}}]);
    let set = check(spec).unwrap();
    assert_eq!(set.init_containers[0].place, Place::After);
    assert_eq!(set.containers[0].place, Place::Before);
    assert_eq!(set.containers[0].hot, None);
    assert_eq!(set.containers[0].share_mounts, Share::Disabled);
    assert_eq!(set.update.type_, SidecarUpdateType::RollingUpdate);
    assert_eq!(set.update.max_unavailable, IntOrPercent::Int(1));
    assert_eq!(set.update.partition, IntOrPercent::Int(0));
    assert_eq!(set.revision_history_limit, 10);
    assert_eq!(set.pod_metadata[0].policy, PatchPolicy::Retain);
    assert_eq!(set.pinned.as_ref().unwrap().policy, InjectPolicy::Always);
    assert_eq!((set.hash.len(), set.hash_without_image.len()), (64, 64));
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn what_makes_no_sense_is_refused_at_its_field() {
    let device = json!([{"name": "v", "devicePath": "/x"}]);
    let policy = |expr: Value| json!({"targetContainersMode": "sum", "resourcesExpr": expr});
    let from = |path: &str| {
        json!({"transferEnv": [{"envName": "A", "sourceContainerNameFrom":
            {"fieldRef": {"fieldPath": path}}}]})
    };
    for (spec, path) in [
        (with(json!({"selector": {}})), "spec.selector"),
        (
            with(json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}})),
            "spec.selector.matchExpressions[0].operator",
        ),
        (
            with(json!({"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}})),
            "spec.selector.matchExpressions[0].values",
        ),
        (
            with(json!({"selector": {"matchExpressions":
                [{"key": "a", "operator": "Exists", "values": ["b"]}]}})),
            "spec.selector.matchExpressions[0].values",
        ),
        (
            with(json!({"selector": {"matchLabels": {"a": "no label"}}})),
            "spec.selector.matchLabels",
        ),
        (
            with(json!({"namespaceSelector": {"matchLabels": {"a/b/c": "d"}}})),
            "spec.namespaceSelector.matchLabels",
        ),
        (
            with(json!({"namespaceSelector": {}})),
            "spec.namespaceSelector",
        ),
        (with(json!({"containers": []})), "spec.containers"),
        (container(json!({"image": " "})), "spec.containers[0].image"),
        (container(json!({"name": "Log"})), "spec.containers[0].name"),
        (
            with(json!({"initContainers": [{"name": "log", "image": "i"}]})),
            "spec.containers[0].name",
        ),
        (
            container(json!({"volumeMounts": [{"name": "v", "mountPath": "/x"}]})),
            "spec.containers[0].volumeMounts[0].name",
        ),
        (
            {
                let mut spec = container(json!({"volumeDevices": device,
                    "volumeMounts": [{"name": "v", "mountPath": "/x"}]}));
                spec["volumes"] = json!([{"name": "v"}]);
                spec
            },
            "spec.containers[0].volumeDevices[0].devicePath",
        ),
        (
            with(json!({"volumes": [{"emptyDir": {}}]})),
            "spec.volumes[0].name",
        ),
        (
            with(json!({"volumes": [{"name": "v"}, {"name": "v"}]})),
            "spec.volumes[1].name",
        ),
        (
            container(json!({"upgradeStrategy": {"upgradeType": "HotUpgrade"}})),
            "spec.containers[0].upgradeStrategy.hotUpgradeEmptyImage",
        ),
        (
            container(json!({"transferEnv": [{"envName": "A"}]})),
            "spec.containers[0].transferEnv[0].sourceContainerName",
        ),
        (
            container(json!({"transferEnv": [{"sourceContainerName": "app"}]})),
            "spec.containers[0].transferEnv[0].envName",
        ),
        (
            container(from("metadata.name")),
            "spec.containers[0].transferEnv[0].sourceContainerNameFrom.fieldRef.fieldPath",
        ),
        (
            container(from("metadata.labels['a b']")),
            "spec.containers[0].transferEnv[0].sourceContainerNameFrom.fieldRef.fieldPath",
        ),
        (
            container(json!({"resources": {"limits": {"cpu": "1"}},
                "resourcesPolicy": policy(json!({"limits": {"cpu": "cpu"}}))})),
            "spec.containers[0].resources",
        ),
        (
            container(json!({"resourcesPolicy": policy(json!({}))})),
            "spec.containers[0].resourcesPolicy.resourcesExpr",
        ),
        (
            container(json!({"resourcesPolicy": policy(json!({"limits": {"cpu": "cpu*"}}))})),
            "spec.containers[0].resourcesPolicy.resourcesExpr.limits.cpu",
        ),
        (
            container(json!({"resourcesPolicy": policy(json!({"requests": {"memory": "cpu"}}))})),
            "spec.containers[0].resourcesPolicy.resourcesExpr.requests.memory",
        ),
        (
            container(json!({"resourcesPolicy": {"targetContainersMode": "max",
                "targetContainersNameRegex": "(", "resourcesExpr": {"limits": {"cpu": "1"}}}})),
            "spec.containers[0].resourcesPolicy.targetContainersNameRegex",
        ),
        (
            with(json!({"initContainers": [{"name": "i", "image": "i",
                "resourcesPolicy": policy(json!({"limits": {"cpu": "cpu"}}))}]})),
            "spec.initContainers[0].resourcesPolicy",
        ),
        (
            with(json!({"updateStrategy": {"partition": "x%"}})),
            "spec.updateStrategy.partition",
        ),
        (
            with(json!({"updateStrategy": {"partition": 1,
                "selector": {"matchLabels": {"a": "b"}}}})),
            "spec.updateStrategy.partition",
        ),
        (
            with(json!({"updateStrategy": {"scatterStrategy":
                [{"key": "a", "value": "b"}, {"key": "a", "value": "b"}]}})),
            "spec.updateStrategy.scatterStrategy[1]",
        ),
        (
            with(json!({"injectionStrategy": {"revision": {"revisionName": ""}}})),
            "spec.injectionStrategy.revision",
        ),
        (
            with(json!({"imagePullSecrets": [{"name": ""}]})),
            "spec.imagePullSecrets[0].name",
        ),
        (
            with(json!({"patchPodMetadata": [{}]})),
            "spec.patchPodMetadata[0].annotations",
        ),
        (
            with(json!({"patchPodMetadata": [{"annotations": {"a": "1"}},
                {"annotations": {"a": "2"}, "patchPolicy": "Overwrite"}]})),
            "spec.patchPodMetadata[1].annotations",
        ),
        (
            with(json!({"patchPodMetadata": [{"annotations": {"a": "{"},
                "patchPolicy": "MergePatchJson"}]})),
            "spec.patchPodMetadata[0].annotations",
        ),
        (
            with(json!({"patchPodMetadata": [{"annotations":
                {"kruise.io/sidecarset-hash": "{}"}}]})),
            "spec.patchPodMetadata[0].annotations",
        ),
        (
            with(json!({"revisionHistoryLimit": -1})),
            "spec.revisionHistoryLimit",
        ),
    ] {
        let errors = check(spec.clone()).expect_err(path);
        let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, [path], "{errors:?} of {spec}");
    }
    assert!(named("a,b", spec()).is_err());
    check(spec()).unwrap();
}

#[test]
fn what_an_api_server_would_not_take_of_a_pod_is_refused_at_its_field() {
    let resources = |requests: Value| json!({"limits": {"cpu": 1}, "requests": requests});
    for (field, value, path) in [
        ("imagePullPolicy", json!("Sometimes"), "imagePullPolicy"),
        (
            "terminationMessagePolicy",
            json!("No"),
            "terminationMessagePolicy",
        ),
        (
            "ports",
            json!([{"containerPort": 99_999}]),
            "ports[0].containerPort",
        ),
        ("ports", json!([{"name": "a"}]), "ports[0].containerPort"),
        (
            "ports",
            json!([{"containerPort": 80, "protocol": "HTTP"}]),
            "ports[0].protocol",
        ),
        ("env", json!([{"value": "b"}]), "env[0].name"),
        (
            "resources",
            resources(json!({"cpu": "a lot"})),
            "resources.requests.cpu",
        ),
        (
            "resources",
            resources(json!({"cpu": "1100m"})),
            "resources.requests.cpu",
        ),
        (
            "resources",
            resources(json!({"memory": "-1Gi"})),
            "resources.requests.memory",
        ),
    ] {
        let errors = check(container(json!({field: value}))).unwrap_err();
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, [format!("spec.containers[0].{path}")], "{errors:?}");
    }
    let two = json!([{"name": "v", "emptyDir": {}, "hostPath": {"path": "/v"}}]);
    let errors = check(with(json!({"volumes": two}))).unwrap_err();
    assert_eq!(errors[0].path, "spec.volumes[0]");
    for fine in [
        json!({"imagePullPolicy": "Never", "terminationMessagePolicy": null}),
        json!({"ports": [{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 65_535}]}),
        json!({"ports": null, "env": null, "resources": {}}),
        json!({"resources": {"limits": {"cpu": 0.5, "memory": "1Gi"}, "requests": {"cpu": "500m"}}}),
        json!({"resources": {"requests": {"example.com/gpu": 1}}}),
    ] {
        assert!(check(container(fine.clone())).is_ok(), "{fine}");
    }
    let volumes = json!([{"name": "v", "emptyDir": {}, "hostPath": null}, {"name": "w"}]);
    assert!(check(with(json!({"volumes": volumes}))).is_ok());
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut spec = with(json!({"selector": {}, "revisionHistoryLimit": -1}));
    spec["containers"][0]["image"] = json!("");
    assert_eq!(check(spec).unwrap_err().len(), 3);
}

#[test]
fn a_canary_set_names_another_set_and_updates_nobody() {
    let canary = |base: &str, spec: Value| {
        let mut set = SidecarSet::new("log", serde_json::from_value(spec).unwrap());
        let annotations = [(CANARY_ANNOTATION, "true"), (CANARY_BASE_ANNOTATION, base)];
        let owned = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
        set.metadata.annotations = Some(owned.into());
        Valid::new(set).map_err(|(_, errors)| errors)
    };
    let quiet = with(json!({"updateStrategy": {"type": "NotUpdate"}}));
    let set = canary("base", quiet.clone()).unwrap();
    assert_eq!(set.canary_of.as_deref(), Some("base"));
    let base = named("base", spec()).unwrap();
    assert!(
        conflicts::check(&set, [&base]).is_empty(),
        "for it is its base"
    );
    assert_eq!(conflicts::check(&set, []).len(), 1, "no base");
    assert_eq!(canary("log", quiet).unwrap_err().len(), 1);
    let errors = canary("base", spec()).unwrap_err();
    assert_eq!(errors[0].path, "spec.updateStrategy.type");
}

#[test]
fn the_upgrade_type_and_the_containers_stay() {
    let set = |spec: Value| SidecarSet::new("log", serde_json::from_value(spec).unwrap());
    let hot = json!({"upgradeStrategy":
        {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty"}});
    let paths = |old: Value, new: Value| {
        let errors = changes::check(&set(old), &set(new));
        errors.into_iter().map(|e| e.path).collect::<Vec<_>>()
    };
    let cold = json!({"upgradeStrategy": {"upgradeType": "ColdUpgrade"}});
    assert_eq!(
        paths(container(cold), container(hot)),
        ["spec.containers[0].upgradeStrategy.upgradeType"]
    );
    assert_eq!(
        paths(spec(), container(json!({"name": "new"}))),
        ["spec.containers[0].name"]
    );
    let two = with(json!({"containers":
        [{"name": "log", "image": "x"}, {"name": "gone", "image": "x"}]}));
    assert!(paths(two, spec()).is_empty());
}

fn selector(value: Value) -> Selector {
    let selector: LabelSelector = serde_json::from_value(value).unwrap();
    Selector::try_from(selector).unwrap()
}

#[test]
fn selectors_are_disjoint_only_if_they_contradict_each_other() {
    let label = |key: &str, value: &str| json!({"matchLabels": {key: value}});
    let term = |operator: &str, values: &[&str]| {
        let values = (!values.is_empty()).then(|| json!(values));
        let mut term = json!({"key": "a", "operator": operator});
        if let Some(values) = values {
            term["values"] = values;
        }
        json!({"matchExpressions": [term]})
    };
    for (one, other, disjoint) in [
        (label("a", "h"), label("a", "i"), true),
        (label("a", "h"), label("b", "i"), false),
        (label("a", "h"), term("In", &["i", "j"]), true),
        (label("a", "h"), term("In", &["h", "j"]), false),
        (term("NotIn", &["h"]), label("a", "h"), true),
        (term("NotIn", &["h"]), label("a", "i"), false),
        (label("a", "h"), term("Exists", &[]), false),
        (label("b", "h"), term("Exists", &[]), false),
        (term("DoesNotExist", &[]), label("a", "h"), true),
        (term("DoesNotExist", &[]), term("Exists", &[]), true),
        (term("NotIn", &["h"]), term("NotIn", &["i"]), false),
    ] {
        let (a, b) = (selector(one.clone()), selector(other.clone()));
        assert_eq!(conflicts::are_disjoint(&a, &b), disjoint, "{one} {other}");
        assert_eq!(conflicts::are_disjoint(&b, &a), disjoint, "{other} {one}");
    }
}

#[test]
fn sets_for_the_same_pods_have_containers_and_volumes_of_their_own() {
    let volume = |kind: &str| json!([{"name": "v", (kind): {}}]);
    let one = named("one", with(json!({"volumes": volume("emptyDir")}))).unwrap();
    let messages = |spec: Value| {
        let other = named("other", spec).unwrap();
        let errors = conflicts::check(&other, [&one]);
        errors.into_iter().map(|e| e.path).collect::<Vec<_>>()
    };
    assert_eq!(messages(spec()), ["spec.containers[0].name"]);
    let mut as_init = with(json!({"initContainers": [{"name": "log", "image": "x"}]}));
    as_init["containers"] = json!([]);
    assert_eq!(messages(as_init), ["spec.initContainers[0].name"]);
    let mut fine = container(json!({"name": "own"}));
    fine["volumes"] = volume("emptyDir");
    assert!(messages(fine.clone()).is_empty());
    fine["volumes"] = volume("hostPath");
    assert_eq!(messages(fine), ["spec.volumes"]);
    let elsewhere = with(json!({"selector": {"matchLabels": {"app": "api"}}}));
    assert!(messages(elsewhere).is_empty());
}
