//! New Pods are given what SidecarSets say, as an API server sees it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::door::{CONFIGURATION, NAMESPACE, SERVICE};
use harness::shop::image;
use harness::{Shop, eventually};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use webhook::server::{self, Server};
use webhook::tls;

use crate::served::Served;
use crate::sidecars::{agent, clear, sidecar_set, sidecar_sets};
use crate::stage::Stage;

fn pod(name: &str, app: &str) -> Pod {
    let pod = json!({"metadata": {"name": name, "labels": {"app": app}},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]}});
    serde_json::from_value(pod).expect("a Pod")
}

fn containers(pod: &Pod) -> Vec<String> {
    let spec = pod.spec.clone().unwrap_or_default();
    spec.containers.into_iter().map(|c| c.name).collect()
}

/// Which containers a new Pod would have.
async fn asked(shop: &Shop, app: &str) -> Result<Vec<String>, String> {
    let made = shop.would_be(&pod("asked", app)).await;
    made.map(|pod| containers(&pod))
}

async fn until(shop: &Shop, app: &str, expected: &[&str]) {
    eventually(&format!("{app}: {expected:?}"), async || {
        let found = asked(shop, app).await?;
        (found == expected)
            .then_some(())
            .ok_or_else(|| format!("{found:?}"))
    })
    .await;
}

async fn apply(client: &Client, name: &str, spec: &Value) {
    let set = sidecar_set("v1beta1", name, spec);
    let params = PatchParams::apply("tests").force();
    let all = sidecar_sets(client, "v1beta1");
    all.patch(name, &params, &Patch::Apply(set))
        .await
        .expect("a set");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_injected_whoever_makes_them() {
    let (stage, client, _turn) = Stage::turn().await;
    let _served = Served::start(stage, &client).await;
    let shop = Shop::open(client.clone(), "injected").await;
    let mut spec = agent("web");
    spec["volumes"] = json!([{"name": "buffer", "emptyDir": {}}]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "buffer", "mountPath": "/buffer"}]);
    spec["initContainers"] =
        json!([{"name": "native", "image": "native:1", "restartPolicy": "Always"}]);
    apply(&client, "log", &spec).await;
    until(&shop, "web", &["agent", "main"]).await;
    until(&shop, "other", &["main"]).await;

    let made = shop
        .pods
        .create(&PostParams::default(), &pod("bare", "web"))
        .await;
    let made = made.expect("a Pod");
    assert_eq!(containers(&made), ["agent", "main"]);
    let of_pod = made.spec.clone().unwrap_or_default();
    assert_eq!(of_pod.init_containers.unwrap_or_default()[0].name, "native");
    assert!(
        of_pod
            .volumes
            .unwrap_or_default()
            .iter()
            .any(|v| v.name == "buffer")
    );
    let annotations = made.metadata.annotations.unwrap_or_default();
    assert_eq!(annotations["kruise.io/sidecarset-injected-list"], "log");

    let deployment = json!({"metadata": {"name": "web"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "web:1"}]}}}});
    let deployment: Deployment = serde_json::from_value(deployment).expect("a Deployment");
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &shop.namespace);
    deployments
        .create(&PostParams::default(), &deployment)
        .await
        .expect("a Deployment");
    eventually("the Deployment's Pods are injected", async || {
        let pods = shop
            .pods
            .list(&ListParams::default())
            .await
            .map_err(|e| e.to_string())?;
        let injected = pods
            .items
            .iter()
            .filter(|pod| containers(pod) == ["agent", "main"]);
        match (pods.items.len(), injected.count()) {
            (3, 3) => Ok(()),
            counts => Err(format!("{counts:?}")),
        }
    })
    .await;
    clear(&client).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_set_says_next_holds_for_pods_that_come_next() {
    let (stage, client, _turn) = Stage::turn().await;
    let _served = Served::start(stage, &client).await;
    let shop = Shop::open(client.clone(), "followed").await;
    let mut spec = agent("web");
    spec["namespaceSelector"] = json!({"matchLabels": {"tier": "front"}});
    apply(&client, "log", &spec).await;
    until(&shop, "web", &["main"]).await;
    // The namespace changes, then the set, in every way.
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let label = Patch::Merge(json!({"metadata": {"labels": {"tier": "front"}}}));
    namespaces
        .patch(&shop.namespace, &PatchParams::default(), &label)
        .await
        .expect("a label");
    until(&shop, "web", &["agent", "main"]).await;
    spec["injectionStrategy"] = json!({"paused": true});
    apply(&client, "log", &spec).await;
    until(&shop, "web", &["main"]).await;
    spec["injectionStrategy"] = json!({"paused": false});
    spec["containers"][0]["podInjectPolicy"] = "AfterAppContainer".into();
    apply(&client, "log", &spec).await;
    until(&shop, "web", &["main", "agent"]).await;
    // In a namespace that is as new as its Pod.
    for n in 0..5 {
        let name = format!("{}-{n}", shop.namespace);
        let new = json!({"metadata": {"name": name, "labels": {"tier": "front"}}});
        let new = serde_json::from_value(new).expect("a namespace");
        namespaces
            .create(&PostParams::default(), &new)
            .await
            .expect("a namespace");
        let pods: Api<Pod> = Api::namespaced(client.clone(), &name);
        let first = pod("first", "web");
        // Refused until somebody has made its service account.
        let made = eventually("a Pod in the new namespace", async || {
            let made = pods.create(&PostParams::default(), &first).await;
            made.map_err(|error| error.to_string())
        })
        .await;
        assert_eq!(containers(&made), ["main", "agent"], "{n}");
        let gone = namespaces.delete(&name, &DeleteParams::default()).await;
        gone.expect("a deletion");
    }
    clear(&client).await;
    until(&shop, "web", &["main"]).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_cannot_be_injected_is_let_in_with_a_warning() {
    let (stage, client, _turn) = Stage::turn().await;
    let _served = Served::start(stage, &client).await;
    let shop = Shop::open(client.clone(), "left-out").await;
    let mut spec = agent("web");
    spec["containers"][0]["name"] = "main".into();
    spec["containers"][0]["image"] = "another:1".into();
    apply(&client, "log", &spec).await;
    let file = stage.cluster.dir().join("left-out.json");
    let mut manifest = serde_json::to_value(pod("bare", "web")).expect("JSON");
    manifest["apiVersion"] = "v1".into();
    manifest["kind"] = "Pod".into();
    std::fs::write(&file, manifest.to_string()).expect("a file");
    let file = file.to_str().expect("a path of text");
    // Warnings go to stderr, and this flag makes them the result.
    let create = [
        "-n",
        &shop.namespace,
        "create",
        "-f",
        file,
        "--dry-run=server",
    ];
    let strict = [&create[..], &["--warnings-as-errors"]].concat();
    eventually("kubectl prints the warning", async || {
        match stage.cluster.kubectl(&strict) {
            Ok(said) => Err(format!("no warning: {said}")),
            Err(error) => {
                let said = format!("{error:#}");
                let is_so = said.contains("SidecarSet log was not injected");
                is_so.then_some(()).ok_or(said)
            }
        }
    })
    .await;
    until(&shop, "web", &["main"]).await;
    clear(&client).await;
    shop.close().await;
}

/// A webhook as meshes have one: it adds a container of its own, wherever it is asked.
async fn mesh(served: &Served, stage: &Stage) -> (u16, DropGuard) {
    let answer = |body: Bytes| async move {
        let review: Value = serde_json::from_slice(&body).unwrap_or_default();
        let request = &review["request"];
        let containers = request["object"]["spec"]["containers"].as_array();
        let has = containers.is_some_and(|all| all.iter().any(|c| c["name"] == "mesh"));
        let mut response = json!({"uid": request["uid"], "allowed": true});
        if !has {
            let patch = json!([
                {"op": "add", "path": "/spec/containers/0", "value": {"name": "mesh", "image": "mesh:1"}},
                {"op": "add", "path": "/metadata/labels/mesh", "value": "yes"},
            ]);
            response["patch"] = STANDARD.encode(patch.to_string()).into();
            response["patchType"] = "JSONPatch".into();
        }
        let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": response});
        ([("content-type", "application/json")], answer.to_string())
    };
    let shown = served.shown();
    let server = Server {
        tls: Arc::new(tls::config(Arc::clone(&shown.identity), None).expect("TLS")),
        router: Router::new().route("/mesh", post(answer)),
        limits: server::Limits::default(),
        metrics: shown.metrics.clone(),
    };
    let ip = stage.cluster.host_ip().expect("a way out of the cluster");
    let listener = TcpListener::bind((ip, 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let stop = CancellationToken::new();
    tokio::spawn(server.serve(listener, stop.clone()));
    (port, stop.drop_guard())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_webhook_before_or_behind_makes_no_difference() {
    let (stage, client, _turn) = Stage::turn().await;
    let served = Served::start(stage, &client).await;
    let shop = Shop::open(client.clone(), "meshed").await;
    let (port, _stop) = mesh(&served, stage).await;
    // It selects by what the mesh adds: before the mesh was asked there is nothing to inject.
    let mut late = agent("web");
    late["selector"] = json!({"matchLabels": {"app": "web", "mesh": "yes"}});
    late["containers"][0]["name"] = "late".into();
    apply(&client, "late", &late).await;
    apply(&client, "log", &agent("web")).await;
    until(&shop, "web", &["agent", "main"]).await;

    let all: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let ours = all
        .get(CONFIGURATION)
        .await
        .expect("ours")
        .webhooks
        .unwrap_or_default();
    let bundle = ours[0].client_config.ca_bundle.clone();
    for name in ["aaa-mesh", "zzz-mesh"] {
        let other = json!({
            "metadata": {"name": name},
            "webhooks": [{
                "name": "mesh.example.com", "admissionReviewVersions": ["v1"],
                "sideEffects": "None", "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
                "clientConfig": {"caBundle": bundle, "service": {"name": SERVICE,
                    "namespace": NAMESPACE, "path": "/mesh", "port": port}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
                    "operations": ["CREATE"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": shop.namespace}},
            }],
        });
        let other = serde_json::from_value(other).expect("a configuration");
        all.create(&PostParams::default(), &other)
            .await
            .expect("another webhook");
        eventually(
            &format!("{name}: everybody's container is there once"),
            async || {
                let mut found = asked(&shop, "web").await?;
                found.sort();
                let expected = ["agent", "late", "main", "mesh"];
                (found == expected)
                    .then_some(())
                    .ok_or_else(|| format!("{found:?}"))
            },
        )
        .await;
        all.delete(name, &DeleteParams::default())
            .await
            .expect("a deletion");
        until(&shop, "web", &["agent", "main"]).await;
    }
    clear(&client).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_closed_door_pods_are_made_without() {
    let (stage, client, _turn) = Stage::turn().await;
    let served = Served::start(stage, &client).await;
    let shop = Shop::open(client.clone(), "closed").await;
    apply(&client, "log", &agent("web")).await;
    until(&shop, "web", &["agent", "main"]).await;
    drop(served);
    until(&shop, "web", &["main"]).await;
    let again = Served::start(stage, &client).await;
    until(&shop, "web", &["agent", "main"]).await;
    clear(&client).await;
    shop.close().await;
    drop(again);
}

/// Applies all of `objects` at once, as a person does who has them in one file.
fn apply_file(stage: &Stage, name: &str, objects: &[Value]) -> cluster::Result<String> {
    let file = stage.cluster.dir().join(format!("{name}.json"));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    std::fs::write(&file, list.to_string()).expect("a file");
    let file = file.to_str().expect("a path of text");
    stage
        .cluster
        .kubectl(&["apply", "--server-side", "-f", file])
}

fn manifest(name: &str, annotations: &Value, spec: &Value) -> Value {
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
        "metadata": {"name": name, "annotations": annotations}, "spec": spec})
}

/// Waits until the agent of a new Pod would have this image.
async fn until_agent(shop: &Shop, expected: &str) {
    eventually(expected, async || {
        let found = image(&shop.would_be(&pod("asked", "web")).await?, "agent");
        (found == expected).then_some(()).ok_or(found)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_stands_in_for_its_base_and_nobody_else_may_clash_with_it() {
    let (stage, client, _turn) = Stage::turn().await;
    let _served = Served::start(stage, &client).await;
    let shop = Shop::open(client.clone(), "canary").await;
    let mut next = agent("web");
    next["containers"][0]["image"] = "agent:2".into();
    next["updateStrategy"] = json!({"type": "NotUpdate"});
    let annotations = json!({"apps.kruise.io/sidecarset-canary": "true",
        "apps.kruise.io/sidecarset-base": "log"});
    let both = [
        manifest("log", &json!({}), &agent("web")),
        manifest("log-next", &annotations, &next),
    ];
    // The second may be asked about before the watch has told of the first.
    apply_file(stage, "canary", &both).expect("a base and its canary");
    until_agent(&shop, "agent:2").await;

    let clash = [manifest("another", &json!({}), &agent("web"))];
    let said = apply_file(stage, "clash", &clash).expect_err("a refusal");
    let said = format!("{said:#}");
    assert!(said.contains("spec.containers[0].name"), "{said}");
    let all = sidecar_sets(&client, "v1beta1");
    let gone = all.delete("log-next", &DeleteParams::default()).await;
    gone.expect("a deletion");
    until_agent(&shop, "agent:1").await;
    clear(&client).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_and_the_white_list_are_looked_up_beside_the_webhook() {
    let (stage, client, _turn) = Stage::turn().await;
    let _served = Served::start(stage, &client).await;
    let shop = Shop::open(client.clone(), "beside").await;
    let mut spec = agent("web");
    spec["containers"][0]["image"] = "agent:2".into();
    spec["patchPodMetadata"] = json!([{"annotations": {"mesh/port": "1"}}]);
    spec["injectionStrategy"] = json!({"revision": {"customVersion": "one"}});
    let set = [manifest("log", &json!({}), &spec)];
    let said = apply_file(stage, "beside", &set).expect_err("a refusal");
    let said = format!("{said:#}");
    for path in [
        "spec.injectionStrategy.revision",
        "spec.patchPodMetadata[0]",
    ] {
        assert!(said.contains(path), "{path} is not in: {said}");
    }

    let rules = json!({"rules": [{"allowedAnnotationKeyExprs": ["^mesh/"]}]});
    let beside = [
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "kruise-configuration", "namespace": NAMESPACE},
            "data": {"SidecarSet_PatchPodMetadata_WhiteList": rules.to_string()}}),
        json!({"apiVersion": "apps/v1", "kind": "ControllerRevision",
            "metadata": {"name": "log-1", "namespace": NAMESPACE, "labels": {
                "kruise.io/sidecarset-name": "log",
                "apps.kruise.io/sidecarset-custom-version": "one"}},
            "revision": 1, "data": {"spec": {
                "containers": [{"name": "agent", "image": "agent:1"}],
                "patchPodMetadata": spec["patchPodMetadata"]}}}),
    ];
    apply_file(stage, "rules", &beside).expect("a ConfigMap and a revision");
    eventually("the set is let in", async || {
        let applied = apply_file(stage, "beside", &set);
        applied.map_err(|error| format!("{error:#}"))
    })
    .await;
    until_agent(&shop, "agent:1").await;
    let made = shop
        .pods
        .create(&PostParams::default(), &pod("bare", "web"))
        .await;
    let annotations = made
        .expect("a Pod")
        .metadata
        .annotations
        .unwrap_or_default();
    assert_eq!(annotations.get("mesh/port").map(String::as_str), Some("1"));
    for object in ["configmap/kruise-configuration", "controllerrevision/log-1"] {
        stage.kubectl(&["-n", NAMESPACE, "delete", object]);
    }
    clear(&client).await;
    shop.close().await;
}
