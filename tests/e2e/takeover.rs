//! A set that OpenKruise made and left half-way goes on where it stands: nobody restarts.

use std::collections::BTreeMap;

use harness::manager::MANAGER_PODS;
use harness::shop::{container, identities, image, is_ready, spec};
use harness::writes::Writes;
use harness::{Shop, Stage, eventually};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

const OLD: &str = "docker.io/local/app:v1";
const NEW: &str = "docker.io/local/app:v2";

async fn managers(stage: &Stage, client: &Client, count: usize) {
    let replicas = format!("--replicas={count}");
    let deployment = "deployment/insitu-manager";
    let args = ["-n", "insitu-system", "scale", deployment, &replicas];
    stage.cluster.kubectl(&args).expect("a scaled manager");
    let pods: Api<Pod> = Api::namespaced(client.clone(), "insitu-system");
    eventually("as many managers", async || {
        let all = pods.list(&ListParams::default().labels(MANAGER_PODS)).await;
        let all = all.map_err(|e| e.to_string())?.items;
        let right = all.len() == count && all.iter().all(is_ready);
        right.then_some(()).ok_or_else(|| format!("{}", all.len()))
    })
    .await;
}

/// The template as OpenKruise's webhook leaves it in the set: with the API server's defaults.
fn template(image: &str) -> Value {
    let mut template = spec(0)["template"].clone();
    template["metadata"]["creationTimestamp"] = Value::Null;
    let pod = &mut template["spec"];
    pod["restartPolicy"] = json!("Always");
    pod["dnsPolicy"] = json!("ClusterFirst");
    pod["schedulerName"] = json!("default-scheduler");
    pod["securityContext"] = json!({});
    pod["containers"][0]["image"] = json!(image);
    for container in pod["containers"].as_array_mut().into_iter().flatten() {
        container["resources"] = json!({});
        container["terminationMessagePath"] = json!("/dev/termination-log");
        container["terminationMessagePolicy"] = json!("File");
    }
    let probe = &mut pod["containers"][0]["readinessProbe"];
    probe["timeoutSeconds"] = json!(1);
    probe["successThreshold"] = json!(1);
    probe["failureThreshold"] = json!(3);
    template
}

fn owner(uid: &str) -> Value {
    json!([{"apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet", "name": "web", "uid": uid,
        "controller": true, "blockOwnerDeletion": true}])
}

async fn revision(shop: &Shop, uid: &str, hash: &str, number: i64, image: &str) {
    let mut data = template(image);
    data["$patch"] = json!("replace");
    let object = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {"name": format!("web-{hash}"), "ownerReferences": owner(uid),
            "labels": {"app": "web", "controller.kubernetes.io/hash": hash}},
        "revision": number, "data": {"spec": {"template": data}}});
    let api: Api<ControllerRevision> = Api::namespaced(shop.client.clone(), &shop.namespace);
    let object = serde_json::from_value(object).expect("a revision");
    api.create(&PostParams::default(), &object)
        .await
        .expect("a created revision");
}

async fn pod(shop: &Shop, uid: &str, id: &str, (hash, image): (&str, &str), annotations: Value) {
    let template = template(image);
    let mut pod_spec = template["spec"].clone();
    pod_spec["readinessGates"] = json!([{"conditionType": "InPlaceUpdateReady"}]);
    let name = format!("web-{id}");
    let object = json!({"apiVersion": "v1", "kind": "Pod", "spec": pod_spec,
        "metadata": {"name": name, "ownerReferences": owner(uid), "annotations": annotations,
            "labels": {"app": "web", "controller-revision-hash": format!("web-{hash}"),
                "pod-template-hash": hash, "apps.kruise.io/cloneset-instance-id": id,
                "lifecycle.apps.kruise.io/state": "Normal"}}});
    let object = serde_json::from_value(object).expect("a Pod");
    shop.pods
        .create(&PostParams::default(), &object)
        .await
        .expect("a created Pod");
    let status = json!({"status": {"conditions":
        [{"type": "InPlaceUpdateReady", "status": "True"}]}});
    shop.pods
        .patch_status(&name, &PatchParams::default(), &Patch::Strategic(status))
        .await
        .expect("an open gate");
}

fn restarts(pods: &[Pod]) -> BTreeMap<String, i32> {
    let of = |pod: &Pod| (pod.name_any(), container(pod, "main").restart_count);
    pods.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_done_rollout_of_openkruise_is_continued_without_a_single_restart_too_many() {
    let (stage, client, shop) = crate::shop("takeover").await;
    let _quiet = stage.alone().await;
    managers(stage, &client, 0).await;
    let mut first = spec(3);
    first["template"] = template(NEW);
    first["updateStrategy"]["rollingUpdate"]["partition"] = json!(2);
    let set = shop.create(first).await;
    let uid = set.metadata.uid.unwrap_or_default();
    revision(&shop, &uid, "5f6c7d8b9", 1, OLD).await;
    revision(&shop, &uid, "7b9d5c6f8", 2, NEW).await;
    let record = json!({"revision": "web-7b9d5c6f8", "updateTimestamp": "2026-01-05T10:00:00Z",
        "lastContainerStatuses": {"main": {"imageID": "sha256:0123456789abcdef"}},
        "updateImages": true, "containerBatchesRecord":
            [{"timestamp": "2026-01-05T10:00:00Z", "containers": ["main"]}]});
    let record = json!({"apps.kruise.io/inplace-update-state": record.to_string(),
        "lifecycle.apps.kruise.io/timestamp": "2026-01-05T10:00:03Z"});
    let plain = json!({"lifecycle.apps.kruise.io/timestamp": "2026-01-05T09:00:00Z"});
    pod(&shop, &uid, "2bcd4", ("5f6c7d8b9", OLD), plain.clone()).await;
    pod(&shop, &uid, "5fgh7", ("5f6c7d8b9", OLD), plain).await;
    pod(&shop, &uid, "8jkl9", ("7b9d5c6f8", NEW), record).await;
    let status = json!({"status": {"currentRevision": "web-5f6c7d8b9",
        "updateRevision": "web-7b9d5c6f8", "replicas": 3, "readyReplicas": 3,
        "availableReplicas": 3, "updatedReplicas": 1, "updatedReadyReplicas": 1,
        "observedGeneration": 1}});
    let patch = Patch::Merge(status);
    shop.sets
        .patch_status("web", &PatchParams::default(), &patch)
        .await
        .expect("a status");
    eventually("the kubelet runs them", async || {
        let ready = shop.pods().await.iter().filter(|p| is_ready(p)).count();
        (ready == 3)
            .then_some(())
            .ok_or_else(|| format!("{ready} are ready"))
    })
    .await;
    let before = shop.pods().await;
    let writes = Writes::from_now(&stage.cluster);

    managers(stage, &client, 2).await;
    let status = shop.ready().await;
    assert_eq!(
        harness::shop::condition(&status, "Ready").1,
        "PartitionReached"
    );
    assert_eq!((status.updated_replicas, status.replicas), (1, 3));
    if let Some(writes) = writes {
        let wrote = writes.of_manager(&shop.namespace);
        assert!(
            wrote.keys().all(|kind| kind.contains("clonesets/status")),
            "{wrote:?}"
        );
    }
    let after = shop.pods().await;
    assert_eq!(
        (identities(&after), restarts(&after)),
        (identities(&before), restarts(&before))
    );

    shop.rolling("partition", json!(0)).await;
    shop.ready().await;
    let after = shop.pods().await;
    assert_eq!(identities(&after), identities(&before));
    assert!(after.iter().all(|pod| image(pod, "main") == NEW));
    let restarted: i32 = restarts(&after).values().sum();
    assert_eq!(restarted, 2, "the two that were old, once each");
    shop.close().await;
}
