//! What is injected, and where: one rule per test.

use std::collections::BTreeMap;

use apis::names;
use serde_json::{Value, json};
use sidecar_injector::Reason;

use crate::world::{one, pod, pod_of, set, world};

#[test]
fn a_pod_that_no_set_selects_is_left_alone() {
    let mut other = pod();
    other["metadata"]["labels"] = json!({"app": "api"});
    assert!(world([one("log", json!({}))]).inject(&other).is_unchanged());
    for unlabelled in [json!({}), json!({"labels": null})] {
        other["metadata"] = unlabelled;
        assert!(world([one("log", json!({}))]).inject(&other).is_unchanged());
    }
}

#[test]
fn containers_go_before_or_behind_the_pods_own() {
    let world = world([set(
        "log",
        json!({
            "initContainers": [{"name": "init", "image": "i"}],
            "containers": [{"name": "first", "image": "f"},
                {"name": "last", "image": "l", "podInjectPolicy": "AfterAppContainer"}]
        }),
    )]);
    let mut pod = pod();
    pod["spec"]["initContainers"] = json!([{"name": "own", "image": "o"}]);
    let answer = world.inject(&pod);
    assert_eq!(answer.containers(), ["first", "main", "last"]);
    assert_eq!(answer.init_containers(), ["own", "init"]);
    for name in ["first", "last", "init"] {
        assert_eq!(answer.env(name), [("IS_INJECTED", "true")]);
    }
    assert!(answer.container("main").get("env").is_none());
}

#[test]
fn a_downward_api_volume_is_a_volume_like_any_other() {
    let volume = json!({"name": "info", "downwardAPI": {"items": [{"path": "labels",
        "fieldRef": {"fieldPath": "metadata.labels"}}]}});
    let mut mounting = one(
        "log",
        json!({"volumeMounts": [{"name": "info", "mountPath": "/info"}]}),
    );
    mounting["spec"]["volumes"] = json!([volume]);
    let answer = world([mounting]).inject(&pod());
    assert_eq!(answer.pod["spec"]["volumes"], json!([volume]));
}

fn mounting_pod() -> Value {
    let mut pod = pod_of(json!([{
        "name": "main", "image": "web:1",
        "env": [{"name": "OD_NAME", "value": "od"},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"},
            {"name": "logs", "mountPath": "/logs", "subPathExpr": "$(OD_NAME)/$(POD_NAME)"}]
    }]));
    pod["spec"]["volumes"] = json!([{"name": "data"}, {"name": "logs"}]);
    pod
}

#[test]
fn shared_mounts_come_behind_its_own() {
    let mut sharing = one(
        "log",
        json!({"shareVolumePolicy": {"type": "enabled"},
            "volumeMounts": [{"name": "own", "mountPath": "/data/"}]}),
    );
    sharing["spec"]["volumes"] = json!([{"name": "own", "emptyDir": {}}]);
    let answer = world([sharing]).inject(&mounting_pod());
    assert_eq!(
        answer.mounts("log"),
        [("own", "/data/"), ("logs", "/logs")],
        "the path that it mounts itself stays its own"
    );
    let volumes = answer.pod["spec"]["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 3);
}

#[test]
fn variables_of_a_sub_path_come_with_its_mount() {
    let sharing = one("log", json!({"shareVolumePolicy": {"type": "enabled"}}));
    let answer = world([sharing.clone()]).inject(&mounting_pod());
    assert_eq!(
        answer.env("log"),
        [
            ("OD_NAME", "od"),
            ("POD_NAME", "-"),
            ("IS_INJECTED", "true")
        ]
    );
    let mut plain = mounting_pod();
    plain["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "logs", "mountPath": "/logs", "subPath": "$(OD_NAME)"}]);
    let answer = world([sharing]).inject(&plain);
    assert_eq!(answer.env("log"), [("IS_INJECTED", "true")]);
}

#[test]
fn a_variable_that_is_missing_is_tolerated() {
    let sharing = one("log", json!({"shareVolumePolicy": {"type": "enabled"}}));
    let mut pod = mounting_pod();
    pod["spec"]["containers"][0]["env"] = json!(null);
    let answer = world([sharing]).inject(&pod);
    assert_eq!(answer.env("log"), [("IS_INJECTED", "true")]);
    assert_eq!(answer.mounts("log").len(), 2);
}

#[test]
fn init_containers_and_other_sidecars_share_nothing() {
    let sharing = one("log", json!({"shareVolumePolicy": {"type": "enabled"}}));
    let mut pod = pod();
    let mounts = json!([{"name": "v", "mountPath": "/v"}]);
    pod["spec"]["initContainers"] = json!([{"name": "i", "image": "i", "volumeMounts": mounts}]);
    let mut mounting = one("mesh", json!({"volumeMounts": mounts}));
    mounting["spec"]["volumes"] = json!([{"name": "v"}]);
    let answer = world([sharing, mounting]).inject(&pod);
    assert!(answer.mounts("log").is_empty());
}

#[test]
fn devices_are_shared_where_the_policy_says_so_and_the_path_is_free() {
    let pod = pod_of(json!([{"name": "main", "image": "web:1", "volumeDevices":
        [{"name": "a", "devicePath": "/a"}, {"name": "b", "devicePath": "/b"}]}]));
    for (policy, expected) in [
        ("enabled", json!(["/own", "/b"])),
        ("disabled", json!(["/own"])),
    ] {
        let mut sharing = one(
            "log",
            json!({"shareVolumeDevicePolicy": {"type": policy},
                "volumeMounts": [{"name": "m", "mountPath": "/a"}],
                "volumeDevices": [{"name": "m", "devicePath": "/own"}]}),
        );
        sharing["spec"]["volumes"] = json!([{"name": "m"}]);
        let answer = world([sharing]).inject(&pod);
        let devices = answer.container("log")["volumeDevices"].as_array().unwrap();
        let paths: Value = devices.iter().map(|d| d["devicePath"].clone()).collect();
        assert_eq!(paths, expected, "{policy}");
    }
}

#[test]
fn exactly_the_variables_that_are_there_are_transferred() {
    let pod = pod_of(json!([
        {"name": "main", "image": "x", "env": [{"name": "A", "value": "1"},
            {"name": "B", "value": "2"}, {"name": "C", "value": "3"}]},
        {"name": "other", "image": "x", "env": [{"name": "D", "value": "4"}]}
    ]));
    let transferring = one(
        "log",
        json!({"env": [{"name": "A", "value": "own"}], "transferEnv": [
            {"sourceContainerName": "main", "envName": "C", "envNames": ["B", "A", "ABSENT"]},
            {"sourceContainerName": "other", "envName": "D"},
            {"sourceContainerName": "nobody", "envName": "D"}]}),
    );
    let answer = world([transferring]).inject(&pod);
    assert_eq!(
        answer.env("log"),
        [
            ("A", "own"),
            ("B", "2"),
            ("C", "3"),
            ("D", "4"),
            ("IS_INJECTED", "true")
        ]
    );
}

#[test]
fn the_pod_may_say_from_which_container_variables_come() {
    let mut pod = pod_of(json!([{"name": "main", "image": "x",
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]));
    pod["metadata"]["labels"]["biz"] = json!("main");
    pod["metadata"]["annotations"] = json!({"biz": "main"});
    let from = |path: &str, name: &str| json!({"sourceContainerNameFrom": {"fieldRef": {"fieldPath": path}}, "envName": name});
    let transfers = [
        from("metadata.labels['biz']", "A"),
        from("metadata.annotations['biz']", "B"),
        from("metadata.labels['absent']", "A"),
    ];
    let answer = world([one("log", json!({"transferEnv": transfers}))]).inject(&pod);
    assert_eq!(
        answer.env("log"),
        [("A", "1"), ("B", "2"), ("IS_INJECTED", "true")]
    );
}

#[test]
fn only_volumes_that_are_mounted_are_added() {
    let mut mounting = one(
        "log",
        json!({"volumeMounts": [{"name": "used", "mountPath": "/x"}]}),
    );
    mounting["spec"]["volumes"] = json!([{"name": "used"}, {"name": "unused"}]);
    let answer = world([mounting]).inject(&pod());
    assert_eq!(answer.pod["spec"]["volumes"], json!([{"name": "used"}]));
}

#[test]
fn pull_secrets_are_added_behind_the_pods_own_and_once() {
    let mut pulling = one("log", json!({}));
    pulling["spec"]["imagePullSecrets"] = json!([{"name": "a"}, {"name": "b"}, {"name": "b"}]);
    let mut pod = pod();
    pod["spec"]["imagePullSecrets"] = json!([{"name": "own"}, {"name": "a"}]);
    let answer = world([pulling]).inject(&pod);
    assert_eq!(
        answer.pod["spec"]["imagePullSecrets"],
        json!([{"name": "own"}, {"name": "a"}, {"name": "b"}])
    );
}

#[test]
fn a_paused_injection_injects_nothing() {
    let mut paused = one("log", json!({}));
    paused["spec"]["injectionStrategy"] = json!({"paused": true});
    assert!(world([paused]).inject(&pod()).is_unchanged());
}

#[test]
fn a_pod_that_runs_no_more_or_is_run_by_a_kubelet_itself_is_left_alone() {
    let world = world([one("log", json!({}))]);
    for (pointer, value) in [
        ("status", json!({"phase": "Succeeded"})),
        ("status", json!({"phase": "Failed"})),
        (
            "metadata",
            json!({"labels": {"app": "web"}, "deletionTimestamp": "2026-01-01T00:00:00Z"}),
        ),
    ] {
        let mut pod = pod();
        pod[pointer] = value;
        assert!(world.inject(&pod).is_unchanged());
    }
    let mut mirror = pod();
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    assert!(world.inject(&mirror).is_unchanged());
}

#[test]
fn the_pod_remembers_what_it_was_given_as_openkruise_would() {
    let mut mesh = set(
        "mesh",
        json!({"containers": [{"name": "z", "image": "z:1"}, {"name": "a", "image": "a:1"}],
            "initContainers": [{"name": "plain", "image": "p"},
                {"name": "native", "image": "n", "restartPolicy": "Always"}]}),
    );
    mesh["status"] = json!({"latestRevision": "mesh-1"});
    let world = world([one("log", json!({})), mesh]);
    let answer = world.inject(&pod());
    let mesh = world.index.get("mesh").unwrap().spec();
    let entries = |key| serde_json::from_str::<Value>(answer.annotation(key)).unwrap();
    let mut entry = json!({"updateTimestamp": "2026-01-02T03:04:05Z", "hash": mesh.hash,
        "sidecarSetName": "mesh", "sidecarList": ["a", "native", "z"],
        "controllerRevision": "mesh-1"});
    assert_eq!(entries(names::SIDECAR_HASH_ANNOTATION)["mesh"], entry);
    entry.as_object_mut().unwrap().remove("controllerRevision");
    entry["hash"] = json!(mesh.hash_without_image);
    assert_eq!(
        entries(names::SIDECAR_HASH_WITHOUT_IMAGE_ANNOTATION)["mesh"],
        entry
    );
    assert_eq!(
        answer.annotation(names::SIDECAR_LIST_ANNOTATION),
        "log,mesh"
    );
}

#[test]
fn init_containers_of_all_sets_are_sorted_by_name() {
    let init = |set_name: &str, names: &[&str]| {
        let containers: Vec<_> = names
            .iter()
            .map(|name| json!({"name": name, "image": "i"}))
            .collect();
        set(set_name, json!({"initContainers": containers}))
    };
    let mut pod = pod();
    pod["spec"]["initContainers"] = json!([{"name": "own", "image": "o"}]);
    let answer = world([init("one", &["c", "a"]), init("two", &["b"])]).inject(&pod);
    assert_eq!(answer.init_containers(), ["own", "a", "b", "c"]);
}

#[test]
fn a_hot_native_sidecar_has_two_init_containers() {
    let hot = json!({"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty"});
    let native = |name: &str, more: Value| {
        let mut container = json!({"name": name, "image": "n:1", "restartPolicy": "Always"});
        let fields = more.as_object().unwrap().clone();
        container.as_object_mut().unwrap().extend(fields);
        container
    };
    let one = set(
        "one",
        json!({"initContainers": [native("hot-init", json!({"upgradeStrategy": hot}))]}),
    );
    let two = set(
        "two",
        json!({"initContainers": [native("cold", json!({})), native("zero", json!({}))]}),
    );
    let answer = world([one, two]).inject(&pod());
    assert_eq!(
        answer.init_containers(),
        ["cold", "hot-init-1", "hot-init-2", "zero"]
    );
    assert_eq!(answer.container("hot-init-1")["image"], "n:1");
    assert_eq!(answer.container("hot-init-2")["image"], "empty");
    assert_eq!(
        answer.annotation(names::WORKING_TWIN_ANNOTATION),
        r#"{"hot-init":"hot-init-1"}"#
    );
    let hashes: BTreeMap<String, Value> =
        serde_json::from_str(answer.annotation(names::SIDECAR_HASH_ANNOTATION)).unwrap();
    assert_eq!(hashes["one"]["sidecarList"], json!(["hot-init"]));
}

#[test]
fn a_hot_sidecar_has_a_twin_that_waits() {
    let hot = json!({"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty"});
    let answer = world([one("proxy", json!({"upgradeStrategy": hot}))]).inject(&pod());
    assert_eq!(answer.containers(), ["proxy-1", "proxy-2", "main"]);
    assert_eq!(answer.container("proxy-1")["image"], "side:1");
    assert_eq!(answer.container("proxy-2")["image"], "empty");
    let versions: Vec<_> = [
        "version.sidecarset.kruise.io/proxy-1",
        "versionalt.sidecarset.kruise.io/proxy-1",
        "version.sidecarset.kruise.io/proxy-2",
        "versionalt.sidecarset.kruise.io/proxy-2",
    ]
    .map(|key| answer.annotation(key))
    .into();
    assert_eq!(versions, ["1", "0", "0", "1"]);
    let env = answer.container("proxy-2")["env"].as_array().unwrap();
    assert_eq!(
        env[1],
        json!({"name": "SIDECARSET_VERSION", "valueFrom": {"fieldRef": {"apiVersion": "v1",
            "fieldPath": "metadata.annotations['version.sidecarset.kruise.io/proxy-2']"}}})
    );
}

#[test]
fn a_container_of_the_pod_is_never_replaced() {
    for list in ["containers", "initContainers"] {
        let mut pod = pod();
        pod["spec"]["initContainers"] = json!([{"name": "log", "image": "own"}]);
        let clashing = set(
            "clash",
            json!({(list): [{"name": "side", "image": "s"}, {"name": "log", "image": "theirs"}]}),
        );
        let answer = world([clashing]).inject(&pod);
        assert!(answer.is_unchanged(), "not even the other container");
        let container = "log".to_owned();
        assert_eq!(answer.reasons(), [Reason::ContainerExists { container }]);
    }
}

#[test]
fn of_two_sets_that_clash_the_first_by_name_is_injected() {
    let clash = |name: &str| {
        set(
            name,
            json!({"containers": [{"name": "side", "image": name}]}),
        )
    };
    let answer = world([clash("b"), clash("a")]).inject(&pod());
    assert_eq!(answer.container("side")["image"], "a");
    assert_eq!(answer.injection.injected, ["a"]);
    let (container, other) = ("side".to_owned(), "a".to_owned());
    assert_eq!(
        answer.reasons(),
        [Reason::ContainerOfAnotherSet { container, other }]
    );
}

#[test]
fn sets_are_injected_in_the_order_of_their_names() {
    let names = ["m", "a", "z", "c"];
    let answer = world(names.map(|name| one(name, json!({})))).inject(&pod());
    assert_eq!(answer.containers(), ["a", "c", "m", "z", "main"]);
}

#[test]
fn another_volume_of_that_name_is_mounted_and_told_of() {
    let mut mounting = one(
        "log",
        json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
    );
    mounting["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "c"}}]);
    let world = world([mounting]);
    let mut pod = pod();
    pod["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "c", "defaultMode": 420}}]);
    let answer = world.inject(&pod);
    assert!(answer.reasons().is_empty(), "defaults make no other volume");
    pod["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    let answer = world.inject(&pod);
    let volume = "v".to_owned();
    assert_eq!(answer.reasons(), [Reason::VolumeDiffers { volume }]);
    assert_eq!(answer.pod["spec"]["volumes"], pod["spec"]["volumes"]);
    assert_eq!(answer.containers(), ["log", "main"]);
}

#[test]
fn what_is_no_pod_is_left_alone() {
    let world = world([one("log", json!({}))]);
    for nonsense in [
        json!(null),
        json!([]),
        json!({}),
        json!({"spec": {"containers": {}}, "metadata": {"labels": {"app": "web"}}}),
    ] {
        assert!(world.inject(&nonsense).is_unchanged());
    }
    let odd = pod_of(json!([null, 1, {"name": 5, "env": {"a": 1}, "volumeMounts": "x"}]));
    let request = world.inject(&odd);
    assert_eq!(request.injection.injected, ["log"]);
}
