//! The door is closed, broken, or has its locks changed: what goes on, and what is said.

use std::time::{Duration, Instant};

use harness::manager::WEBHOOK_PODS;
use harness::shop::{SET, container, image, is_ready, spec};
use harness::wait::within;
use harness::{Shop, Stage, eventually};
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::json;

mod protection;
mod rotation;

const NEW: &str = "docker.io/local/app:v2";
const SYSTEM: &str = "insitu-system";
const SECRET: &str = "insitu-webhook-certs";
/// For how long a fault may keep people from writing.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
const OLD: &str = "clonesets.v1alpha1.apps.kruise.io";

async fn webhooks(client: &Client) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    let only = ListParams::default().labels(WEBHOOK_PODS);
    pods.list(&only).await.expect("Pods").items
}

/// Scales the webhook and waits until it is so.
pub(crate) async fn doors(stage: &Stage, client: &Client, count: usize) {
    let replicas = format!("--replicas={count}");
    let scale = [
        "-n",
        SYSTEM,
        "scale",
        "deployment/insitu-webhook",
        &replicas,
    ];
    stage.cluster.kubectl(&scale).expect("a scaled webhook");
    eventually("as many doors", async || {
        let all = webhooks(client).await;
        let is_so = all.len() == count && all.iter().all(is_ready);
        is_so.then_some(()).ok_or_else(|| format!("{}", all.len()))
    })
    .await;
}

/// Whether a new CloneSet would be let in.
async fn admits(shop: &Shop) -> Result<(), String> {
    let asked = harness::door::ask(&shop.sets).await;
    asked.map_err(|error| format!("to create: {error:?}"))
}

/// Whether a new CloneSet would be let in, and the present one is shown in the old version.
async fn is_open(shop: &Shop) -> Result<(), String> {
    admits(shop).await?;
    let kind = GroupVersionKind::gvk("apps.kruise.io", "v1alpha1", "CloneSet");
    let old = ApiResource::from_gvk_with_plural(&kind, "clonesets");
    let old: Api<DynamicObject> = Api::namespaced_with(shop.client.clone(), &shop.namespace, &old);
    let seen = old.get(SET).await;
    seen.map(drop)
        .map_err(|error| format!("to see the old version: {error:?}"))
}

/// Takes the validation away, as somebody does who can wait no longer.
pub(crate) fn unregister(stage: &Stage) {
    let configuration = "validatingwebhookconfiguration/insitu-webhook";
    let delete = ["delete", configuration];
    stage
        .cluster
        .kubectl(&delete)
        .expect("a deleted configuration");
}

/// Applies it as it is shipped.
pub(crate) fn register(stage: &Stage) {
    let root = harness::manager::root().display();
    let file = format!("{root}/config/webhook/validating.yaml");
    let apply = ["apply", "--server-side", "-f", &file];
    stage.cluster.kubectl(&apply).expect("what is shipped");
}

pub(crate) async fn open_again(shop: &Shop, after: &str) {
    let what = format!("the door is open again after {after}");
    within(&what, OPEN_WITHIN, async || is_open(shop).await).await;
}

/// Sets the webhook's arguments; it starts anew, one replica after the other.
fn arguments(stage: &Stage, arguments: &[&str]) {
    let container = json!({"name": "webhook", "args": arguments});
    let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}}).to_string();
    let change = [
        "-n",
        SYSTEM,
        "patch",
        "deployment/insitu-webhook",
        "-p",
        &patch,
    ];
    stage.cluster.kubectl(&change).expect("changed arguments");
    let wait = [
        "-n",
        SYSTEM,
        "rollout",
        "status",
        "deployment/insitu-webhook",
        "--timeout=90s",
    ];
    stage.cluster.kubectl(&wait).expect("a finished rollout");
}

fn what_needs_it_says_so(stage: &Stage, shop: &Shop) {
    let old = ["-n", &shop.namespace, "get", OLD, SET];
    let said = stage.cluster.kubectl(&old).expect_err("a closed door");
    let said = format!("{said:#}");
    assert!(
        said.contains("conversion webhook") && said.contains("insitu-webhook"),
        "{said}"
    );
    let patch = r#"{"spec": {"minReadySeconds": 1}}"#;
    let edit = [
        "-n",
        &shop.namespace,
        "patch",
        "cloneset",
        SET,
        "--type=merge",
        "-p",
        patch,
    ];
    let said = stage.cluster.kubectl(&edit).expect_err("a closed door");
    let said = format!("{said:#}");
    assert!(said.contains("failed calling webhook"), "{said}");
}

async fn sets_and_namespaces_can_go(stage: &Stage, shop: &Shop, other: &Shop) {
    let label = ["-n", &shop.namespace, "label", "cloneset", SET, "shop=open"];
    stage.cluster.kubectl(&label).expect("a labelled set");
    let delete = [
        "-n",
        &shop.namespace,
        "delete",
        "cloneset",
        SET,
        "--cascade=foreground",
    ];
    stage.cluster.kubectl(&delete).expect("a deleted set");
    let namespaces: Api<Namespace> = Api::all(shop.client.clone());
    namespaces
        .delete(&other.namespace, &DeleteParams::default())
        .await
        .expect("a deleted namespace");
    eventually("the namespace is gone", async || {
        let left = namespaces.get_opt(&other.namespace).await;
        match left.map_err(|e| e.to_string())? {
            None => Ok(()),
            Some(namespace) => Err(format!("{:?}", namespace.status)),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_closed_door_everything_goes_on_but_new_specs() {
    let (stage, client, shop) = crate::shop("door-closed").await;
    let _alone = stage.alone().await;
    let other = Shop::open(client.clone(), "door-closed-too").await;
    other.create_ready(spec(1)).await;
    let mut first = spec(4);
    first["updateStrategy"] = json!({"rollingUpdate": {"maxUnavailable": 1}});
    shop.create_ready(first).await;
    shop.image(NEW).await;
    doors(stage, &client, 0).await;

    what_needs_it_says_so(stage, &shop);
    eventually("the rollout goes on to its end", async || {
        let pods = shop.pods().await;
        let new = pods
            .iter()
            .filter(|pod| is_ready(pod) && image(pod, "main") == NEW);
        match new.count() {
            4 => Ok(()),
            n => Err(format!("{n} of 4")),
        }
    })
    .await;
    let scale = [
        "-n",
        &shop.namespace,
        "scale",
        "cloneset",
        SET,
        "--replicas=5",
    ];
    stage.cluster.kubectl(&scale).expect("a scaled set");
    eventually("the status follows", async || {
        let set = shop.set().await;
        let ready = set.status.map(|status| status.ready_replicas);
        (ready == Some(5))
            .then_some(())
            .ok_or_else(|| format!("{ready:?}"))
    })
    .await;
    sets_and_namespaces_can_go(stage, &shop, &other).await;
    doors(stage, &client, 2).await;
    // Both are ready before every node knows the way to them.
    within("new sets are let in", OPEN_WITHIN, async || {
        admits(&shop).await
    })
    .await;
    shop.create_ready(spec(1)).await;
    open_again(&shop, "its replicas came back").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_opens_again_whatever_is_taken_away() {
    let (stage, client, shop) = crate::shop("door-heals").await;
    let _alone = stage.alone().await;
    shop.create_ready(spec(1)).await;
    open_again(&shop, "nothing").await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM);
    secrets
        .delete(SECRET, &DeleteParams::default())
        .await
        .expect("a deleted Secret");
    open_again(&shop, "the Secret was deleted").await;

    let damage = r#"{"data": {"tls.key": "bm9uc2Vuc2U=", "ca.crt": ""}}"#;
    let patch = ["-n", SYSTEM, "patch", "secret", SECRET, "-p", damage];
    stage.cluster.kubectl(&patch).expect("a damaged Secret");
    open_again(&shop, "the Secret was damaged").await;

    for object in [
        "validatingwebhookconfiguration/insitu-webhook",
        "crd/clonesets.apps.kruise.io",
    ] {
        let at = if object.starts_with("crd") {
            "/spec/conversion/webhook/clientConfig/caBundle"
        } else {
            "/webhooks/0/clientConfig/caBundle"
        };
        let empty = format!(r#"[{{"op": "remove", "path": "{at}"}}]"#);
        let patch = ["patch", object, "--type=json", "-p", &empty];
        stage.cluster.kubectl(&patch).expect("an emptied bundle");
        open_again(&shop, &format!("the bundle of {object} was emptied")).await;
    }

    unregister(stage);
    register(stage);
    open_again(&shop, "the configuration was applied again").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_hangs_keeps_nobody_out_for_long() {
    let (stage, client, shop) = crate::shop("door-hangs").await;
    if !stage.is_native() {
        eprintln!("skipped: containers of this cluster are not ours to stop");
        return;
    }
    let _alone = stage.alone().await;
    shop.create_ready(spec(1)).await;
    let hanging = webhooks(&client).await.remove(0);
    let id = container(&hanging, "webhook")
        .container_id
        .unwrap_or_default();
    let id = id.trim_start_matches("containerd://").to_owned();
    stage
        .cluster
        .signal_container(&id, "SIGSTOP")
        .expect("a stopped process");
    let (since, mut kept_out) = (Instant::now(), Duration::ZERO);
    // Once is no proof: half of the questions go elsewhere. Every connection that the API server
    // still has to the replica costs one question its timeout. Conversions are another story: an
    // API server waits 30 s for one that has reached the replica.
    while since.elapsed() < kept_out + OPEN_WITHIN * 2 {
        let asked = since.elapsed();
        if let Err(error) = admits(&shop).await {
            eprintln!("asked after {asked:?}: {error}");
            kept_out = asked;
        }
    }
    stage
        .cluster
        .signal_container(&id, "SIGCONT")
        .expect("it goes on");
    eprintln!("who asked after {kept_out:?} was the last to be kept out");
    assert!(
        kept_out < OPEN_WITHIN,
        "who asked after {kept_out:?} was kept out"
    );
    eventually("both are ready", async || {
        let all = webhooks(&client).await;
        let ready = all.iter().filter(|pod| is_ready(pod)).count();
        (ready == 2).then_some(()).ok_or_else(|| format!("{ready}"))
    })
    .await;
    shop.close().await;
}
