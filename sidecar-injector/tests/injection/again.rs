//! Pods that were injected before: by us, by OpenKruise, and with another webhook in between.

use apis::names;
use serde_json::{Value, json};
use sidecar_injector::Reason;

use crate::world::{one, pod, set, world};

/// As a service mesh that injects containers, volumes and annotations of its own.
fn other_webhook(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let spec = &mut pod["spec"];
    let containers = spec["containers"].as_array_mut().unwrap();
    if containers.iter().any(|c| c["name"] == "istio-proxy") {
        return pod;
    }
    let proxy = json!({"name": "istio-proxy", "image": "istio:1",
        "env": [{"name": "X", "value": "1"}],
        "volumeMounts": [{"name": "istio", "mountPath": "/etc/istio"}]});
    containers.insert(0, proxy);
    for container in containers {
        container["terminationMessagePath"] = json!("/dev/termination-log");
    }
    let native = json!({"name": "istio-init", "image": "istio:1"});
    for (list, item) in [
        ("initContainers", native),
        ("volumes", json!({"name": "istio"})),
    ] {
        if !spec[list].is_array() {
            spec[list] = json!([]);
        }
        spec[list].as_array_mut().unwrap().push(item);
    }
    if !pod["metadata"]["annotations"].is_object() {
        pod["metadata"]["annotations"] = json!({});
    }
    pod["metadata"]["annotations"]["sidecar.istio.io/status"] = json!("{}");
    pod
}

fn sets() -> [Value; 2] {
    let hot = json!({"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty"});
    let mut mesh = one(
        "mesh",
        json!({"upgradeStrategy": hot, "shareVolumePolicy": {"type": "enabled"},
            "volumeMounts": [{"name": "own", "mountPath": "/own"}]}),
    );
    mesh["spec"]["volumes"] = json!([{"name": "own", "configMap": {"name": "c"}}]);
    let init = json!([{"name": "b", "image": "i", "restartPolicy": "Always"},
        {"name": "a", "image": "i", "podInjectPolicy": "BeforeAppContainer"}]);
    [mesh, set("init", json!({"initContainers": init}))]
}

fn sorted(mut names: Vec<&str>) -> Vec<String> {
    names.sort_unstable();
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn another_webhook_may_come_before_or_after() {
    let world = world(sets());
    let first = world.inject(&pod());
    let with_other = other_webhook(&first.pod);
    let again = world.inject(&with_other);
    assert!(again.is_unchanged(), "{:?}", again.injection.patch);

    let second = world.inject(&other_webhook(&pod()));
    assert!(world.inject(&second.pod).is_unchanged());
    assert_eq!(sorted(second.containers()), sorted(again.containers()));
    assert_eq!(
        sorted(second.init_containers()),
        sorted(again.init_containers())
    );
    assert_eq!(second.injection.injected, again.injection.injected);
}

#[test]
fn what_another_webhook_did_to_an_injected_container_stays() {
    let world = world([one("log", json!({}))]);
    let mut pod = world.inject(&pod()).pod;
    pod["spec"]["containers"][0]["image"] = json!("mirror/side:1");
    assert!(world.inject(&pod).is_unchanged());
}

#[test]
fn what_another_webhook_took_away_comes_back() {
    let world = world(sets());
    let whole = world.inject(&pod()).pod;
    let mut pod = whole.clone();
    pod["spec"]["containers"].as_array_mut().unwrap().remove(1);
    pod["spec"]["volumes"] = json!([]);
    let answer = world.inject(&pod);
    assert_eq!(sorted(answer.containers()), ["main", "mesh-1", "mesh-2"]);
    assert_eq!(answer.pod["spec"]["volumes"], whole["spec"]["volumes"]);
    assert_eq!(answer.pod["metadata"], whole["metadata"]);
    assert!(world.inject(&answer.pod).is_unchanged());
}

#[test]
fn a_set_that_matches_only_now_is_injected_beside_the_others() {
    let mut late = one("late", json!({}));
    late["spec"]["selector"] = json!({"matchLabels": {"late": "yes"}});
    let world = world([one("log", json!({})), late]);
    let mut pod = world.inject(&pod()).pod;
    pod["metadata"]["labels"]["late"] = json!("yes");
    let answer = world.inject(&pod);
    assert_eq!(answer.containers(), ["late", "log", "main"]);
    assert_eq!(
        answer.annotation(names::SIDECAR_LIST_ANNOTATION),
        "late,log"
    );
}

#[test]
fn what_a_set_has_injected_stays_its_own() {
    let clash = |name: &str| {
        set(
            name,
            json!({"containers": [{"name": "side", "image": name}]}),
        )
    };
    let pod = world([clash("b")]).inject(&pod()).pod;
    let answer = world([clash("a"), clash("b")]).inject(&pod);
    assert!(answer.is_unchanged(), "{:?}", answer.injection.patch);
    assert_eq!(answer.injection.injected, ["b"]);
    let (container, other) = ("side".to_owned(), "b".to_owned());
    assert_eq!(
        answer.reasons(),
        [Reason::ContainerOfAnotherSet { container, other }]
    );
}

/// The manifest of a Pod that runs, applied anew after its set was changed.
#[test]
fn containers_of_an_older_revision_are_brought_up_to_date_in_place() {
    let before = world([one("log", json!({"podInjectPolicy": "AfterAppContainer"}))]);
    let mut pod = before.inject(&pod()).pod;
    pod["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "behind", "image": "x"}));
    let changed = one(
        "log",
        json!({"image": "side:2", "podInjectPolicy": "AfterAppContainer"}),
    );
    let after = world([changed]);
    let answer = after.inject(&pod);
    assert_eq!(answer.containers(), ["main", "log", "behind"]);
    assert_eq!(answer.container("log")["image"], "side:2");
    let hash = &after.index.get("log").unwrap().spec().hash;
    assert!(
        answer
            .annotation(names::SIDECAR_HASH_ANNOTATION)
            .contains(hash)
    );
    assert!(after.inject(&answer.pod).is_unchanged());
}

#[test]
fn a_container_that_was_injected_without_a_record_is_one_of_ours() {
    let world = world([one("log", json!({}))]);
    let mut pod = world.inject(&pod()).pod;
    pod["metadata"]["annotations"] = json!(null);
    pod["spec"]["containers"][0]["image"] = json!("forged");
    let answer = world.inject(&pod);
    assert_eq!(answer.containers(), ["log", "main"]);
    assert_eq!(answer.container("log")["image"], "side:1");
}

#[test]
fn a_record_of_old_is_brought_into_shape_and_garbage_is_told_of() {
    let world = world([one("log", json!({}))]);
    let whole = world.inject(&pod()).pod;
    let hash = &world.index.get("log").unwrap().spec().hash;
    let mut old = whole.clone();
    let key = names::SIDECAR_HASH_ANNOTATION;
    old["metadata"]["annotations"][key] = json!(json!({"log": hash}).to_string());
    let answer = world.inject(&old);
    assert_eq!(answer.pod, whole);
    assert_eq!(answer.injection.patch.len(), 1);

    let mut garbage = whole;
    garbage["metadata"]["annotations"][key] = json!("[");
    let answer = world.inject(&garbage);
    assert!(answer.is_unchanged());
    let annotation = key;
    assert_eq!(answer.reasons(), [Reason::UnreadableRecord { annotation }]);
}

#[test]
fn a_draw_is_not_repeated() {
    let mut set = one("log", json!({"image": "side:2"}));
    set["spec"]["injectionStrategy"] =
        json!({"revision": {"revisionName": "log-1", "policy": "Partial"}});
    set["spec"]["updateStrategy"] = json!({"partition": "50%"});
    let raw = json!({"metadata": {"name": "log-1",
        "labels": {"kruise.io/sidecarset-name": "log"}}, "revision": 1, "data": {"spec":
        {"containers": [{"name": "log", "image": "side:1"}]}}});
    let revision = sidecar_injector::Revision::read(&raw).unwrap();
    let mut world = crate::world::with_revisions([set], &[revision]);
    let mut images = std::collections::BTreeSet::new();
    for seed in 0..20 {
        world.seed = format!("one-{seed}");
        let first = world.inject(&pod());
        images.insert(first.container("log")["image"].to_string());
        world.seed = format!("another-{seed}");
        assert!(world.inject(&first.pod).is_unchanged());
    }
    assert_eq!(images.len(), 2);
}
