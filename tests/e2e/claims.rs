//! Claims: the data outlives the Pod that is replaced, and goes with the Pod that is not.

use std::collections::BTreeSet;

use harness::shop::{image, spec};
use harness::{Shop, Stage, eventually};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;

/// Volumes on the node, without anybody who provisions them.
async fn provide(client: &Client, class: &str, count: usize) {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    for n in 0..count {
        let name = format!("{class}-{n}");
        let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {"storageClassName": class, "capacity": {"storage": "1Mi"},
                "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": format!("/tmp/{name}"), "type": "DirectoryOrCreate"}}});
        let volume = serde_json::from_value(volume).expect("a volume");
        let done = volumes.create(&PostParams::default(), &volume).await;
        done.expect("a created volume");
    }
}

async fn claims(shop: &Shop) -> BTreeSet<String> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(shop.client.clone(), &shop.namespace);
    let all = api
        .list(&ListParams::default())
        .await
        .expect("claims")
        .items;
    let live = all
        .iter()
        .filter(|c| c.metadata.deletion_timestamp.is_none());
    live.map(ResourceExt::name_any).collect()
}

/// As if `pod` were about to go, and to take its claim along.
async fn hand_to(shop: &Shop, pod: &Pod) {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(shop.client.clone(), &shop.namespace);
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": pod.name_any(), "uid": pod.uid(),
        "controller": true});
    let patch = Patch::Merge(json!({"metadata": {"ownerReferences": [owner]}}));
    let name = format!("data-{}", pod.name_any());
    let done = api.patch(&name, &PatchParams::default(), &patch).await;
    done.expect("a patched claim");
}

/// A Pod that stays gives its claim back.
async fn all_are_the_sets(shop: &Shop) {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(shop.client.clone(), &shop.namespace);
    eventually("claims whose owner is the set", async || {
        let all = api.list(&ListParams::default()).await.expect("claims");
        let owners = all.items.iter().flat_map(ResourceExt::owner_references);
        let kinds: Vec<_> = owners.map(|owner| owner.kind.clone()).collect();
        (kinds == ["CloneSet"; 2])
            .then_some(())
            .ok_or_else(|| format!("{kinds:?}"))
    })
    .await;
}

fn cat(stage: &Stage, shop: &Shop, pod: &str) -> String {
    let (namespace, file) = (&shop.namespace, "/data/file");
    let args = [
        "-n",
        namespace,
        "exec",
        pod,
        "-c",
        "main",
        "--",
        "/bin/busybox",
        "cat",
        file,
    ];
    let text = stage.cluster.kubectl(&args).expect("the file");
    text.trim().to_owned()
}

#[tokio::test]
async fn a_replaced_pod_finds_its_data_and_a_pod_too_many_takes_its_claim_along() {
    let (stage, client, shop) = crate::shop("claims").await;
    let _quiet = stage.share().await;
    provide(&client, &shop.namespace, 3).await;
    let mut first = spec(2);
    first["template"]["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "data", "mountPath": "/data"}]);
    first["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {
        "storageClassName": shop.namespace, "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}}}}]);
    let before = shop.create_ready(first).await;
    let had = claims(&shop).await;
    assert_eq!(had.len(), 2);
    for pod in &before {
        let (name, namespace) = (pod.name_any(), &shop.namespace);
        let write = format!("echo {name} > /data/file");
        let sh = [
            "-n",
            namespace,
            "exec",
            &name,
            "-c",
            "main",
            "--",
            "/bin/busybox",
            "sh",
            "-c",
            &write,
        ];
        stage.cluster.kubectl(&sh).expect("a written file");
    }

    // An env cannot change in place.
    let mut template = shop.set().await.spec.template;
    template["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "1"}]);
    shop.template("", template).await;
    shop.ready().await;
    let after = shop.pods().await;
    let uids: BTreeSet<_> = before.iter().filter_map(ResourceExt::uid).collect();
    assert!(
        after
            .iter()
            .all(|p| !uids.contains(&p.uid().unwrap_or_default()))
    );
    assert_eq!(claims(&shop).await, had, "the claims are those of before");
    for pod in &after {
        assert_eq!(
            cat(stage, &shop, &pod.name_any()),
            pod.name_any(),
            "the data of its name"
        );
    }

    hand_to(&shop, &after[0]).await;
    all_are_the_sets(&shop).await;

    shop.image("docker.io/local/app:v2").await;
    shop.ready().await;
    for pod in shop.pods().await {
        assert_eq!(image(&pod, "main"), "docker.io/local/app:v2");
        assert_eq!(cat(stage, &shop, &pod.name_any()), pod.name_any());
    }

    shop.change(json!({"replicas": 1})).await;
    let status = shop.ready().await;
    assert_eq!(status.replicas, 1);
    eventually("one claim is left", async || {
        let left = claims(&shop).await;
        (left.len() == 1)
            .then_some(())
            .ok_or_else(|| format!("{left:?}"))
    })
    .await;
    shop.close().await;
}
