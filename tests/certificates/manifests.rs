//! What people wrote for OpenKruise, in either version, is applied as it is: each field by itself,
//! and all of them together.

use kube::ResourceExt;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::served::{Served, clear, minimal, object, sets};
use crate::stage::Stage;

/// Fields that both versions have in the same place.
fn common() -> Vec<(&'static str, Value)> {
    let handlers = json!({"labelsHandler": {"example.com/held": "true"},
        "finalizersHandler": ["example.com/held"], "markPodNotReady": true});
    vec![
        ("replicas", json!(0)),
        (
            "selector",
            json!({"matchLabels": {"app": "web"}, "matchExpressions": [
            {"key": "app", "operator": "In", "values": ["web", "shop"]}]}),
        ),
        (
            "template",
            json!({"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "web:1",
                "aFieldOfTomorrow": {"n": [1, 2.5, "x"]}}]}}),
        ),
        (
            "volumeClaimTemplates",
            json!([{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "20Gi"}}}}]),
        ),
        ("scaleStrategy/podsToDelete", json!(["web-a", "web-b"])),
        ("scaleStrategy/maxUnavailable", json!("20%")),
        ("revisionHistoryLimit", json!(3)),
        ("minReadySeconds", json!(5)),
        ("progressDeadlineSeconds", json!(600)),
        (
            "lifecycle/preDelete",
            json!({"finalizersHandler": ["example.com/held"]}),
        ),
        ("lifecycle/inPlaceUpdate", handlers.clone()),
        (
            "lifecycle/preNormal",
            json!({"labelsHandler": {"example.com/ok": "true"}}),
        ),
    ]
}

/// What is done to Pods, wherever the version has it.
fn rolling() -> Vec<(&'static str, Value)> {
    vec![
        ("partition", json!(2)),
        ("partition", json!("50%")),
        ("maxUnavailable", json!("20%")),
        ("maxUnavailable", json!(1)),
        ("maxSurge", json!(1)),
        ("paused", json!(true)),
        (
            "priorityStrategy",
            json!({"weightPriority": [{"weight": 50,
            "matchSelector": {"matchLabels": {"test-key": "foo"}}}]}),
        ),
        (
            "priorityStrategy",
            json!({"orderPriority": [{"orderedKey": "some-label-key"}]}),
        ),
        ("scatterStrategy", json!([{"key": "foo", "value": "bar"}])),
        ("inPlaceUpdateStrategy", json!({"gracePeriodSeconds": 10})),
    ]
}

/// Everything that a version has: its field, by path, and a value.
fn fields(version: &str) -> Vec<(String, Value)> {
    let is_old = version == "v1alpha1";
    let own: Vec<(&str, Value)> = if is_old {
        vec![
            ("scaleStrategy/disablePVCReuse", json!(true)),
            ("updateStrategy/type", json!("ReCreate")),
            ("updateStrategy/type", json!("InPlaceIfPossible")),
            ("updateStrategy/type", json!("InPlaceOnly")),
        ]
    } else {
        vec![
            ("scaleStrategy/enablePVCReuse", json!(true)),
            ("scaleStrategy/excludePreparingDelete", json!(true)),
            ("updateStrategy/type", json!("RollingUpdate")),
            ("updateStrategy/type", json!("OnDelete")),
            (
                "updateStrategy/rollingUpdate/podUpdatePolicy",
                json!("ReCreate"),
            ),
            (
                "updateStrategy/rollingUpdate/podUpdatePolicy",
                json!("InPlaceIfPossible"),
            ),
            (
                "updateStrategy/rollingUpdate/podUpdatePolicy",
                json!("InPlaceOnly"),
            ),
            (
                "updateStrategy/rollingUpdate/inPlaceUpdateStrategy",
                json!({"imagePreDownloadParallelism": "3", "imagePreDownloadTimeoutSeconds": 60,
                    "imagePreDownloadMinUpdatedReadyPods": 2}),
            ),
        ]
    };
    let at = if is_old {
        "updateStrategy"
    } else {
        "updateStrategy/rollingUpdate"
    };
    let rolling = rolling().into_iter();
    let rolling = rolling.map(|(path, value)| (format!("{at}/{path}"), value));
    let rest = common().into_iter().chain(own);
    rolling
        .chain(rest.map(|(path, value)| (path.to_owned(), value)))
        .collect()
}

fn set(spec: &mut Value, path: &str, value: &Value) {
    let place = path.split('/').fold(spec, |spec, step| &mut spec[step]);
    *place = value.clone();
}

/// Whether everything that was `said` is still there.
fn holds(kept: &Value, said: &Value) -> bool {
    match (kept, said) {
        (Value::Object(kept), Value::Object(said)) => said
            .iter()
            .all(|(key, said)| kept.get(key).is_some_and(|kept| holds(kept, said))),
        (Value::Array(kept), Value::Array(said)) => {
            kept.len() == said.len() && kept.iter().zip(said).all(|(kept, said)| holds(kept, said))
        }
        _ => kept == said,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_field_of_each_version_is_taken_and_kept() {
    let (stage, client, _turn) = Stage::turn().await;
    let _served = Served::start(stage, &client).await;
    for (version, other) in [("v1alpha1", "v1beta1"), ("v1beta1", "v1alpha1")] {
        let (own, others) = (sets(&client, version), sets(&client, other));
        for (n, (path, value)) in fields(version).iter().enumerate() {
            let mut spec = minimal();
            set(&mut spec, path, value);
            let name = format!("{version}-{n}");
            let sent = object(version, &name, &spec);
            let params = PostParams::default();
            let made = own.create(&params, &sent).await;
            let made = made.unwrap_or_else(|error| panic!("{version} {path}: {error}"));
            assert!(
                holds(&made.data["spec"], &spec),
                "{version} {path}: {:#}",
                made.data
            );
            // Somebody who knows the other version only writes back what they read.
            let read = others.get(&name).await.expect("the other version");
            let written = others.replace(&name, &params, &read).await;
            written.unwrap_or_else(|error| panic!("{version} {path} as {other}: {error}"));
            let after = own.get(&name).await.expect("the set");
            assert_eq!(after.data["spec"], made.data["spec"], "{version} {path}");
            assert_eq!(
                after.metadata.generation, made.metadata.generation,
                "{version} {path}"
            );
        }
    }
    clear(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_applies_manifests_of_both_versions_again_and_again() {
    let (stage, client, _turn) = Stage::turn().await;
    let _served = Served::start(stage, &client).await;
    for version in ["v1alpha1", "v1beta1"] {
        let mut spec = minimal();
        for (path, value) in fields(version) {
            // A surge has no place beside Pods that are changed in place only, nor have weights
            // beside an order.
            let is_alone = value == "InPlaceOnly" || value.get("weightPriority").is_some();
            if !is_alone {
                set(&mut spec, &path, &value);
            }
        }
        let mut manifest = object(version, &format!("all-{version}"), &spec);
        let labels = manifest.labels_mut();
        labels.insert("team".to_owned(), "shop".to_owned());
        let file = stage.cluster.dir().join(format!("{version}.json"));
        let text = serde_json::to_vec(&manifest).expect("JSON");
        std::fs::write(&file, text).expect("a file");
        let file = file.to_str().expect("a path of text");
        let first = stage.kubectl(&["apply", "-f", file]);
        assert!(first.contains("created"), "{first}");
        let again = stage.kubectl(&["apply", "-f", file]);
        assert!(again.contains("unchanged"), "{again}");
    }
    clear(&client).await;
}
