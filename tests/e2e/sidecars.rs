//! Sidecars beside the app, on a real kubelet.

use harness::shop::{SET, container, identities, image, is_ready, spec};
use harness::{Shop, Stage, eventually};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::door::doors;

mod twins;
mod updates;

const NEW: &str = "docker.io/local/app:v2";

/// A SidecarSet for the Pods of this shop: a container, and a native sidecar.
pub(crate) fn sidecar_set(shop: &Shop) -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
        "metadata": {"name": shop.namespace},
        "spec": {
            "selector": {"matchExpressions":
                [{"key": "app", "operator": "In", "values": [SET, "bare", "deployed"]}]},
            "namespaceSelector":
                {"matchLabels": {"kubernetes.io/metadata.name": shop.namespace}},
            "containers": [{"name": "agent", "image": "docker.io/local/log:v1",
                "imagePullPolicy": "IfNotPresent",
                "volumeMounts": [{"name": "buffer", "mountPath": "/buffer"}]}],
            "initContainers": [{"name": "native", "image": "docker.io/local/log:v1",
                "imagePullPolicy": "IfNotPresent", "restartPolicy": "Always"}],
            "volumes": [{"name": "buffer", "emptyDir": {}}],
        },
    })
}

pub(crate) fn apply(stage: &Stage, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let file = stage.cluster.dir().join(format!("{name}.json"));
    std::fs::write(&file, object.to_string()).expect("a file");
    let file = file.to_str().expect("a path of text");
    stage
        .cluster
        .kubectl(&["apply", "-f", file])
        .expect("an applied object");
}

/// One that the CloneSet does not take for its own.
pub(crate) fn pod(name: &str) -> Pod {
    let spec = &spec(1)["template"]["spec"];
    let pod = json!({"metadata": {"name": name, "labels": {"app": "bare"}}, "spec": spec});
    serde_json::from_value(pod).expect("a Pod")
}

pub(crate) fn has_agent(pod: &Pod) -> bool {
    !image(pod, "agent").is_empty() && !image(pod, "native").is_empty()
}

/// Waits until a new Pod would be given the sidecars, or none.
pub(crate) async fn until_injected(shop: &Shop, expected: bool) {
    eventually("new Pods are as expected", async || {
        let made = shop.would_be(&pod("asked")).await?;
        (has_agent(&made) == expected)
            .then_some(())
            .ok_or_else(|| format!("{:?}", made.spec))
    })
    .await;
}

async fn ready(shop: &Shop, name: &str) -> Pod {
    eventually("the Pod is ready", async || {
        let pod = shop.pods.get(name).await.map_err(|e| e.to_string())?;
        if is_ready(&pod) {
            Ok(pod)
        } else {
            Err(format!("{:?}", pod.status))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sidecars_run_beside_the_app_and_stay_while_it_changes_in_place() {
    let (stage, client, shop) = crate::shop("sidecars").await;
    let _alone = stage.alone().await;
    apply(stage, &sidecar_set(&shop));
    until_injected(&shop, true).await;

    let before = shop.create_ready(spec(2)).await;
    assert_eq!(before.len(), 2);
    for pod in &before {
        assert!(has_agent(pod), "{:?}", pod.spec);
        for name in ["agent", "native"] {
            let state = container(pod, name).state.unwrap_or_default();
            assert!(state.running.is_some(), "{name}: {state:?}");
        }
    }
    shop.image(NEW).await;
    shop.ready().await;
    let after = shop.pods().await;
    assert_eq!(identities(&after), identities(&before));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(image(after, "main"), NEW);
        let id = |pod: &Pod, name: &str| container(pod, name).container_id;
        assert_ne!(id(before, "main"), id(after, "main"));
        for name in ["agent", "native", "log"] {
            assert_eq!(
                id(before, name),
                id(after, name),
                "{name} of {}",
                after.name_any()
            );
        }
    }

    // Behind a closed door Pods start without; it opens, and they have them again.
    doors(stage, &client, 0).await;
    until_injected(&shop, false).await;
    let made = shop
        .pods
        .create(&PostParams::default(), &pod("without"))
        .await;
    assert!(!has_agent(&made.expect("a Pod")));
    ready(&shop, "without").await;
    doors(stage, &client, 2).await;
    until_injected(&shop, true).await;
    let made = shop.pods.create(&PostParams::default(), &pod("with")).await;
    assert!(has_agent(&made.expect("a Pod")));
    let pod = ready(&shop, "with").await;
    assert!(container(&pod, "agent").ready);

    let delete = ["delete", "sidecarset", &shop.namespace];
    stage.cluster.kubectl(&delete).expect("a deleted set");
    shop.close().await;
}
