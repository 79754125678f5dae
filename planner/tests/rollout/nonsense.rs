//! Any spec that passes the checks, on any Pods: a plan comes out, and it keeps its budget.

use std::sync::Arc;

use apis::{CloneSet, Valid};
use planner::{Node, Pod, Revision, Snapshot};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde::Deserialize;
use serde_json::{Value, json};

fn share() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(0),
        json!(1),
        json!(3),
        json!(i32::MAX),
        json!(-1),
        json!("0%"),
        json!("1%"),
        json!("50%"),
        json!("99%"),
        json!("100%"),
        json!("x"),
    ])
}

fn seconds() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(null),
        json!(0),
        json!(5),
        json!(600),
        json!(i32::MAX),
        json!(i32::MIN),
    ])
}

/// What few sets have, and some are refused for.
fn rarely(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    (0..6, value).prop_map(|(n, value)| if n == 0 { value } else { Value::Null })
}

fn of(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::sample::select(values).prop_map(|text| serde_json::from_str(text).unwrap())
}

fn rolling() -> impl Strategy<Value = Value> {
    let numbers = (
        share(),
        share(),
        rarely(share()),
        seconds(),
        rarely(seconds()),
    );
    let words = (
        of(&[
            "null",
            r#""ReCreate""#,
            r#""InPlaceOnly""#,
            r#""InPlaceIfPossible""#,
        ]),
        of(&["null", "true", "false"]),
        of(&[
            "null",
            r#"{"orderPriority": [{"orderedKey": "shard"}]}"#,
            r#"{"weightPriority": [{"weight": 7, "matchSelector": {"matchLabels": {"shard": "a-1"}}}]}"#,
        ]),
        of(&[
            "[]",
            r#"[{"key": "shard", "value": "a-1"}, {"key": "app", "value": "web"}]"#,
        ]),
    );
    (numbers, words).prop_map(|((partition, max, surge, grace, resize), words)| {
        let (policy, paused, priority, scatter) = words;
        json!({"partition": partition, "maxUnavailable": max, "maxSurge": surge,
            "podUpdatePolicy": policy, "paused": paused, "priorityStrategy": priority,
            "scatterStrategy": scatter, "inPlaceUpdateStrategy":
                {"gracePeriodSeconds": grace, "resizeDeadlineSeconds": resize}})
    })
}

fn spec() -> impl Strategy<Value = Value> {
    let scale = (
        rarely(share()),
        of(&["[]", r#"["web-0", "web-1", "no such Pod"]"#]),
    );
    let keys = of(&[
        "null",
        "[]",
        r#"[{"topologyKey": "zone"}, {"topologyKey": 7}, 5]"#,
    ]);
    let hooks = of(&[
        "null",
        "{}",
        r#"{"preDelete": {"finalizersHandler": ["ex.io/hold"]}}"#,
        r#"{"inPlaceUpdate": {"labelsHandler": {"shard": "a-1"}, "markPodNotReady": true}}"#,
    ]);
    let numbers = (
        0..9i32,
        seconds(),
        seconds(),
        of(&["null", r#""OnDelete""#]),
    );
    (numbers, scale, rolling(), keys, hooks).prop_map(|(numbers, scale, rolling, keys, hooks)| {
        let (replicas, ready, deadline, strategy) = numbers;
        let image = json!([{"name": "main", "image": "web:new"}]);
        json!({"replicas": replicas, "minReadySeconds": ready, "lifecycle": hooks,
            "progressDeadlineSeconds": deadline, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": image, "topologySpreadConstraints": keys}},
            "scaleStrategy": {"maxUnavailable": scale.0, "podsToDelete": scale.1},
            "updateStrategy": {"type": strategy, "rollingUpdate": rolling}})
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let place = of(&["null", r#""a""#, r#""b""#]);
    let phase = of(&[
        "null",
        r#""Pending""#,
        r#""Running""#,
        r#""Failed""#,
        r#""ü""#,
    ]);
    let status = of(&[r#""True""#, r#""False""#]);
    let gate = of(&["null", r#""True""#, r#""False""#]);
    let shard = of(&[r#""a-1""#, r#""ü-99999999999999999999999""#, r#""""#]);
    let revision = of(&[r#""web-old""#, r#""web-new""#, r#""gone""#, r#""-""#]);
    let extra = of(&[
        "{}",
        r#"{"apps.kruise.io/specified-delete": "true"}"#,
        r#"{"lifecycle.apps.kruise.io/state": "PreparingDelete"}"#,
    ]);
    let facts = (place, phase, status, gate);
    (facts, shard, revision, extra, any::<bool>()).prop_map(
        |(facts, shard, revision, extra, gone)| {
            let (node, phase, ready, gate) = facts;
            let mut labels = extra;
            labels["app"] = "web".into();
            labels["shard"] = shard;
            labels["controller-revision-hash"] = revision;
            let deleted = (gone && phase == "Failed").then_some("2026-03-01T11:59:00Z");
            let mut conditions = vec![json!({"type": "Ready", "status": ready,
            "lastTransitionTime": "2026-03-01T11:00:00Z"})];
            if !gate.is_null() {
                conditions.push(json!({"type": "InPlaceUpdateReady", "status": gate}));
            }
            json!({"metadata": {"generation": 1, "labels": labels, "deletionTimestamp": deleted},
            "spec": {"nodeName": node, "containers": [{"name": "main", "image": "web:old"}],
                "readinessGates": [{"conditionType": "InPlaceUpdateReady"}]},
            "status": {"phase": phase, "conditions": conditions, "containerStatuses":
                [{"name": "main", "ready": true, "containerID": "x", "state": {"running": {}}}]}})
        },
    )
}

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": image}]}})
}

/// The snapshot, where the spec is accepted.
fn snapshot(spec: &Value, pods: Vec<Value>) -> Option<Snapshot> {
    let set = CloneSet::deserialize(json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
        "metadata": {"name": "web", "namespace": "shop", "uid": "set", "generation": 1},
        "spec": spec, "status": {"currentRevision": "web-old"}}));
    let set = Valid::new(set.ok()?).ok()?;
    let named = |(i, mut pod): (usize, Value)| {
        pod["metadata"]["name"] = format!("web-{i}").into();
        pod["metadata"]["uid"] = format!("uid-{i}").into();
        Arc::new(Pod::deserialize(pod).unwrap())
    };
    let revision = |name: &str, number, template| {
        let metadata = serde_json::from_value(json!({"name": name})).unwrap();
        Arc::new(Revision::new(metadata, number, template))
    };
    let new = set.template.clone();
    let node = json!({"metadata": {"name": "a", "labels": {"zone": "x"}}});
    Some(Snapshot {
        now: "2026-03-01T12:00:00Z".parse().unwrap(),
        set,
        pods: pods.into_iter().enumerate().map(named).collect(),
        orphans: Vec::new(),
        claims: Vec::new(),
        nodes: vec![Arc::new(Node::deserialize(node).unwrap())],
        orphan_revisions: Vec::new(),
        revisions: vec![
            revision("web-old", 1, template("web:old")),
            revision("web-new", 2, new),
        ],
        held: std::collections::BTreeMap::new(),
        in_flight: std::collections::BTreeSet::new(),
        effects_max: 100,
    })
}

#[test]
fn whatever_is_accepted_is_planned_within_the_budget() {
    let config = Config {
        cases: 2000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..Config::default()
    };
    let accepted = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let input = (spec(), prop::collection::vec(pod(), 0..12));
    let result = runner.run(&input, |(spec, pods)| {
        let Some(snapshot) = snapshot(&spec, pods) else {
            return Ok(());
        };
        accepted.set(accepted.get() + 1);
        let plan = planner::clone_set::plan(&snapshot);
        prop_assert_eq!(plan.check(), Ok(()));
        // A Pod is deleted for one reason at a time.
        let mut deleted: Vec<_> = plan
            .effects
            .iter()
            .filter(|e| matches!(e, planner::Effect::DeletePod { .. }))
            .map(planner::Effect::name)
            .collect();
        let count = deleted.len();
        deleted.sort_unstable();
        deleted.dedup();
        prop_assert_eq!(deleted.len(), count);
        Ok(())
    });
    result.unwrap();
    assert!(accepted.get() > 100, "{}", accepted.get());
}
