//! Strategies that do not update by themselves, or not in place.

use harness::shop::{image, spec};
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::json;

const NEW: &str = "docker.io/local/app:v2";

#[tokio::test]
async fn recreate_replaces_pods_within_the_budget() {
    let (stage, _client, shop) = crate::shop("recreate").await;
    let _quiet = stage.share().await;
    let mut first = spec(3);
    first["updateStrategy"]["rollingUpdate"]["podUpdatePolicy"] = json!("ReCreate");
    let before = shop.create_ready(first).await;
    let recorder = harness::Recorder::start(shop.pods.clone(), harness::shop::SELECTOR).await;
    shop.image(NEW).await;
    shop.ready().await;
    let old: Vec<_> = before.iter().filter_map(ResourceExt::uid).collect();
    for pod in shop.pods().await {
        assert_eq!(image(&pod, "main"), NEW);
        assert!(!old.contains(&pod.uid().unwrap_or_default()));
    }
    assert_eq!(recorder.unavailable_max(3), 1);
    shop.close().await;
}

#[tokio::test]
async fn on_delete_updates_a_pod_when_somebody_deletes_it() {
    let (stage, _client, shop) = crate::shop("on-delete").await;
    let _quiet = stage.share().await;
    let mut first = spec(2);
    first["updateStrategy"] = json!({"type": "OnDelete"});
    let before = shop.create_ready(first).await;
    shop.image(NEW).await;
    shop.status("the change is seen", |status| status.updated_replicas == 0)
        .await;
    shop.pods
        .delete(&before[0].name_any(), &DeleteParams::default())
        .await
        .expect("a deletion");
    shop.status("one Pod is new", |s| {
        s.updated_ready_replicas == 1 && s.replicas == 2
    })
    .await;
    let images: Vec<_> = shop.pods().await.iter().map(|p| image(p, "main")).collect();
    assert_eq!(images.iter().filter(|i| *i == NEW).count(), 1, "{images:?}");
    shop.close().await;
}
