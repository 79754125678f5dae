//! The manager dies without a word in the middle of a rollout.

use std::time::Duration;

use harness::manager::MANAGER_PODS;
use harness::shop::{SELECTOR, identities, spec};
use harness::wait::within;
use harness::{Recorder, Shop, Stage, eventually};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};

const NEW: &str = "docker.io/local/app:v2";
const SYSTEM: &str = "insitu-system";
/// Well below the 15 s after which a silent leader's lease is up.
const HANDOVER: Duration = Duration::from_secs(8);

/// Kills the process of the manager's container in `pod` with SIGKILL.
fn kill(stage: &Stage, pod: &Pod) {
    let id = harness::shop::container(pod, "manager")
        .container_id
        .unwrap_or_default();
    let id = id.strip_prefix("containerd://").unwrap_or(&id).to_owned();
    stage
        .cluster
        .signal_container(&id, "SIGKILL")
        .expect("a killed container");
}

async fn managers(client: &Client) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    eventually("two managers run", async || {
        let all = pods
            .list(&ListParams::default().labels(MANAGER_PODS))
            .await
            .map_err(|e| e.to_string())?
            .items;
        let ready: Vec<Pod> = all.into_iter().filter(harness::shop::is_ready).collect();
        if ready.len() == 2 {
            Ok(ready)
        } else {
            Err(format!("{} are ready", ready.len()))
        }
    })
    .await
}

async fn leader(client: &Client) -> Pod {
    let leases: Api<Lease> = Api::namespaced(client.clone(), SYSTEM);
    let pods = managers(client).await;
    eventually("one of them leads", async || {
        let lease = leases
            .get("insitu-manager")
            .await
            .map_err(|e| e.to_string())?;
        let holder = lease
            .spec
            .and_then(|s| s.holder_identity)
            .unwrap_or_default();
        let found = pods
            .iter()
            .find(|p| holder.starts_with(&format!("{}_", p.name_any())));
        found.cloned().ok_or(holder)
    })
    .await
}

/// Starts a rollout of eight Pods and returns when it is in the middle.
async fn rollout_under_way(shop: &Shop) -> (Vec<Pod>, Recorder) {
    let before = shop.create_ready(spec(8)).await;
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;
    shop.image(NEW).await;
    eventually("the rollout is under way", async || {
        let new = shop
            .pods()
            .await
            .iter()
            .filter(|p| harness::shop::image(p, "main") == NEW)
            .count();
        if (2..7).contains(&new) {
            Ok(())
        } else {
            Err(format!("{new} of 8 are patched"))
        }
    })
    .await;
    (before, recorder)
}

async fn the_rollout_finished_unharmed(shop: &Shop, before: &[Pod], recorder: &Recorder) {
    shop.ready().await;
    assert_eq!(
        identities(&shop.pods().await),
        identities(before),
        "no Pod was recreated"
    );
    assert_eq!(recorder.unavailable_max(8), 1, "the budget was held");
    let harm = recorder.ready_on_old();
    assert!(
        harm.is_empty(),
        "Ready on a drained container:\n{}",
        recorder.story(&harm)
    );
}

#[tokio::test]
async fn kill_9_of_the_leader_hands_the_rollout_to_the_other_replica() {
    let (stage, client, shop) = crate::shop("kill-leader").await;
    if !stage.is_native() {
        eprintln!("skipped: containers of this cluster are not ours to kill");
        return;
    }
    let _alone = stage.alone().await;
    let leader = leader(&client).await;
    let (before, recorder) = rollout_under_way(&shop).await;
    kill(stage, &leader);
    the_rollout_finished_unharmed(&shop, &before, &recorder).await;
    managers(&client).await;
    shop.close().await;
}

#[tokio::test]
async fn kill_9_of_every_manager_in_the_middle_of_a_rollout_is_survived() {
    let (stage, client, shop) = crate::shop("kill-all").await;
    if !stage.is_native() {
        eprintln!("skipped: containers of this cluster are not ours to kill");
        return;
    }
    let _alone = stage.alone().await;
    let pods = managers(&client).await;
    let (before, recorder) = rollout_under_way(&shop).await;
    for pod in &pods {
        kill(stage, pod);
    }
    the_rollout_finished_unharmed(&shop, &before, &recorder).await;
    managers(&client).await;
    shop.close().await;
}

#[tokio::test]
async fn a_leader_that_is_told_to_stop_hands_over_at_once() {
    let (stage, client, shop) = crate::shop("sigterm").await;
    let _alone = stage.alone().await;
    let leader = leader(&client).await;
    let (before, recorder) = rollout_under_way(&shop).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    let gone = DeleteParams::default();
    pods.delete(&leader.name_any(), &gone)
        .await
        .expect("a deletion");
    let leases: Api<Lease> = Api::namespaced(client.clone(), SYSTEM);
    // The lease lasts 15 s: whoever holds it sooner was given it.
    within("the other replica leads", HANDOVER, async || {
        let lease = leases
            .get("insitu-manager")
            .await
            .map_err(|e| e.to_string())?;
        let holder = lease
            .spec
            .and_then(|s| s.holder_identity)
            .unwrap_or_default();
        let handed_over = !holder.is_empty() && !holder.starts_with(&leader.name_any());
        if handed_over { Ok(()) } else { Err(holder) }
    })
    .await;
    the_rollout_finished_unharmed(&shop, &before, &recorder).await;
    managers(&client).await;
    shop.close().await;
}
