//! Containers that start later are changed later.

use harness::Recorder;
use harness::shop::{SELECTOR, container, identities, image, spec};
use serde_json::json;

#[tokio::test]
async fn a_container_of_lower_priority_is_left_alone_until_the_one_before_it_is_ready() {
    let (stage, _client, shop) = crate::shop("batches").await;
    let _quiet = stage.share().await;
    let mut first = spec(2);
    first["template"]["metadata"]["annotations"] =
        json!({"apps.kruise.io/container-launch-priority": "Ordered"});
    let before = shop.create_ready(first).await;
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;

    let change = async |main: &str, log: &str| {
        let mut template = shop.set().await.spec.template;
        template["spec"]["containers"][0]["image"] = json!(main);
        template["spec"]["containers"][1]["image"] = json!(log);
        shop.template("", template).await;
    };
    change("docker.io/local/app:missing", "docker.io/local/log:v2").await;
    let waits = |s: &apis::CloneSetStatus| s.updated_replicas == 1 && s.ready_replicas == 1;
    shop.status("one Pod hangs at its first container", waits)
        .await;
    shop.status("the reason is the image", |s| {
        s.reasons.iter().any(|r| r.reason == "ImagePull")
    })
    .await;
    for pod in shop.pods().await {
        assert_eq!(
            image(&pod, "log"),
            "docker.io/local/log:v1",
            "not its turn yet"
        );
        assert_eq!(container(&pod, "log").restart_count, 0);
    }

    change("docker.io/local/app:v2", "docker.io/local/log:v2").await;
    shop.ready().await;
    let after = shop.pods().await;
    assert_eq!(identities(&after), identities(&before));
    for pod in &after {
        let started = |name: &str| {
            let state = container(pod, name).state.unwrap_or_default();
            state.running.and_then(|running| running.started_at)
        };
        assert_eq!(image(pod, "log"), "docker.io/local/log:v2");
        assert!(started("main") <= started("log"), "in order");
    }
    assert_eq!(recorder.unavailable_max(2), 1);
    shop.close().await;
}
