//! Resources that are computed, annotations, and which revision is injected.

use serde_json::{Value, json};
use sidecar_injector::{Reason, Revision, WhiteList};

use crate::world::{Answer, one, pod, pod_of, set, with_revisions, world};

fn container(name: &str, limits: Value, requests: Value) -> Value {
    json!({"name": name, "image": "x", "resources": {"limits": limits, "requests": requests}})
}

fn policy(mode: &str, regex: &str, limits: Value, requests: Value) -> Value {
    json!({"resourcesPolicy": {"targetContainersMode": mode, "targetContainersNameRegex": regex,
        "resourcesExpr": {"limits": limits, "requests": requests}}})
}

fn resources(containers: Value, policy: Value) -> Value {
    let answer = world([one("side", policy)]).inject(&pod_of(containers));
    assert!(answer.reasons().is_empty(), "{:?}", answer.reasons());
    answer.container("side")["resources"].clone()
}

#[test]
fn resources_follow_the_containers_that_the_regex_names() {
    let half = json!({"cpu": "max(cpu*50%,50m)"});
    let found = resources(
        json!([
            container(
                "large-engine-v4",
                json!({"cpu": "200m"}),
                json!({"cpu": "50m"})
            ),
            container(
                "large-engine-v4-x",
                json!({"cpu": "4"}),
                json!({"cpu": "4"})
            )
        ]),
        policy("sum", "^large-engine-v4$", half.clone(), half),
    );
    assert_eq!(
        found,
        json!({"limits": {"cpu": "100m"}, "requests": {"cpu": "50m"}})
    );
}

#[test]
fn several_containers_are_summed_or_the_largest_counts() {
    let two = || {
        json!([
            container("a", json!({"cpu": "200m"}), json!({"cpu": "50m"})),
            container("b", json!({"cpu": "400m"}), json!({"cpu": "100m"}))
        ])
    };
    let half = json!({"cpu": "cpu*50%"});
    let sum = resources(two(), policy("sum", ".*", half.clone(), half.clone()));
    assert_eq!(
        sum,
        json!({"limits": {"cpu": "300m"}, "requests": {"cpu": "75m"}})
    );
    let max = resources(two(), policy("max", ".*", half.clone(), half));
    assert_eq!(
        max,
        json!({"limits": {"cpu": "200m"}, "requests": {"cpu": "50m"}})
    );
}

#[test]
fn where_one_container_has_no_limit_there_is_none() {
    let found = resources(
        json!([
            container("a", json!({"cpu": "1", "memory": "1Gi"}), json!({})),
            container("b", json!({"memory": "1Gi"}), json!({}))
        ]),
        policy(
            "sum",
            ".*",
            json!({"cpu": "cpu", "memory": "memory"}),
            json!({"cpu": "max(cpu, 10m)"}),
        ),
    );
    assert_eq!(
        found,
        json!({"limits": {"memory": "2Gi"}, "requests": {"cpu": "10m"}})
    );
}

#[test]
fn expressions_take_amounts_and_shares() {
    let found = resources(
        json!([container(
            "a",
            json!({"cpu": "600m", "memory": "1000Mi"}),
            json!({"cpu": "200m", "memory": "125Mi"})
        )]),
        policy(
            "sum",
            ".*",
            json!({"cpu": "cpu*50% + 100m", "memory": "max(memory*20% + 100Mi, 200Mi)"}),
            json!({"cpu": "cpu*20% + 100m", "memory": "memory*20% + 100Mi"}),
        ),
    );
    assert_eq!(
        found,
        json!({"limits": {"cpu": "400m", "memory": "300Mi"},
            "requests": {"cpu": "140m", "memory": "125Mi"}})
    );
}

#[test]
fn a_native_sidecar_has_a_policy_as_well() {
    let fields = policy("sum", ".*", json!({"cpu": "max(cpu*30%,50m)"}), json!({}));
    let mut native = json!({"name": "n", "image": "n", "restartPolicy": "Always"});
    let fields = fields.as_object().unwrap().clone();
    native.as_object_mut().unwrap().extend(fields);
    let world = world([set("s", json!({"initContainers": [native]}))]);
    let answer = world.inject(&pod_of(json!([container(
        "a",
        json!({"cpu": "1"}),
        json!({})
    )])));
    assert_eq!(
        answer.container("n")["resources"],
        json!({"limits": {"cpu": "300m"}})
    );
}

#[test]
fn targets_are_the_pods_own_containers_and_native_sidecars() {
    let all = json!({"cpu": "cpu"});
    let computing = one("side", policy("sum", ".*", json!({}), all.clone()));
    let other = one("other", json!({"resources": {"requests": {"cpu": "7"}}}));
    let mut pod = pod_of(json!([container("a", json!({}), json!({"cpu": "1"}))]));
    let mut native = container("native", json!({}), json!({"cpu": "2"}));
    native["restartPolicy"] = json!("Always");
    pod["spec"]["initContainers"] =
        json!([native, container("init", json!({}), json!({"cpu": "9"}))]);
    let answer = world([computing, other]).inject(&pod);
    assert_eq!(
        answer.container("side")["resources"],
        json!({"requests": {"cpu": "3"}})
    );

    let picky = one("side", policy("sum", "^nobody$", json!({}), all));
    let answer = world([picky]).inject(&pod);
    assert!(answer.is_unchanged());
    let (container, regex) = ("side".to_owned(), "^nobody$".to_owned());
    assert_eq!(answer.reasons(), [Reason::NoTarget { container, regex }]);
}

#[test]
fn what_cannot_be_computed_leaves_the_set_out() {
    let pod = pod_of(json!([container(
        "a",
        json!({"memory": "1Gi"}),
        json!({"memory": "1Gi"})
    )]));
    for (limits, requests, field) in [
        (
            json!({"memory": "memory - 2Gi"}),
            json!({}),
            "limits.memory",
        ),
        (
            json!({"memory": "100Mi"}),
            json!({"memory": "memory"}),
            "requests.memory",
        ),
    ] {
        let answer = world([one("side", policy("sum", ".*", limits, requests))]).inject(&pod);
        assert!(answer.is_unchanged());
        let reasons = answer.reasons();
        let [Reason::NoResult { field: found, .. }] = reasons.as_slice() else {
            panic!("{reasons:?}");
        };
        assert_eq!(found, field);
    }
}

fn giving(patches: Value) -> Value {
    let mut set = one("log", json!({}));
    set["metadata"]["labels"] = json!({"team": "mesh"});
    set["spec"]["patchPodMetadata"] = patches;
    set
}

#[test]
fn annotations_are_kept_replaced_or_merged() {
    let set = giving(json!([
        {"annotations": {"kept": "theirs", "new": "1"}},
        {"annotations": {"replaced": "theirs"}, "patchPolicy": "Overwrite"},
        {"annotations": {"merged": "{\"envoy\":2}", "text": "{}"}, "patchPolicy": "MergePatchJson"}
    ]));
    let mut pod = pod();
    pod["metadata"]["annotations"] = json!({"kept": "own", "replaced": "own",
        "merged": "{\"log-agent\":1}", "text": "no JSON"});
    let answer = world([set]).inject(&pod);
    let found = ["kept", "new", "replaced", "merged", "text"].map(|key| answer.annotation(key));
    assert_eq!(
        found,
        [
            "own",
            "1",
            "theirs",
            "{\"envoy\":2,\"log-agent\":1}",
            "no JSON"
        ]
    );
    let key = "text".to_owned();
    assert_eq!(answer.reasons(), [Reason::AnnotationNotJson { key }]);
}

#[test]
fn a_merge_that_changes_nothing_is_no_change() {
    let set = giving(json!([{"annotations": {"a": "{\"x\":1}"}, "patchPolicy": "MergePatchJson"}]));
    let mut pod = pod();
    pod["metadata"]["annotations"] = json!({"a": "{ \"x\": 1 }"});
    let answer = world([set]).inject(&pod);
    assert_eq!(answer.annotation("a"), "{ \"x\": 1 }");
}

#[test]
fn only_what_is_on_the_white_list_is_given() {
    let set = giving(json!([{"annotations": {"mesh/port": "1", "other": "1"}}]));
    let mut world = world([set]);
    let rules = r#"{"rules": [{"selector": {"matchLabels": {"team": "mesh"}},
        "allowedAnnotationKeyExprs": ["^mesh/"]}]}"#;
    world.white_list = WhiteList::parse(rules).unwrap();
    let answer = world.inject(&pod());
    assert_eq!(answer.annotation("mesh/port"), "1");
    assert_eq!(answer.annotation("other"), "");
    let key = "other".to_owned();
    assert_eq!(answer.reasons(), [Reason::AnnotationNotAllowed { key }]);
    assert_eq!(answer.containers(), ["log", "main"]);
}

fn revision(name: &str, number: i64, image: &str) -> Revision {
    let raw = json!({"metadata": {"name": name,
            "labels": {"apps.kruise.io/sidecarset-custom-version": "v1",
                "kruise.io/sidecarset-name": "log"}}, "revision": number,
        "data": {"spec": {"$patch": "replace",
            "containers": [{"name": "log", "image": image}]}}});
    Revision::read(&raw).unwrap()
}

fn pinned(revision: Value, update: Value) -> Value {
    let mut set = one("log", json!({}));
    set["status"] = json!({"latestRevision": "log-new"});
    set["spec"]["injectionStrategy"] = json!({"revision": revision});
    set["spec"]["updateStrategy"] = update;
    set
}

fn image(set: Value, seed: &str, labels: Value) -> String {
    let revisions = [revision("log-1", 1, "old:1"), revision("log-2", 2, "old:2")];
    let mut world = with_revisions([set], &revisions);
    seed.clone_into(&mut world.seed);
    let mut pod = pod();
    pod["metadata"]["labels"]["track"] = labels;
    let answer: Answer = world.inject(&pod);
    let record = answer.annotation("kruise.io/sidecarset-hash");
    let image = answer.container("log")["image"]
        .as_str()
        .unwrap()
        .to_owned();
    let expected = match image.as_str() {
        "old:1" => "log-1",
        "old:2" => "log-2",
        _ => "log-new",
    };
    assert!(
        record.contains(&format!("\"controllerRevision\":\"{expected}\"")),
        "{record}"
    );
    image
}

#[test]
fn a_revision_is_injected_by_its_name_or_by_its_version() {
    let by = |revision: Value| image(pinned(revision, json!({})), "s", json!("any"));
    assert_eq!(by(json!({"revisionName": "log-1"})), "old:1");
    assert_eq!(by(json!({"customVersion": "v1"})), "old:2", "the newest");
    assert_eq!(
        by(json!({"customVersion": "v1", "revisionName": "log-1"})),
        "old:1"
    );
}

#[test]
fn partial_follows_the_update_strategy() {
    let partial = json!({"revisionName": "log-1", "policy": "Partial"});
    let under =
        |update: Value, track: &str| image(pinned(partial.clone(), update), "s", json!(track));
    let selector = json!({"matchLabels": {"track": "canary"}});
    assert_eq!(under(json!({"selector": selector}), "stable"), "old:1");
    assert_eq!(under(json!({"selector": selector}), "canary"), "side:1");
    assert_eq!(under(json!({"partition": "0%"}), "canary"), "side:1");
    assert_eq!(under(json!({"partition": 5}), "canary"), "side:1");
    assert_eq!(under(json!({"partition": "100%"}), "canary"), "old:1");
    assert_eq!(under(json!({"paused": true}), "canary"), "old:1");
}

#[test]
fn partial_gives_as_many_pods_the_older_one_as_the_partition_says() {
    let partial = json!({"revisionName": "log-1", "policy": "Partial"});
    let set = pinned(partial, json!({"partition": "30%"}));
    let old = (0..200).filter(|i| {
        let seed = format!("request-{i}");
        image(set.clone(), &seed, json!("any")) == "old:1"
    });
    let old = old.count();
    assert!((40..80).contains(&old), "{old} of 200");
}

#[test]
fn without_its_revision_a_set_is_left_out() {
    let gone = pinned(json!({"revisionName": "gone"}), json!({}));
    let answer = with_revisions([gone], &[revision("log-1", 1, "old:1")]).inject(&pod());
    assert!(answer.is_unchanged());
    let wanted = "gone".to_owned();
    assert_eq!(answer.reasons(), [Reason::NoRevision { wanted }]);

    let mut foreign = revision("gone", 1, "old:1");
    foreign.set = "other".to_owned();
    let gone = pinned(json!({"revisionName": "gone"}), json!({}));
    let answer = with_revisions([gone], &[foreign]).inject(&pod());
    assert!(answer.is_unchanged(), "the revision of another set is none");

    let bad = pinned(json!({"revisionName": "log-1"}), json!({}));
    let answer = with_revisions([bad], &[revision("log-1", 1, " ")]).inject(&pod());
    let reasons = answer.reasons();
    assert!(
        matches!(reasons.as_slice(), [Reason::BadRevision { .. }]),
        "{reasons:?}"
    );
}

#[test]
fn a_canary_set_stands_in_for_its_base() {
    let base = set(
        "base",
        json!({"containers": [{"name": "log", "image": "log:1"}]}),
    );
    let mut canary = set(
        "canary",
        json!({"selector": {"matchLabels": {"app": "web", "track": "canary"}},
            "containers": [{"name": "log", "image": "log:2"}],
            "updateStrategy": {"type": "NotUpdate"}}),
    );
    canary["metadata"]["annotations"] = json!({"apps.kruise.io/sidecarset-canary": "true",
        "apps.kruise.io/sidecarset-base": "base"});
    let world = world([base, canary]);
    assert_eq!(world.inject(&pod()).container("log")["image"], "log:1");
    let mut chosen = pod();
    chosen["metadata"]["labels"]["track"] = json!("canary");
    let answer = world.inject(&chosen);
    assert_eq!(answer.container("log")["image"], "log:2");
    assert_eq!(answer.injection.injected, ["canary"]);
    assert!(answer.reasons().is_empty());
}

#[test]
fn a_namespace_is_selected_by_its_labels_or_its_name() {
    let within = |selector: Value| {
        let mut set = one("log", json!({}));
        set["spec"]["namespaceSelector"] = selector;
        set
    };
    let mut labelled = world([within(json!({"matchLabels": {"inject": "yes"}}))]);
    assert!(labelled.inject(&pod()).is_unchanged());
    labelled.namespace_labels = [("inject".to_owned(), "yes".to_owned())].into();
    assert!(!labelled.inject(&pod()).is_unchanged());

    let name = "kubernetes.io/metadata.name";
    for (selector, injects) in [
        (json!({"matchLabels": {(name): "shop"}}), true),
        (json!({"matchLabels": {(name): "bank"}}), false),
        (
            json!({"matchExpressions": [{"key": name, "operator": "In",
            "values": ["bank", "shop"]}]}),
            true,
        ),
        (
            json!({"matchExpressions": [{"key": name, "operator": "NotIn",
            "values": ["shop"]}]}),
            false,
        ),
    ] {
        let answer = world([within(selector.clone())]).inject(&pod());
        assert_eq!(answer.is_unchanged(), !injects, "{selector}");
    }
}
