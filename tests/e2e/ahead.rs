//! Images that are on the node before anything is stopped.

use harness::Recorder;
use harness::shop::{SELECTOR, condition, identities, image, spec};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

fn spec_with_warming() -> Value {
    let mut spec = spec(3);
    spec["updateStrategy"]["rollingUpdate"]["inPlaceUpdateStrategy"] =
        json!({"imagePreDownloadParallelism": 1, "imagePreDownloadTimeoutSeconds": 60});
    spec
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_told_before_anybody_is_stopped() {
    let (stage, _client, shop) = crate::shop("ahead").await;
    let _quiet = stage.share().await;
    let before = shop.create_ready(spec_with_warming()).await;
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;
    shop.image("docker.io/local/app:missing").await;
    let stalled = |s: &apis::CloneSetStatus| condition(s, "Stalled").1 == "ImagePull";
    let status = shop.status("the pull fails", stalled).await;
    assert_eq!((status.ready_replicas, status.updated_replicas), (3, 0));
    let message = condition(&status, "Stalled").2;
    assert!(
        message.contains("ahead") && message.contains("app:missing"),
        "{message}"
    );

    shop.image("docker.io/local/app:v2").await;
    shop.ready().await;
    let after = shop.pods().await;
    assert_eq!(identities(&after), identities(&before));
    assert!(
        after
            .iter()
            .all(|pod| image(pod, "main") == "docker.io/local/app:v2")
    );
    assert_eq!(recorder.unavailable_max(3), 1, "never more than the budget");
    harness::eventually("no helper is left behind", async || {
        let all = shop.pods.list(&ListParams::default()).await;
        let names: Vec<String> = all
            .map_err(|e| e.to_string())?
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        (names.len() == 3)
            .then_some(())
            .ok_or_else(|| format!("{names:?}"))
    })
    .await;
    shop.close().await;
}
