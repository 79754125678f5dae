//! What kubectl says to somebody whose CloneSet makes no sense.

use harness::Shop;
use harness::shop::{SET, spec};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// What the API server says against a set of this spec.
async fn refusal(shop: &Shop, spec: Value) -> String {
    let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
        "metadata": {"name": "refused"}, "spec": spec});
    let set = serde_json::from_value(set).expect("a CloneSet");
    let made = shop.sets.create(&PostParams::default(), &set).await;
    made.expect_err("a refusal").to_string()
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once_with_field_and_fix() {
    let (stage, _client, shop) = crate::shop("refused").await;
    let _quiet = stage.share().await;
    let mut wrong = spec(1);
    wrong["selector"] = json!({"matchLabels": {"app": "another"}});
    wrong["template"]["spec"]["restartPolicy"] = json!("Never");
    wrong["template"]["spec"]["containers"][0]["env"] = json!([{"name": "PORT", "value": 8080}]);
    let said = refusal(&shop, wrong).await;
    for part in [
        "spec.selector",
        "spec.template.spec.restartPolicy",
        "spec.template.spec.containers[0].env[0].value",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    shop.close().await;
}

#[tokio::test]
async fn in_place_only_takes_no_change_that_would_make_new_pods() {
    let (stage, _client, shop) = crate::shop("in-place-only-door").await;
    let _quiet = stage.share().await;
    let mut first = spec(1);
    first["updateStrategy"] = json!({"rollingUpdate": {"podUpdatePolicy": "InPlaceOnly"}});
    let before = shop.create_ready(first).await;
    let change = json!([{"op": "add", "path": "/spec/template/spec/hostNetwork", "value": true}]);
    let change: Patch<Value> = Patch::Json(serde_json::from_value(change).expect("a patch"));
    let said = shop.sets.patch(SET, &PatchParams::default(), &change).await;
    let said = said.expect_err("a refusal").to_string();
    assert!(
        said.contains("spec.template") && said.contains("hostNetwork"),
        "{said}"
    );
    shop.image("docker.io/local/app:v2").await;
    shop.ready().await;
    let uids = |pods: &[k8s_openapi::api::core::v1::Pod]| {
        let uids = pods.iter().map(|pod| pod.metadata.uid.clone());
        uids.collect::<Vec<_>>()
    };
    assert_eq!(uids(&before), uids(&shop.pods().await));
    shop.close().await;
}

#[tokio::test]
async fn kubectl_warns_of_changes_that_make_new_pods() {
    let (stage, _client, shop) = crate::shop("warned").await;
    let _quiet = stage.share().await;
    shop.create_ready(spec(1)).await;
    let change = r#"{"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}"#;
    let args = [
        "-n",
        &shop.namespace,
        "patch",
        "clonesets",
        SET,
        "--type=merge",
        "-p",
        change,
    ];
    // Warnings go to stderr, and this flag makes them the result.
    let strict = [&args[..], &["--warnings-as-errors"]].concat();
    let said = stage.cluster.kubectl(&strict).expect_err("a warning");
    let said = format!("{said:#}");
    assert!(said.contains("terminationGracePeriodSeconds"), "{said}");
    shop.close().await;
}
