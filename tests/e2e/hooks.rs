//! Lifecycle hooks: somebody else decides when a Pod may be changed or deleted.

use harness::shop::{SELECTOR, identities, image, is_ready, spec};
use harness::{Recorder, Shop, eventually};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

const NEW: &str = "docker.io/local/app:v2";
const STATE: &str = "lifecycle.apps.kruise.io/state";

fn state(pod: &Pod) -> &str {
    pod.labels().get(STATE).map_or("", String::as_str)
}

async fn label(shop: &Shop, pod: &str, value: Value) {
    let patch = Patch::Merge(json!({"metadata": {"labels": {"shop/hold": value}}}));
    let done = shop.pods.patch(pod, &PatchParams::default(), &patch).await;
    done.expect("a labelled Pod");
}

async fn in_state(shop: &Shop, wanted: &str) -> Pod {
    eventually("a Pod in the state", async || {
        let pods = shop.pods().await;
        let states: Vec<&str> = pods.iter().map(state).collect();
        let found = pods.iter().find(|pod| state(pod) == wanted);
        found
            .cloned()
            .ok_or_else(|| format!("{states:?}, not {wanted}"))
    })
    .await
}

#[tokio::test]
async fn a_hook_holds_a_pod_out_of_its_services_before_it_is_changed_in_place() {
    let (stage, _client, shop) = crate::shop("hook-update").await;
    let _quiet = stage.share().await;
    let mut first = spec(2);
    first["template"]["metadata"]["labels"]["shop/hold"] = json!("yes");
    first["lifecycle"] = json!({"inPlaceUpdate":
        {"labelsHandler": {"shop/hold": "yes"}, "markPodNotReady": true}});
    let before = identities(&shop.create_ready(first).await);
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;
    shop.image(NEW).await;
    for _ in 0..2 {
        let held = in_state(&shop, "PreparingUpdate").await;
        let name = held.name_any();
        eventually("it is out of its Services", async || {
            let pod = shop.pods.get(&name).await.map_err(|e| e.to_string())?;
            let drained = !is_ready(&pod) && image(&pod, "main") != NEW;
            drained
                .then_some(())
                .ok_or_else(|| format!("{:?}", pod.status))
        })
        .await;
        label(&shop, &name, Value::Null).await;
        let updated = in_state(&shop, "Updated").await;
        assert_eq!(
            (updated.name_any(), image(&updated, "main")),
            (name.clone(), NEW.into())
        );
        label(&shop, &name, json!("yes")).await;
    }
    shop.ready().await;
    let after = shop.pods().await;
    assert!(
        after
            .iter()
            .all(|pod| state(pod) == "Normal" && image(pod, "main") == NEW)
    );
    assert_eq!(identities(&after), before);
    assert_eq!(recorder.unavailable_max(2), 1);
    shop.close().await;
}

#[tokio::test]
async fn a_finalizer_holds_a_pod_before_it_is_deleted_and_wanting_it_again_frees_it() {
    let (stage, _client, shop) = crate::shop("hook-delete").await;
    let _quiet = stage.share().await;
    let mut first = spec(2);
    first["template"]["metadata"]["finalizers"] = json!(["shop/cleanup"]);
    first["lifecycle"] = json!({"preDelete": {"finalizersHandler": ["shop/cleanup"]}});
    let before = identities(&shop.create_ready(first).await);
    shop.change(json!({"replicas": 1})).await;
    in_state(&shop, "PreparingDelete").await;
    shop.change(json!({"replicas": 2})).await;
    shop.ready().await;
    let pods = shop.pods().await;
    assert!(pods.iter().all(|pod| state(pod) == "Normal"));
    assert_eq!(identities(&pods), before, "nobody was deleted");

    shop.change(json!({"replicas": 1})).await;
    let held = in_state(&shop, "PreparingDelete").await.name_any();
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    for pod in &pods {
        // The one that stays is held by the hook no longer either; that changes nothing for it.
        let done = shop
            .pods
            .patch(&pod.name_any(), &PatchParams::default(), &free)
            .await;
        done.expect("a freed Pod");
    }
    eventually("the one that was held is gone", async || {
        let names: Vec<String> = shop
            .pods()
            .await
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        let gone = names.len() == 1 && !names.contains(&held);
        gone.then_some(()).ok_or_else(|| format!("{names:?}"))
    })
    .await;
    shop.close().await;
}
