//! The one CloneSet of a namespace: created, changed, waited for.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use apis::CloneSetStatus;
use harness::Shop;
use harness::shop::SET;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::manager::Manager;
use crate::pods::Pods;
use crate::wait;

/// A CloneSet of `replicas` Pods in a namespace of its own.
pub(crate) struct Set<'a> {
    shop: &'a Shop,
    manager: &'a Manager,
    replicas: i32,
    pub(crate) pods: Pods,
}

impl<'a> Set<'a> {
    pub(crate) fn new(shop: &'a Shop, manager: &'a Manager, replicas: i32) -> Self {
        let pods = Pods::new(shop.client.clone(), &shop.namespace, SET);
        Self {
            shop,
            manager,
            replicas,
            pods,
        }
    }

    /// Creates it of Pods like `pod`, updated in place; gives the time until all are Ready.
    pub(crate) async fn create(&self, pod: &Value, max_unavailable: &Value) -> Result<Duration> {
        let labels = json!({"app": SET});
        let rolling = json!({
            "podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": max_unavailable});
        let object = json!({
            "apiVersion": "apps.kruise.io/v1beta1",
            "kind": "CloneSet",
            "metadata": {"name": SET},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": labels},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            }
        });
        let object = serde_json::from_value(object)?;
        let start = Instant::now();
        let created = self
            .shop
            .sets
            .create(&PostParams::default(), &object)
            .await?;
        self.settled(created.metadata.generation).await?;
        Ok(start.elapsed())
    }

    /// Changes the image of the first container; gives the generation to wait for.
    pub(crate) async fn image(&self, image: &str) -> Result<Option<i64>> {
        let path = "/spec/template/spec/containers/0/image";
        let patch = json!([{"op": "replace", "path": path, "value": image}]);
        let patch = Patch::<()>::Json(serde_json::from_value(patch)?);
        let changed = self
            .shop
            .sets
            .patch(SET, &PatchParams::default(), &patch)
            .await;
        Ok(changed
            .context("failed to change the CloneSet")?
            .metadata
            .generation)
    }

    /// Waits until the status says that all Pods are Ready at `generation`.
    pub(crate) async fn settled(&self, generation: Option<i64>) -> Result<()> {
        wait::until("the CloneSet is Ready", async || {
            self.manager.check()?;
            let set = self.shop.sets.get(SET).await?;
            let status = set.status.unwrap_or_default();
            let is_settled = status.observed_generation == generation && self.has_all(&status);
            Ok(if is_settled {
                Ok(())
            } else {
                Err(self.progress(&status))
            })
        })
        .await
    }

    /// Deletes it and waits until its Pods are gone.
    pub(crate) async fn delete(&self) -> Result<()> {
        self.shop
            .sets
            .delete(SET, &DeleteParams::foreground())
            .await?;
        self.pods.gone().await
    }

    fn has_all(&self, status: &CloneSetStatus) -> bool {
        [
            status.replicas,
            status.ready_replicas,
            status.updated_replicas,
            status.updated_ready_replicas,
        ]
        .iter()
        .all(|count| *count == self.replicas)
    }

    fn progress(&self, status: &CloneSetStatus) -> String {
        let (updated, ready) = (status.updated_ready_replicas, status.ready_replicas);
        format!(
            "of {} Pods {ready} are Ready, {updated} of them updated",
            self.replicas
        )
    }
}
