//! A namespace of its own for one test, with the handful of things that tests do in it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use apis::{CloneSet, CloneSetStatus};
use k8s_openapi::api::core::v1::{ContainerStatus, Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::wait::eventually;

/// Label value and name of the one set of a shop.
pub const SET: &str = "web";
/// Selects the Pods of the set.
pub const SELECTOR: &str = "app=web";

/// A namespace.
pub struct Shop {
    /// Its name.
    pub namespace: String,
    /// Cluster-admin.
    pub client: Client,
    /// Its CloneSets.
    pub sets: Api<CloneSet>,
    /// Its Pods.
    pub pods: Api<Pod>,
}

impl Shop {
    /// Opens a fresh namespace called after `test`.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn open(client: Client, test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("{test}-{}-{count}", std::process::id());
        let object = Namespace {
            metadata: kube::core::ObjectMeta {
                name: Some(namespace.clone()),
                ..Default::default()
            },
            ..Default::default()
        };
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces
            .create(&PostParams::default(), &object)
            .await
            .expect("a namespace");
        // Pods are refused until the namespace has its default service account.
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
            Api::namespaced(client.clone(), &namespace);
        eventually("the default service account", async || {
            accounts
                .get("default")
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .await;
        Self {
            sets: Api::namespaced(client.clone(), &namespace),
            pods: Api::namespaced(client.clone(), &namespace),
            namespace,
            client,
        }
    }

    /// Creates the set from `spec`.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn create(&self, spec: Value) -> CloneSet {
        let object = json!({
            "apiVersion": "apps.kruise.io/v1beta1",
            "kind": "CloneSet",
            "metadata": {"name": SET},
            "spec": spec,
        });
        let object = serde_json::from_value(object).expect("a CloneSet");
        self.sets
            .create(&PostParams::default(), &object)
            .await
            .expect("a created CloneSet")
    }

    /// Creates the set and waits until it is Ready.
    ///
    /// # Panics
    /// When it does not become so.
    pub async fn create_ready(&self, spec: Value) -> Vec<Pod> {
        self.create(spec).await;
        self.ready().await;
        self.pods().await
    }

    /// Merges `patch` into the set's spec.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn change(&self, patch: Value) {
        let patch = Patch::Merge(json!({"spec": patch}));
        self.sets
            .patch(SET, &PatchParams::default(), &patch)
            .await
            .expect("a changed CloneSet");
    }

    /// Sets the rolling update's `field`.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn rolling(&self, field: &str, value: Value) {
        self.change(json!({"updateStrategy": {"rollingUpdate": {field: value}}}))
            .await;
    }

    /// Sets the value at `pointer` below `spec.template`, which must exist.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn template(&self, pointer: &str, value: Value) {
        let field = format!("/spec/template{pointer}");
        let add = json!([{"op": "add", "path": field, "value": value}]);
        let patch: Patch<Value> = Patch::Json(serde_json::from_value(add).expect("a JSON patch"));
        self.sets
            .patch(SET, &PatchParams::default(), &patch)
            .await
            .expect("a changed template");
    }

    /// Sets the image of the first container.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn image(&self, image: &str) {
        self.template("/spec/containers/0/image", json!(image))
            .await;
    }

    /// The set as it is.
    ///
    /// # Panics
    /// When it is gone.
    pub async fn set(&self) -> CloneSet {
        self.sets.get(SET).await.expect("the CloneSet")
    }

    /// Waits until the status speaks of the newest spec and `wanted` says yes.
    ///
    /// # Panics
    /// With the status, when it does not come to that.
    pub async fn status(
        &self,
        what: &str,
        wanted: impl Fn(&CloneSetStatus) -> bool,
    ) -> CloneSetStatus {
        eventually(what, async || {
            let set = self
                .sets
                .get(SET)
                .await
                .map_err(|error| error.to_string())?;
            let status = set.status.clone().unwrap_or_default();
            let fresh = status.observed_generation == set.metadata.generation;
            if fresh && wanted(&status) {
                Ok(status)
            } else {
                Err(format!("{status:#?}"))
            }
        })
        .await
    }

    /// Waits for Ready of the newest spec, as `kubectl wait --for=condition=Ready` does.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn ready(&self) -> CloneSetStatus {
        self.status("the set is Ready", |status| {
            condition(status, "Ready").0 == "True"
        })
        .await
    }

    /// Pods that are not on their way out, by name.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn pods(&self) -> Vec<Pod> {
        let list = self
            .pods
            .list(&ListParams::default().labels(SELECTOR))
            .await
            .expect("Pods");
        let mut pods: Vec<Pod> = list
            .items
            .into_iter()
            .filter(|p| p.metadata.deletion_timestamp.is_none())
            .collect();
        pods.sort_by_key(ResourceExt::name_any);
        pods
    }

    /// `pod` as it would be created now.
    ///
    /// # Errors
    /// Why it would not.
    pub async fn would_be(&self, pod: &Pod) -> Result<Pod, String> {
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let made = self.pods.create(&dry, pod).await;
        made.map_err(|error| error.to_string())
    }

    /// Deletes the namespace without waiting for it.
    pub async fn close(self) {
        let namespaces: Api<Namespace> = Api::all(self.client);
        let _ = namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await;
    }
}

/// Status, reason and message of a condition.
pub fn condition(status: &CloneSetStatus, type_: &str) -> (String, String, String) {
    let found = status.conditions.iter().find(|c| c.type_ == type_);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    found
        .map(|c| (c.status.clone(), text(&c.reason), text(&c.message)))
        .unwrap_or_default()
}

/// The Ready condition of a Pod.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|c| c.type_ == "Ready" && c.status == "True")
}

/// The status of container `name`, native sidecars included.
///
/// # Panics
/// When it has none.
pub fn container(pod: &Pod, name: &str) -> ContainerStatus {
    let status = pod.status.clone().unwrap_or_default();
    let app = status.container_statuses.unwrap_or_default();
    let init = status.init_container_statuses.unwrap_or_default();
    let found = app.into_iter().chain(init).find(|s| s.name == name);
    found.unwrap_or_else(|| panic!("Pod {} has no status of container {name}", pod.name_any()))
}

/// The image in the spec of container `name`.
pub fn image(pod: &Pod, name: &str) -> String {
    let spec = pod.spec.clone().unwrap_or_default();
    let mut all = spec
        .containers
        .into_iter()
        .chain(spec.init_containers.unwrap_or_default());
    all.find(|c| c.name == name)
        .and_then(|c| c.image)
        .unwrap_or_default()
}

/// UID, IP and node of each Pod, by name: what an update in place keeps.
pub fn identities(pods: &[Pod]) -> BTreeMap<String, (String, String, String)> {
    let of = |pod: &Pod| {
        let ip = pod
            .status
            .as_ref()
            .and_then(|s| s.pod_ip.clone())
            .unwrap_or_default();
        let node = pod
            .spec
            .as_ref()
            .and_then(|s| s.node_name.clone())
            .unwrap_or_default();
        (pod.uid().unwrap_or_default(), ip, node)
    };
    pods.iter().map(|pod| (pod.name_any(), of(pod))).collect()
}

/// A spec of `replicas` Pods with two containers, `main` at `app:v1` and `log`, that are updated in
/// place one at a time.
pub fn spec(replicas: usize) -> Value {
    let probe = json!({"exec": {"command": ["/bin/busybox", "true"]}, "periodSeconds": 1});
    json!({
        "replicas": replicas,
        "selector": {"matchLabels": {"app": SET}},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {
            "podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 1}},
        "template": {
            "metadata": {"labels": {"app": SET}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {"name": "main", "image": "docker.io/local/app:v1",
                     "imagePullPolicy": "IfNotPresent", "readinessProbe": probe},
                    {"name": "log", "image": "docker.io/local/log:v1",
                     "imagePullPolicy": "IfNotPresent"},
                ]
            }
        }
    })
}
