//! Bare Pods, and the three writes an update in place is made of; as lean as the API allows, since
//! what is built of them stands for the best that a controller could reach.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use kube::Client;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use serde_json::{Value, json};

use crate::pod::{GATE, List, Pod};
use crate::wait;

const LABEL: &str = "app";

/// The Pods of one namespace that carry one label.
#[derive(Clone)]
pub(crate) struct Pods {
    client: Client,
    path: Request,
    /// Value of the label.
    app: String,
}

impl Pods {
    pub(crate) fn new(client: Client, namespace: &str, app: &str) -> Self {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        Self {
            client,
            path: Request::new(path),
            app: app.to_owned(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn path(&self) -> &Request {
        &self.path
    }

    pub(crate) fn selector(&self) -> String {
        format!("{LABEL}={}", self.app)
    }

    /// Creates `names` from `spec`, with the readiness gate, `at_once` of them at a time, and opens
    /// their gates.
    pub(crate) async fn create(
        &self,
        names: &[String],
        spec: &Value,
        at_once: usize,
    ) -> Result<()> {
        let mut spec = spec.clone();
        spec["readinessGates"] = json!([{"conditionType": GATE}]);
        let spec = &spec;
        let creations = stream::iter(names).map(|name| async move {
            let labels = json!({LABEL: self.app});
            let metadata = json!({"name": name, "labels": labels});
            let pod =
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
            let request = self
                .path
                .create(&PostParams::default(), serde_json::to_vec(&pod)?)?;
            let created: Pod = self
                .client
                .request(request)
                .await
                .context("failed to create")?;
            self.open(created.name()).await
        });
        creations.buffer_unordered(at_once).try_collect().await
    }

    /// Takes the Pod out of service: the gate closes and Ready falls in one write.
    pub(crate) async fn drain(&self, name: &str) -> Result<()> {
        let since = jiff::Timestamp::now()
            .round(jiff::Unit::Second)?
            .to_string();
        let conditions = json!([
            {"type": GATE, "status": "False", "lastTransitionTime": since},
            {"type": "Ready", "status": "False", "lastTransitionTime": since},
        ]);
        self.conditions(name, &conditions).await
    }

    /// Opens the gate; whether the Pod is Ready is up to its containers from then on.
    pub(crate) async fn open(&self, name: &str) -> Result<()> {
        self.conditions(name, &json!([{"type": GATE, "status": "True"}]))
            .await
    }

    /// Changes the image of the first container; gives the new generation.
    pub(crate) async fn image(&self, name: &str, image: &str) -> Result<i64> {
        let path = "/spec/containers/0/image";
        let patch = json!([{"op": "replace", "path": path, "value": image}]);
        let patch = Patch::<()>::Json(serde_json::from_value(patch)?);
        let request = self.path.patch(name, &PatchParams::default(), &patch)?;
        let pod: Pod = self
            .client
            .request(request)
            .await
            .context("failed to change an image")?;
        Ok(pod.metadata.generation)
    }

    async fn conditions(&self, name: &str, conditions: &Value) -> Result<()> {
        let patch = Patch::Strategic(json!({"status": {"conditions": conditions}}));
        let params = PatchParams::default();
        let request = self
            .path
            .patch_subresource("status", name, &params, &patch)?;
        self.client
            .request_text(request)
            .await
            .context("failed to change a status")?;
        Ok(())
    }

    pub(crate) async fn list(&self) -> Result<List> {
        let request = self
            .path
            .list(&ListParams::default().labels(&self.selector()))?;
        self.client
            .request(request)
            .await
            .context("failed to list Pods")
    }

    /// The Pods by name.
    pub(crate) async fn by_name(&self) -> Result<BTreeMap<String, Pod>> {
        let pods = self.list().await?.items.into_iter();
        Ok(pods.map(|pod| (pod.metadata.name.clone(), pod)).collect())
    }

    /// Waits until `count` of them are Ready.
    pub(crate) async fn all_ready(&self, count: usize) -> Result<()> {
        wait::until("all Pods are Ready", async || {
            let ready = self
                .list()
                .await?
                .items
                .iter()
                .filter(|pod| pod.is_ready())
                .count();
            Ok(if ready == count {
                Ok(())
            } else {
                Err(format!("{ready} of {count} are Ready"))
            })
        })
        .await
    }

    /// Deletes all of them and waits until none is left.
    pub(crate) async fn delete(&self) -> Result<()> {
        let selected = ListParams::default().labels(&self.selector());
        let now = DeleteParams::default().grace_period(1);
        self.client
            .request_text(self.path.delete_collection(&now, &selected)?)
            .await?;
        self.gone().await
    }

    /// Waits until none is left.
    pub(crate) async fn gone(&self) -> Result<()> {
        wait::until("all Pods are gone", async || {
            let left = self.list().await?.items.len();
            Ok(if left == 0 {
                Ok(())
            } else {
                Err(format!("{left} left"))
            })
        })
        .await
    }
}
