//! Pods that a write is under way to.

use super::*;
use crate::Pod;

/// A set of `replicas` Pods `web-1`, `web-2` ... of an older template, all available.
fn rolling(replicas: u32, rolling: &Value) -> Snapshot {
    let mut rolling = rolling.clone();
    rolling["podUpdatePolicy"] = "InPlaceIfPossible".into();
    let spec = json!({"replicas": replicas, "updateStrategy": {"rollingUpdate": rolling}});
    let mut s = snapshot(&spec, &Value::Null);
    let metadata = serde_json::from_value(json!({"name": "web-second"})).unwrap();
    let newest = s.revisions[0].template.clone();
    s.revisions
        .push(Arc::new(Revision::new(metadata, 2, newest)));
    let old = json!({"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "web:0"}]}});
    let metadata = serde_json::from_value(json!({"name": "web-first"})).unwrap();
    s.revisions[0] = Arc::new(Revision::new(metadata, 1, old));
    s.pods = (1..=replicas)
        .map(|n| Arc::new(pod(n, "Running")))
        .collect();
    s
}

fn pod(n: u32, phase: &str) -> Pod {
    let since = "2026-03-01T11:00:00Z";
    serde_json::from_value(json!({
        "metadata": {"name": format!("web-{n}"), "uid": n.to_string(), "generation": 1,
            "resourceVersion": "1", "labels": {"app": "web", names::REVISION_LABEL: "web-first"}},
        "spec": {"nodeName": "n", "containers": [{"name": "main", "image": "web:0"}],
            "readinessGates": [{"conditionType": names::IN_PLACE_READY_CONDITION}]},
        "status": {"phase": phase, "observedGeneration": 1,
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": since},
                {"type": names::IN_PLACE_READY_CONDITION, "status": "True",
                    "lastTransitionTime": since}],
            "containerStatuses": [{"name": "main", "ready": true, "image": "web:0",
                "containerID": "c", "state": {"running": {"startedAt": since}}}]},
    }))
    .unwrap()
}

fn written(plan: &Plan) -> Vec<String> {
    plan.effects.iter().map(|e| e.name().to_owned()).collect()
}

fn begin(s: &mut Snapshot, plan: &Plan) {
    let uids = plan.effects.iter().filter_map(Effect::uid);
    s.in_flight = uids.map(str::to_owned).collect();
}

#[test]
fn what_is_under_way_counts_as_lost_and_is_not_asked_for_again() {
    let mut s = rolling(4, &json!({"maxUnavailable": 2}));
    let first = plan(&s);
    assert_eq!(written(&first), ["web-1", "web-2"]);
    begin(&mut s, &first);
    let second = plan(&s);
    assert_eq!(second.effects, [], "the budget is used up");
    assert_eq!(second.check(), Ok(()));
    assert_eq!(second.budget.available, 2);
    assert_eq!(second.pods[0].1, Reason::Draining, "not WaitingBudget");
    assert_eq!(
        second.status.available_replicas, 4,
        "only what was observed"
    );

    s.in_flight.remove("2");
    assert_eq!(
        written(&plan(&s)),
        ["web-2"],
        "it failed, so it is free again"
    );
}

#[test]
fn what_is_under_way_keeps_its_place_within_the_partition() {
    let mut s = rolling(4, &json!({"maxUnavailable": 4, "partition": 3}));
    let first = plan(&s);
    assert_eq!(written(&first), ["web-1"]);
    begin(&mut s, &first);
    // Another Pod would be cheaper to lose now.
    s.pods[3] = Arc::new(pod(4, "Pending"));
    assert_eq!(plan(&s).effects, []);
    s.in_flight.clear();
    assert_eq!(written(&plan(&s)), ["web-4"]);
}

/// Bug: of two writes to one Pod that were under way the first was refused. The Pod was left alone
/// then, its place given to another one, and the second write made one more than the partition
/// allows.
#[test]
fn what_is_under_way_beside_a_refusal_keeps_its_place_too() {
    let mut s = rolling(4, &json!({"maxUnavailable": 4, "partition": 3}));
    let first = plan(&s);
    assert_eq!(written(&first), ["web-1"]);
    begin(&mut s, &first);
    s.held.insert("1".into(), "refused".into());
    let second = plan(&s);
    assert_eq!(second.effects, []);
    assert_eq!(second.pods[0].1, Reason::Draining, "not BackingOff");
    s.in_flight.clear();
    assert_eq!(written(&plan(&s)), ["web-2"]);
}

#[test]
fn a_place_is_left_for_each_effect_under_way() {
    let mut s = rolling(4, &json!({"maxUnavailable": 4}));
    s.effects_max = 2;
    let first = plan(&s);
    assert_eq!(written(&first), ["web-1", "web-2"]);
    begin(&mut s, &first);
    assert_eq!(written(&plan(&s)), ["web-3", "web-4"], "and none twice");
}
