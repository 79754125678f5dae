//! Partitions: how many Pods are new at each step, and that everybody who tells agrees.

use harness::shop::{condition, identities, image, spec};
use harness::{Recorder, Shop, Stage};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

const NEW: &str = "docker.io/local/app:v2";

fn new_ones(pods: &[Pod]) -> usize {
    pods.iter().filter(|pod| image(pod, "main") == NEW).count()
}

/// Pods, counters, conditions and `kubectl wait` all say `updated`.
async fn everybody_agrees(stage: &Stage, shop: &Shop, updated: usize, reason: &str) {
    let resource = "clonesets.apps.kruise.io/web";
    let wait = ["wait", "--for=condition=Ready", resource, "--timeout=90s"];
    let wait = [&["-n", shop.namespace.as_str()][..], &wait[..]].concat();
    let cluster = &stage.cluster;
    tokio::task::block_in_place(|| cluster.kubectl(&wait)).expect("kubectl wait");
    let status = shop.ready().await;
    let count = i32::try_from(updated).expect("a small number");
    assert_eq!(status.updated_replicas, count);
    assert_eq!(status.updated_ready_replicas, count);
    assert_eq!(status.expected_updated_replicas, Some(count));
    assert_eq!(status.ready_replicas, 5);
    assert_eq!(new_ones(&shop.pods().await), updated);
    assert_eq!(condition(&status, "Ready").1, reason);
    assert_eq!(condition(&status, "Reconciling").0, "False");
    assert_eq!(condition(&status, "Stalled").0, "False");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_goes_by_partition_and_comes_back_when_it_is_raised() {
    let (stage, _client, shop) = crate::shop("canary").await;
    let _quiet = stage.share().await;
    let mut first = spec(5);
    first["updateStrategy"]["rollingUpdate"]["partition"] = json!(4);
    let before = shop.create_ready(first).await;

    shop.image(NEW).await;
    everybody_agrees(stage, &shop, 1, "PartitionReached").await;
    shop.rolling("partition", json!("40%")).await;
    everybody_agrees(stage, &shop, 3, "PartitionReached").await;
    shop.rolling("partition", json!("80%")).await;
    everybody_agrees(stage, &shop, 1, "PartitionReached").await;
    shop.rolling("partition", json!(0)).await;
    everybody_agrees(stage, &shop, 5, "AllAvailable").await;
    assert_eq!(
        identities(&shop.pods().await),
        identities(&before),
        "no Pod was recreated"
    );
    shop.close().await;
}

#[tokio::test]
async fn an_older_template_rolls_back_in_place_to_its_old_revision() {
    let (stage, _client, shop) = crate::shop("rollback").await;
    let _quiet = stage.share().await;
    let before = shop.create_ready(spec(2)).await;
    let first = shop.set().await.status.and_then(|s| s.update_revision);
    shop.image(NEW).await;
    shop.ready().await;
    shop.image("docker.io/local/app:v1").await;
    let status = shop.ready().await;
    assert_eq!(
        status.update_revision, first,
        "the old revision is used again"
    );
    assert_eq!(new_ones(&shop.pods().await), 0);
    assert_eq!(identities(&shop.pods().await), identities(&before));
    shop.close().await;
}

#[tokio::test]
async fn a_paused_rollout_touches_no_pod_and_says_so() {
    let (stage, _client, shop) = crate::shop("paused").await;
    let _quiet = stage.share().await;
    let mut paused = spec(2);
    paused["updateStrategy"]["rollingUpdate"]["paused"] = json!(true);
    shop.create_ready(paused).await;
    shop.image(NEW).await;
    let status = shop
        .status("paused", |s| condition(s, "Ready").1 == "Paused")
        .await;
    assert_eq!(condition(&status, "Progressing").1, "CloneSetPaused");
    assert_eq!(new_ones(&shop.pods().await), 0);
    shop.rolling("paused", json!(false)).await;
    shop.ready().await;
    assert_eq!(new_ones(&shop.pods().await), 2);
    shop.close().await;
}

async fn unavailable_max(test: &str, max: serde_json::Value) -> usize {
    let (stage, _client, shop) = crate::shop(test).await;
    let _quiet = stage.share().await;
    let mut first = spec(5);
    first["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = max;
    shop.create_ready(first).await;
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;
    shop.image(NEW).await;
    shop.ready().await;
    shop.close().await;
    recorder.unavailable_max(5)
}

use harness::shop::SELECTOR;

#[tokio::test]
async fn max_unavailable_1_is_held_at_every_event() {
    assert_eq!(unavailable_max("budget-one", json!(1)).await, 1);
}

#[tokio::test]
async fn max_unavailable_40_percent_is_used_and_held_at_every_event() {
    assert_eq!(unavailable_max("budget-share", json!("40%")).await, 2);
}
