//! More Pods than one kubelet runs: on a fake node, whose Pods restart a container when its image
//! changes and obey readiness gates.

use harness::Recorder;
use harness::shop::{SELECTOR, identities, image, spec};
use harness::writes::Writes;
use serde_json::json;

const PODS: usize = 150;

#[tokio::test]
async fn a_rollout_of_150_pods_holds_its_budget_and_costs_three_writes_each() {
    let (stage, _client, shop) = crate::shop("many").await;
    if !stage.is_native() {
        eprintln!("skipped: this cluster has no fake node");
        return;
    }
    let _quiet = stage.share().await;
    let mut first = spec(PODS);
    first["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = json!("20%");
    let pod = &mut first["template"]["spec"];
    pod["nodeSelector"] = json!({"type": "kwok"});
    pod["tolerations"] = json!([{"key": "kwok.x-k8s.io/node", "operator": "Exists"}]);
    let before = shop.create_ready(first).await;
    assert_eq!(before.len(), PODS);
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;
    let writes = Writes::from_now(&stage.cluster).expect("the audit log");

    shop.image("docker.io/local/app:v2").await;
    shop.ready().await;

    let after = shop.pods().await;
    assert_eq!(
        identities(&after),
        identities(&before),
        "no Pod was recreated"
    );
    assert!(
        after
            .iter()
            .all(|pod| image(pod, "main") == "docker.io/local/app:v2")
    );
    assert!(
        recorder.unavailable_max(PODS) <= PODS / 5,
        "{}",
        recorder.unavailable_max(PODS)
    );
    let counts = writes.of_manager(&shop.namespace);
    let of_pods: usize = counts
        .iter()
        .filter(|(k, _)| k.contains(" pods"))
        .map(|(_, n)| n)
        .sum();
    assert!(of_pods <= 3 * PODS, "drain, patch, undrain: {counts:#?}");
    shop.close().await;
}
