//! A broken update is taken back without anybody's help, where the spec says so.

use harness::Recorder;
use harness::shop::{SELECTOR, condition, identities, image, spec};
use serde_json::json;

#[tokio::test]
async fn an_update_that_stays_broken_is_taken_back_in_place_and_not_tried_again() {
    let (stage, _client, shop) = crate::shop("rollback").await;
    let _quiet = stage.share().await;
    let mut first = spec(3);
    first["progressDeadlineSeconds"] = json!(5);
    first["updateStrategy"]["rollingUpdate"]["rollbackOnDeadline"] = json!(true);
    let before = shop.create_ready(first).await;
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;
    shop.image("docker.io/local/app:missing").await;
    let taken_back = |s: &apis::CloneSetStatus| {
        condition(s, "Stalled").1 == "RolledBack" && s.available_replicas == 3
    };
    let status = shop.status("the update is taken back", taken_back).await;
    assert_eq!(status.updated_replicas, 0);
    assert_eq!(status.failed_revision, status.update_revision);
    assert_eq!(
        condition(&status, "Ready").0,
        "False",
        "the template does not run"
    );
    let after = shop.pods().await;
    assert_eq!(identities(&after), identities(&before));
    assert!(
        after
            .iter()
            .all(|pod| image(pod, "main") == "docker.io/local/app:v1")
    );
    assert_eq!(recorder.unavailable_max(3), 1);

    shop.image("docker.io/local/app:v2").await;
    let status = shop.ready().await;
    assert_eq!((status.failed_revision, status.updated_replicas), (None, 3));
    assert_eq!(identities(&shop.pods().await), identities(&before));
    shop.close().await;
}
