//! Both versions of the API are served by the webhook, and clients of either lose nothing.

use harness::eventually;
use harness::shop::{SET, spec};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

fn kind(version: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk("apps.kruise.io", version, "CloneSet");
    ApiResource::from_gvk_with_plural(&kind, "clonesets")
}

fn sets(shop: &harness::Shop, version: &str) -> Api<DynamicObject> {
    Api::namespaced_with(shop.client.clone(), &shop.namespace, &kind(version))
}

async fn merge(sets: &Api<DynamicObject>, spec: Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    let params = PatchParams::default();
    sets.patch(SET, &params, &patch).await.expect("a change");
}

#[tokio::test]
async fn clients_of_both_versions_take_turns_and_neither_loses_a_field() {
    let (stage, _client, shop) = crate::shop("versions").await;
    let _quiet = stage.share().await;
    let (old, new) = (sets(&shop, "v1alpha1"), sets(&shop, "v1beta1"));
    let mut first = spec(2);
    first["updateStrategy"] = json!({"type": "InPlaceIfPossible", "partition": 1,
        "inPlaceUpdateStrategy": {"gracePeriodSeconds": 0}});
    first["scaleStrategy"] = json!({"disablePVCReuse": true});
    let set = DynamicObject::new(SET, &kind("v1alpha1")).data(json!({"spec": first}));
    old.create(&PostParams::default(), &set)
        .await
        .expect("a set");
    shop.ready().await;

    let seen = new.get(SET).await.expect("the set");
    let rolling = &seen.data["spec"]["updateStrategy"]["rollingUpdate"];
    assert_eq!(rolling["partition"], 1);
    assert_eq!(rolling["podUpdatePolicy"], "InPlaceIfPossible");
    // The default differs: what was switched off is not switched on.
    assert_ne!(seen.data["spec"]["scaleStrategy"]["enablePVCReuse"], true);

    // What only the new version has, and then a change by somebody who does not know it.
    let deadline = json!({"inPlaceUpdateStrategy": {"resizeDeadlineSeconds": 77}});
    merge(&new, json!({"updateStrategy": {"rollingUpdate": deadline}})).await;
    merge(&old, json!({"updateStrategy": {"partition": 2}})).await;
    let seen = new.get(SET).await.expect("the set");
    let rolling = &seen.data["spec"]["updateStrategy"]["rollingUpdate"];
    assert_eq!(rolling["partition"], 2);
    assert_eq!(
        rolling["inPlaceUpdateStrategy"]["resizeDeadlineSeconds"],
        77
    );

    // A read in one version, written back as a whole: nothing changes.
    let before = new.get(SET).await.expect("the set");
    eventually("a write that no status gets in the way of", async || {
        let read = old.get(SET).await.map_err(|e| e.to_string())?;
        let written = old.replace(SET, &PostParams::default(), &read).await;
        written.map(drop).map_err(|e| e.to_string())
    })
    .await;
    let after = new.get(SET).await.expect("the set");
    assert_eq!(before.data["spec"], after.data["spec"]);
    assert_eq!(before.metadata.generation, after.metadata.generation);
    shop.close().await;
}

#[tokio::test]
async fn kubectl_scales_and_watches_the_old_version() {
    let (stage, _client, shop) = crate::shop("versions-kubectl").await;
    let _quiet = stage.share().await;
    shop.create_ready(spec(1)).await;
    let in_namespace = ["-n", shop.namespace.as_str()];
    let kubectl = |args: &[&str]| {
        let all = [&in_namespace[..], args].concat();
        stage.cluster.kubectl(&all).expect("kubectl")
    };
    kubectl(&[
        "scale",
        "clonesets.v1alpha1.apps.kruise.io/web",
        "--replicas=3",
    ]);
    eventually("three Pods", async || {
        let set = shop.set().await;
        let ready = set.status.map(|status| status.ready_replicas);
        (ready == Some(3))
            .then_some(())
            .ok_or_else(|| format!("{ready:?}"))
    })
    .await;
    let old = kubectl(&[
        "get",
        "clonesets.v1alpha1.apps.kruise.io",
        "web",
        "-o",
        "json",
    ]);
    let old: Value = serde_json::from_str(&old).expect("JSON");
    assert_eq!(old["apiVersion"], "apps.kruise.io/v1alpha1");
    assert_eq!(old["spec"]["replicas"], 3);
    assert_eq!(old["status"]["readyReplicas"], 3);
    shop.close().await;
}
