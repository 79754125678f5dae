use serde_json::json;

use super::*;

fn pod(value: serde_json::Value) -> Pod {
    serde_json::from_value(value).unwrap()
}

#[test]
fn deletion_cost_takes_plain_numbers_only() {
    for (text, cost) in [("10", 10), ("-3", -3), ("+5", 0), ("007", 0), ("x", 0)] {
        let p = pod(json!({"metadata": {"annotations": {names::DELETION_COST_ANNOTATION: text}}}));
        assert_eq!(deletion_cost(&p), cost, "{text}");
    }
}

/// Each Pod goes before all that follow.
#[test]
fn what_is_cheap_to_lose_is_deleted_first() {
    let pod = |name: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = json!({"metadata": {"name": name, "annotations": {},
                    "creationTimestamp": "2026-03-01T10:00:00Z"},
                "spec": {"nodeName": "n"},
                "status": {"phase": "Running", "containerStatuses": [{"restartCount": 0}],
                    "conditions": [{"type": "Ready", "status": "True",
                        "lastTransitionTime": "2026-03-01T11:00:00Z"}]}});
        change(&mut value);
        self::pod(value)
    };
    let cost = |n: &'static str| {
        move |p: &mut serde_json::Value| {
            p["metadata"]["annotations"][names::DELETION_COST_ANNOTATION] = n.into();
        }
    };
    let since = |time: &'static str| {
        move |p: &mut serde_json::Value| {
            p["status"]["conditions"][0]["lastTransitionTime"] = time.into();
        }
    };
    let pods = [
        pod("unscheduled", &|p| {
            p["spec"] = json!({});
            p["status"] = json!({"phase": "Pending"});
        }),
        pod("pending", &|p| p["status"] = json!({"phase": "Pending"})),
        pod("unknown", &|p| p["status"]["phase"] = "Unknown".into()),
        pod("not ready", &|p| p["status"]["conditions"] = json!([])),
        pod("cheap", &cost("-5")),
        pod("no transition time", &|p| {
            p["status"]["conditions"][0]["lastTransitionTime"] = json!(null);
        }),
        pod("ready a moment ago", &since("2026-03-01T11:59:00Z")),
        pod("restarted", &|p| {
            p["status"]["containerStatuses"][0]["restartCount"] = 2.into();
        }),
        pod("young", &|p| {
            p["metadata"]["creationTimestamp"] = "2026-03-01T10:30:00Z".into();
        }),
        pod("old", &|_| {}),
        pod("dear", &cost("5")),
    ];
    for (i, first) in pods.iter().enumerate() {
        for later in &pods[i + 1..] {
            let key = |p| delete_key(p, Loss::Nothing, spread::Rank::default());
            assert!(
                key(first) < key(later),
                "{}, {}",
                first.name(),
                later.name()
            );
        }
    }
    let [.., young, old, _] = &pods;
    let key = |p, lost| delete_key(p, lost, spread::Rank::default());
    assert!(key(old, Loss::Serving) < key(young, Loss::Available));
}
