//! More Pods than asked for, for as long as an update needs them.

use harness::Recorder;
use harness::shop::{SELECTOR, identities, image, spec};
use serde_json::json;

const NEW: &str = "docker.io/local/app:v2";

#[tokio::test]
async fn with_a_surge_and_no_budget_a_rollout_in_place_never_has_fewer_pods_than_asked() {
    let (stage, _client, shop) = crate::shop("surge").await;
    let _quiet = stage.share().await;
    let mut first = spec(3);
    let rolling = &mut first["updateStrategy"]["rollingUpdate"];
    rolling["maxUnavailable"] = json!(0);
    rolling["maxSurge"] = json!(1);
    let before = identities(&shop.create_ready(first).await);
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;
    shop.image(NEW).await;
    shop.status("three new Pods and no other", |s| {
        s.updated_available_replicas == 3 && s.replicas == 3
    })
    .await;
    shop.ready().await;
    let after = shop.pods().await;
    assert!(after.iter().all(|pod| image(pod, "main") == NEW));
    let after = identities(&after);
    let kept = after
        .iter()
        .filter(|(name, id)| before.get(*name) == Some(id));
    assert_eq!(
        kept.count(),
        2,
        "all but the one that made room were changed in place"
    );
    assert_eq!(recorder.unavailable_max(3), 0);
    shop.close().await;
}
