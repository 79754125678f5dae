//! What holds of every Pod and every set of SidecarSets.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::world::{prepared, world};

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["main", "log", "mesh", "a", "b", "log-1"]).prop_map(str::to_owned)
}

fn list(item: impl Strategy<Value = Value>, max: usize) -> impl Strategy<Value = Value> {
    prop::collection::vec(item, 0..max).prop_map(Value::from)
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["/x", "/y", "/y/", "/z"])
}

fn mount() -> impl Strategy<Value = Value> {
    (prop::sample::select(vec!["v", "w"]), path(), any::<bool>()).prop_map(|(name, path, expr)| {
        let mut mount = json!({"name": name, "mountPath": path});
        if expr {
            mount["subPathExpr"] = json!("$(A)/$(B)");
        }
        mount
    })
}

fn variable() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["A", "B", "C", "IS_INJECTED"])
        .prop_map(|name| json!({"name": name, "value": "1"}))
}

/// A container of a Pod; now and then one that looks like ours, or like nothing.
fn pods_container() -> impl Strategy<Value = Value> {
    let whole = (name(), list(variable(), 3), list(mount(), 3), any::<bool>()).prop_map(
        |(name, env, mounts, forged)| {
            let mut container = json!({"name": name, "image": "own", "env": env,
                "volumeMounts": mounts, "unknown": {"deep": [1, {}]},
                "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": 0.5}}});
            if forged {
                container["env"] = json!([{"name": "IS_INJECTED", "value": "true"}]);
            }
            container
        },
    );
    prop_oneof![20 => whole, 1 => Just(json!(null)), 1 => Just(json!({"env": 5}))]
}

fn pod() -> impl Strategy<Value = Value> {
    let annotations = prop_oneof![
        Just(json!(null)),
        Just(json!({})),
        Just(json!({"k": "own", "j": "{\"a\":1}", "x/y~z": ""})),
        Just(json!({"kruise.io/sidecarset-hash": "{\"log\":\"h\"}",
            "kruise.io/sidecarset-injected-list": "log"})),
        Just(json!({"kruise.io/sidecarset-hash": "garbage"})),
    ];
    let lists = (
        list(pods_container(), 4),
        prop::option::of(list(pods_container(), 3)),
        prop::option::of(list(Just(json!({"name": "v", "emptyDir": {}})), 2)),
    );
    (annotations, lists, any::<bool>()).prop_map(|(annotations, lists, canary)| {
        let (containers, init, volumes) = lists;
        let track = if canary { "canary" } else { "stable" };
        let mut pod = json!({"kind": "Pod", "unknown": [null],
            "metadata": {"labels": {"app": "web", "track": track}, "annotations": annotations},
            "spec": {"containers": containers, "fieldOfTomorrow": {"kept": 1}}});
        for (field, list) in [("initContainers", init), ("volumes", volumes)] {
            if let Some(list) = list {
                pod["spec"][field] = list;
            }
        }
        pod
    })
}

fn sidecar() -> impl Strategy<Value = Map<String, Value>> {
    let upgrade = prop::option::of(Just(
        json!({"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty"}),
    ));
    let place = prop::option::of(prop::sample::select(vec![
        "BeforeAppContainer",
        "AfterAppContainer",
    ]));
    let own = prop::option::of(Just(json!([{"name": "v", "mountPath": "/x"}])));
    let resources = prop::option::of(Just(json!({"targetContainersMode": "sum",
        "targetContainersNameRegex": "main|a", "resourcesExpr": {"limits": {"cpu": "cpu*50%"}}})));
    (upgrade, place, own, any::<[bool; 3]>(), resources).prop_map(
        |(upgrade, place, own, [share, transfer, native], resources)| {
            let mut fields = Map::new();
            let mut put = |key: &str, value: Option<Value>| {
                fields.extend(value.map(|value| (key.to_owned(), value)));
            };
            put("upgradeStrategy", upgrade);
            put("podInjectPolicy", place.map(Value::from));
            put("volumeMounts", own);
            put(
                "shareVolumePolicy",
                share.then(|| json!({"type": "enabled"})),
            );
            put(
                "transferEnv",
                transfer.then(|| json!([{"sourceContainerName": "main", "envNames": ["A", "C"]}])),
            );
            put("restartPolicy", native.then(|| json!("Always")));
            put("resourcesPolicy", resources);
            fields
        },
    )
}

fn set(name: &'static str) -> impl Strategy<Value = Value> {
    let policy = prop::sample::select(vec!["Retain", "Overwrite", "MergePatchJson"]);
    let names = prop::sample::subsequence(vec!["log", "mesh", "proxy", "a", "z"], 1..4);
    (
        names,
        prop::collection::vec((sidecar(), any::<bool>()), 4),
        policy,
    )
        .prop_map(move |(names, sidecars, policy)| {
            let (mut init, mut running) = (Vec::new(), Vec::new());
            for (container, (mut fields, is_init)) in names.into_iter().zip(sidecars) {
                fields.insert("name".into(), container.into());
                fields.insert("image".into(), "side:1".into());
                if is_init {
                    if !fields.contains_key("restartPolicy") {
                        fields.remove("resourcesPolicy");
                    }
                    init.push(fields);
                } else {
                    running.push(fields);
                }
            }
            json!({"metadata": {"name": name}, "apiVersion": "apps.kruise.io/v1beta1",
                "kind": "SidecarSet", "spec": {"selector": {"matchLabels": {"app": "web"}},
                "initContainers": init, "containers": running,
                "volumes": [{"name": "v", "emptyDir": {}}],
                "imagePullSecrets": [{"name": "s"}],
                "patchPodMetadata": [{"annotations": {"k": "1", "j": "{\"b\":2}"},
                    "patchPolicy": if policy == "MergePatchJson" { "Retain" } else { policy }},
                    {"annotations": {"m": "{\"b\":2}"}, "patchPolicy": policy}]}})
        })
}

/// As another webhook that adds a container, a variable to every container, and a volume.
fn other_webhook(pod: &Value, at: usize) -> Value {
    let mut pod = pod.clone();
    let containers = pod["spec"]["containers"].as_array_mut().unwrap();
    for container in containers.iter_mut().filter_map(Value::as_object_mut) {
        let variable = json!({"name": "OTHER", "value": "1"});
        match container.get_mut("env") {
            Some(Value::Array(env)) => env.insert(0, variable),
            _ => {
                container.insert("env".into(), json!([variable]));
            }
        }
    }
    let at = at.min(containers.len());
    containers.insert(at, json!({"name": "other", "image": "other:1"}));
    match pod["spec"]["volumes"].as_array_mut() {
        Some(volumes) => volumes.insert(0, json!({"name": "other"})),
        None => pod["spec"]["volumes"] = json!([{"name": "other"}]),
    }
    pod
}

fn names(pod: &Value) -> Vec<String> {
    let lists = ["containers", "initContainers"].map(|list| &pod["spec"][list]);
    let all = lists.into_iter().filter_map(Value::as_array).flatten();
    let mut names: Vec<_> = all.map(|c| c["name"].to_string()).collect();
    names.sort_unstable();
    names
}

/// Whether all of `part` is in `whole`, in its order.
fn is_kept(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part.iter().all(|(key, part)| {
            let whole = whole.get(key).unwrap_or(&Value::Null);
            is_kept(part, whole)
        }),
        (Value::Array(part), Value::Array(whole)) => {
            let mut rest = whole.iter();
            part.iter().all(|item| rest.any(|other| item == other))
        }
        // A list that was not there.
        (Value::Null, _) => true,
        (part, whole) => part == whole,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn another_webhook_may_come_before_or_after(
        pod in pod(), one in set("one"), log in set("log"), at in 0_usize..5
    ) {
        let mut world = world([]);
        for set in [one, log] {
            world.index.apply(prepared(set, &[]));
        }
        let first = world.inject(&pod);
        let then = other_webhook(&first.pod, at);
        let again = world.inject(&then);
        prop_assert!(again.is_unchanged(), "{:?}\nof {then}", again.injection.patch);

        let second = world.inject(&other_webhook(&pod, at));
        prop_assert!(world.inject(&second.pod).is_unchanged());
        prop_assert_eq!(names(&second.pod), names(&then));
        prop_assert_eq!(second.injection.injected, again.injection.injected);
    }

    #[test]
    fn twice_is_once_and_nothing_is_lost(
        pod in pod(), one in set("one"), log in set("log"), third in set("z")
    ) {
        let mut world = world([]);
        for set in [one, log, third] {
            world.index.apply(prepared(set, &[]));
        }
        let answer = world.inject(&pod);
        let again = world.inject(&answer.pod);
        prop_assert!(again.is_unchanged(), "{:?}\nof {}", again.injection.patch, answer.pod);
        prop_assert_eq!(&again.injection.injected, &answer.injection.injected);

        // The Pod's own containers, and every field that nobody here knows.
        let is_own = |c: &&Value| !c["env"].to_string().contains("IS_INJECTED");
        for list in ["containers", "initContainers"] {
            let own = |pod: &Value| -> Vec<Value> {
                let list = pod["spec"][list].as_array().into_iter().flatten();
                list.filter(is_own).cloned().collect()
            };
            prop_assert_eq!(own(&pod), own(&answer.pod));
        }
        let mut before = pod.clone();
        for list in ["containers", "initContainers"] {
            before["spec"].as_object_mut().unwrap().remove(list);
        }
        before["metadata"].as_object_mut().unwrap().remove("annotations");
        prop_assert!(is_kept(&before, &answer.pod), "{before} in {}", answer.pod);

        // Lists are added to; at most an entry that was injected is replaced.
        for operation in &answer.injection.patch {
            let path = operation["path"].as_str().unwrap();
            let depth = path.matches('/').count();
            let is_list = operation["op"] == "add" && depth == 2;
            prop_assert!(depth == 3 || is_list && pod.pointer(path).is_none_or(Value::is_null), "{path}");
            prop_assert_ne!(&operation["op"], "remove");
        }

        // Every set is injected as a whole, or it is said why not.
        for set in ["log", "one", "z"] {
            let told = answer.injection.warnings.iter().any(|w| w.set == set && w.reason.leaves_out());
            let injected = answer.injection.injected.iter().any(|name| name == set);
            prop_assert!(told != injected, "{set}: {:?}", answer.injection);
        }
    }
}
