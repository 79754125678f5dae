//! `--deletion-protection`: a label keeps a set from being deleted.

use harness::shop::{SET, spec};
use harness::{Shop, Stage, eventually};
use kube::api::DeleteParams;

use super::arguments;

const LABEL: &str = "policy.kruise.io/delete-protection";

fn label(stage: &Stage, shop: &Shop, label: &str) {
    let args = [
        "-n",
        &shop.namespace,
        "label",
        "--overwrite",
        "cloneset",
        SET,
        label,
    ];
    stage.cluster.kubectl(&args).expect("a labelled set");
}

/// Tries until somebody says no for the label's sake: a replica without the flag may be leaving.
async fn refused(shop: &Shop, words: &str) {
    let dry = DeleteParams {
        dry_run: true,
        ..DeleteParams::default()
    };
    eventually("the deletion is refused", async || {
        match shop.sets.delete(SET, &dry).await {
            Ok(_) => Err("it was let through".to_owned()),
            Err(error) if error.to_string().contains(words) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protected_set_is_deleted_by_nobody() {
    let (stage, _client, shop) = crate::shop("door-protects").await;
    let _alone = stage.alone().await;
    shop.create_ready(spec(1)).await;
    label(stage, &shop, &format!("{LABEL}=Always"));
    arguments(stage, &["--log-format=json", "--deletion-protection"]);
    refused(&shop, "remove the label first").await;
    label(stage, &shop, &format!("{LABEL}=Cascading"));
    refused(&shop, "spec.replicas is 1").await;
    let scale = [
        "-n",
        &shop.namespace,
        "scale",
        "cloneset",
        SET,
        "--replicas=0",
    ];
    stage.cluster.kubectl(&scale).expect("a scaled set");
    shop.sets
        .delete(SET, &DeleteParams::default())
        .await
        .expect("a set without replicas may go");
    arguments(stage, &["--log-format=json"]);
    shop.close().await;
}
