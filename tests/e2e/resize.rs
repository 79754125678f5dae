//! Changes of cpu and memory where the Pod runs.

use harness::Recorder;
use harness::shop::{SELECTOR, container, identities, spec};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

fn resources(cpu: &str, memory: &str) -> Value {
    json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": "400m", "memory": "64Mi"}})
}

fn spec_with(resources: Value) -> Value {
    let mut spec = spec(3);
    spec["template"]["spec"]["containers"][0]["resources"] = resources;
    spec
}

/// What the kubelet says that container `main` of `pod` may use, as `requests.cpu`.
fn cpu(pod: &Pod) -> String {
    let resources = container(pod, "main").resources.unwrap_or_default();
    let requests = resources.requests.unwrap_or_default();
    requests.get("cpu").map(|q| q.0.clone()).unwrap_or_default()
}

#[tokio::test]
async fn cpu_changes_in_place_without_a_restart_or_a_drain() {
    let (stage, _client, shop) = crate::shop("resize").await;
    let _quiet = stage.share().await;
    let before = shop.create_ready(spec_with(resources("10m", "16Mi"))).await;
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;
    shop.template("/spec/containers/0/resources", resources("20m", "16Mi"))
        .await;
    shop.ready().await;
    let after = shop.pods().await;
    assert_eq!(identities(&after), identities(&before));
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(cpu(new), "20m", "the kubelet says so");
        assert_eq!(
            container(new, "main").container_id,
            container(old, "main").container_id
        );
    }
    assert_eq!(recorder.unavailable_max(3), 0, "nobody was drained");
    shop.close().await;
}

#[tokio::test]
async fn memory_that_needs_a_restart_and_an_image_change_together_in_place() {
    let (stage, _client, shop) = crate::shop("resize-image").await;
    let _quiet = stage.share().await;
    let mut first = spec_with(resources("10m", "16Mi"));
    first["template"]["spec"]["containers"][0]["resizePolicy"] = json!([
        {"resourceName": "memory", "restartPolicy": "RestartContainer"},
    ]);
    let before = shop.create_ready(first).await;
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;
    shop.template("/spec/containers/0/resources", resources("10m", "24Mi"))
        .await;
    shop.ready().await;
    assert_eq!(identities(&shop.pods().await), identities(&before));
    for pod in shop.pods().await {
        assert_eq!(container(&pod, "main").restart_count, 1);
    }
    let mut both = shop.set().await.spec.template;
    both["spec"]["containers"][0]["image"] = json!("docker.io/local/app:v2");
    both["spec"]["containers"][0]["resources"] = resources("30m", "24Mi");
    shop.template("", both).await;
    shop.ready().await;
    let after = shop.pods().await;
    assert_eq!(identities(&after), identities(&before));
    for pod in &after {
        assert_eq!(cpu(pod), "30m");
        assert_eq!(container(pod, "main").restart_count, 2);
        assert_eq!(container(pod, "log").restart_count, 0);
    }
    assert_eq!(recorder.unavailable_max(3), 1);
    shop.close().await;
}

#[tokio::test]
async fn a_resize_that_no_node_can_make_is_a_reason_and_heals_in_place() {
    let (stage, _client, shop) = crate::shop("resize-infeasible").await;
    let _quiet = stage.share().await;
    let small = |cpu: &str| json!({"requests": {"cpu": cpu}});
    let before = shop.create_ready(spec_with(small("10m"))).await;
    shop.template("/spec/containers/0/resources", small("900"))
        .await;
    let told = |s: &apis::CloneSetStatus| s.reasons.iter().any(|r| r.reason == "ResizeInfeasible");
    let status = shop.status("the set says that no node can", told).await;
    assert_eq!(status.ready_replicas, 3, "everybody serves on");
    shop.template("/spec/containers/0/resources", small("15m"))
        .await;
    shop.ready().await;
    let after = shop.pods().await;
    assert_eq!(identities(&after), identities(&before));
    assert!(after.iter().all(|pod| cpu(pod) == "15m"));
    shop.close().await;
}
