//! The webhook as a whole, in this process: an API server asks it.

use harness::door::NAMESPACE;
use harness::{door, eventually};
use kube::api::{ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use webhook::certs::Lifetimes;
use webhook::keeper::Shown;
use webhook::server::Server;
use webhook::sets::{Followed, Sets, follow};
use webhook::validate::Rules;
use webhook::{router, server, tls};

use crate::stage::{Replica, Stage};

/// A replica that serves; gone when dropped.
pub(crate) struct Served {
    replica: Replica,
    _stop: DropGuard,
}

impl Served {
    /// Starts it, and waits until the API server believes it.
    pub(crate) async fn start(stage: &Stage, client: &Client) -> Self {
        let replica = Replica::start(client, Lifetimes::default());
        let shown = replica.shown();
        let stop = CancellationToken::new();
        let known = Arc::new(Sets::new(Some(client.clone())));
        for followed in Followed::ALL {
            let (sets, watches, namespace) = (Arc::clone(&known), client.clone(), NAMESPACE);
            let following = follow(sets, followed, watches, namespace.into(), stop.clone());
            tokio::spawn(following);
        }
        let server = Server {
            tls: Arc::new(tls::config(Arc::clone(&shown.identity), None).expect("TLS")),
            router: router::router(
                router::Limits::default(),
                Rules::default(),
                Arc::clone(&known),
                shown.metrics.clone(),
            ),
            limits: server::Limits::default(),
            metrics: shown.metrics.clone(),
        };
        // Where the cluster reaches this process.
        let ip = stage.cluster.host_ip().expect("a way out of the cluster");
        let listener = TcpListener::bind((ip, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(server.serve(listener, stop.clone()));
        door::lead(client, address)
            .await
            .expect("a way to the webhook");
        eventually("the API server believes the webhook", async || {
            let dry = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            let set = object("v1alpha1", "asked", &minimal());
            let asked = sets(client, "v1alpha1").create(&dry, &set).await;
            asked.map(drop).map_err(|error| error.to_string())
        })
        .await;
        eventually("the sets are known", async || {
            let is_filled = known.read().is_filled();
            is_filled.then_some(()).ok_or_else(|| format!("{known:?}"))
        })
        .await;
        Self {
            replica,
            _stop: stop.drop_guard(),
        }
    }

    /// What it shows.
    pub(crate) fn shown(&self) -> &Shown {
        self.replica.shown()
    }
}

fn kind(version: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk("apps.kruise.io", version, "CloneSet");
    ApiResource::from_gvk_with_plural(&kind, "clonesets")
}

/// CloneSets of a version.
pub(crate) fn sets(client: &Client, version: &str) -> Api<DynamicObject> {
    Api::default_namespaced_with(client.clone(), &kind(version))
}

/// One of them.
pub(crate) fn object(version: &str, name: &str, spec: &Value) -> DynamicObject {
    DynamicObject::new(name, &kind(version)).data(json!({"spec": spec}))
}

/// As little as a CloneSet can be.
pub(crate) fn minimal() -> Value {
    json!({
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "web:1"}]},
        },
    })
}

/// Leaves no CloneSet behind.
pub(crate) async fn clear(client: &Client) {
    sets(client, "v1beta1")
        .delete_collection(&kube::api::DeleteParams::default(), &ListParams::default())
        .await
        .expect("nothing left");
}
