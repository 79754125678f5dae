//! What an update in place keeps, and what it restarts.

use harness::Recorder;
use harness::shop::{SELECTOR, container, identities, image, spec};
use harness::wait::eventually;
use kube::ResourceExt;
use kube::api::PatchParams;
use serde_json::{Value, json};

/// Two containers, an emptyDir and a hostPath volume.
fn spec_with_volumes(folder: &str) -> Value {
    let mut spec = spec(5);
    let pod = &mut spec["template"]["spec"];
    pod["volumes"] = json!([
        {"name": "scratch", "emptyDir": {}},
        {"name": "kept", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}},
    ]);
    pod["containers"][0]["volumeMounts"] = json!([
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "kept", "mountPath": "/kept"},
    ]);
    spec
}

fn sh(stage: &harness::Stage, namespace: &str, pod: &str, script: &str) -> String {
    let args = [
        "-n",
        namespace,
        "exec",
        pod,
        "-c",
        "main",
        "--",
        "/bin/busybox",
        "sh",
        "-c",
        script,
    ];
    stage
        .cluster
        .kubectl(&args)
        .expect("a command in the container")
        .trim()
        .to_owned()
}

#[tokio::test]
async fn an_image_changes_in_place_and_uid_ip_node_files_and_the_neighbour_stay() {
    let (stage, _client, shop) = crate::shop("in-place").await;
    let _quiet = stage.share().await;
    let folder = format!("/tmp/{}", shop.namespace);
    let before = shop.create_ready(spec_with_volumes(&folder)).await;
    assert_eq!(before.len(), 5);
    for pod in &before {
        let name = pod.name_any();
        let write = format!("echo {name} > /scratch/file; echo {name} > /kept/{name}");
        sh(stage, &shop.namespace, &name, &write);
        assert_eq!(sh(stage, &shop.namespace, &name, "cat /etc/version"), "v1");
    }
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;

    shop.image("docker.io/local/app:v2").await;
    shop.ready().await;

    let after = shop.pods().await;
    assert_eq!(
        identities(&after),
        identities(&before),
        "UID, IP and node are kept"
    );
    for (old, new) in before.iter().zip(&after) {
        let name = new.name_any();
        assert_eq!(image(new, "main"), "docker.io/local/app:v2");
        assert_eq!(sh(stage, &shop.namespace, &name, "cat /etc/version"), "v2");
        let files = sh(
            stage,
            &shop.namespace,
            &name,
            &format!("cat /scratch/file /kept/{name}"),
        );
        assert_eq!(files, format!("{name}\n{name}"), "files are kept");
        assert_eq!(container(new, "main").restart_count, 1);
        let (was, is) = (container(old, "log"), container(new, "log"));
        assert_eq!((is.restart_count, &is.container_id), (0, &was.container_id));
        assert_eq!(is.state, was.state, "the neighbour's start time is kept");
    }
    let seen = recorder.seen();
    for pod in &after {
        let ready: Vec<bool> = seen
            .iter()
            .filter(|s| s.name == pod.name_any())
            .map(|s| s.ready)
            .collect();
        let dip = ready
            .iter()
            .position(|ready| !ready)
            .expect("Ready False before the restart");
        assert!(ready[dip..].contains(&true), "Ready True after it");
    }
    let harm = recorder.ready_on_old();
    assert!(
        harm.is_empty(),
        "Ready on a drained container:\n{}",
        recorder.story(&harm)
    );
    let harm = recorder.flaps();
    assert!(
        harm.is_empty(),
        "Ready came and went:\n{}",
        recorder.story(&harm)
    );
    shop.close().await;
}

#[tokio::test]
async fn a_native_sidecar_restarts_alone() {
    let (stage, _client, shop) = crate::shop("sidecar").await;
    let _quiet = stage.share().await;
    let mut spec = spec(2);
    spec["template"]["spec"]["initContainers"] = json!([{
        "name": "proxy", "image": "docker.io/local/log:v1", "restartPolicy": "Always",
        "imagePullPolicy": "IfNotPresent",
    }]);
    let before = shop.create_ready(spec).await;
    shop.template(
        "/spec/initContainers/0/image",
        json!("docker.io/local/log:v2"),
    )
    .await;
    shop.ready().await;
    let after = shop.pods().await;
    assert_eq!(identities(&after), identities(&before));
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(container(new, "proxy").restart_count, 1);
        for name in ["main", "log"] {
            assert_eq!(
                container(new, name).container_id,
                container(old, name).container_id
            );
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn labels_and_annotations_change_without_a_restart_or_a_drain() {
    let (stage, _client, shop) = crate::shop("metadata").await;
    let _quiet = stage.share().await;
    let before = shop.create_ready(spec(3)).await;
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;
    let metadata = json!({"labels": {"app": "web", "tier": "front"}, "annotations": {"note": "x"}});
    shop.change(json!({"template": {"metadata": metadata}}))
        .await;
    shop.ready().await;
    let after = shop.pods().await;
    assert_eq!(identities(&after), identities(&before));
    for pod in &after {
        assert_eq!(pod.labels()["tier"], "front");
        assert_eq!(pod.annotations()["note"], "x");
        assert_eq!(container(pod, "main").restart_count, 0);
    }
    assert_eq!(recorder.unavailable_max(3), 0, "no Pod left its Services");
    shop.close().await;
}

#[tokio::test]
async fn a_hand_edited_image_is_taken_back() {
    let (stage, _client, shop) = crate::shop("edited").await;
    let _quiet = stage.share().await;
    let before = shop.create_ready(spec(2)).await;
    let name = before[0].name_any();
    let edit =
        json!({"spec": {"containers": [{"name": "main", "image": "docker.io/local/app:v4"}]}});
    let patch = kube::api::Patch::Strategic(edit);
    shop.pods
        .patch(&name, &PatchParams::default(), &patch)
        .await
        .expect("an edit");
    eventually("the image of the template is back and runs", async || {
        let pod = shop.pods.get(&name).await.map_err(|e| e.to_string())?;
        // The edit may be taken back before the kubelet acts on it: then nothing restarts.
        let main = container(&pod, "main");
        let observed = pod.status.as_ref().and_then(|s| s.observed_generation);
        let ok = image(&pod, "main") == "docker.io/local/app:v1"
            && pod.metadata.generation >= Some(3)
            && observed == pod.metadata.generation
            && harness::shop::is_ready(&pod)
            && main.image.ends_with("app:v1");
        if ok {
            Ok(())
        } else {
            Err(format!("{} {main:#?}", image(&pod, "main")))
        }
    })
    .await;
    assert_eq!(identities(&shop.pods().await), identities(&before));
    shop.close().await;
}
