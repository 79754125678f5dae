//! Which objects the keeper keeps, and what wakes it when one of them changes. Only metadata
//! travels: the content of a Secret is read when it is needed.

use std::fmt;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject};
use kube::core::{DynamicResourceScope, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::certs::Names;

/// Which objects.
#[derive(Clone, Debug)]
pub struct Objects {
    /// Name of the Secret, in the namespace of the Service.
    pub secret: String,
    /// Name of the webhook configuration of either kind.
    pub configuration: String,
    /// Names of the CustomResourceDefinitions.
    pub definitions: Vec<String>,
}

impl Objects {
    /// Where API servers read whom to believe.
    pub fn registrations(&self) -> Vec<Watched> {
        let definitions = self.definitions.iter();
        let mut all: Vec<Watched> = definitions
            .map(|name| Watched::new::<CustomResourceDefinition>(None, name))
            .collect();
        let name = &self.configuration;
        all.push(Watched::new::<ValidatingWebhookConfiguration>(None, name));
        all.push(Watched::new::<MutatingWebhookConfiguration>(None, name));
        all
    }

    /// All that a replica looks at.
    pub fn watched(&self, names: &Names) -> Vec<Watched> {
        let mut all = self.registrations();
        all.push(Watched::new::<Secret>(Some(&names.namespace), &self.secret));
        all
    }
}

/// An object that is watched, there or not.
#[derive(Clone, Debug)]
pub struct Watched {
    resource: ApiResource,
    namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource.kind, self.name)
    }
}

impl Watched {
    fn new<K: Resource<DynamicType = ()>>(namespace: Option<&str>, name: &str) -> Self {
        Self {
            resource: ApiResource::erase::<K>(&()),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    /// Calls about objects of its kind, in its namespace.
    pub(super) fn api<K>(&self, client: Client) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &self.resource),
            None => Api::all_with(client, &self.resource),
        }
    }
}

/// Tells `wake` of every change of `watched` until `shutdown`.
pub(super) async fn watch(
    client: Client,
    watched: Watched,
    wake: Arc<Notify>,
    shutdown: CancellationToken,
) {
    let only = watcher::Config::default().fields(&format!("metadata.name={}", watched.name));
    let metadata: Api<PartialObjectMeta<DynamicObject>> = watched.api(client);
    let changes = watcher(metadata, only).default_backoff();
    let following = changes.for_each(|change| {
        if let Err(error) = change {
            tracing::warn!(object = %watched, %error, "the watch broke");
        }
        wake.notify_one();
        std::future::ready(())
    });
    shutdown.run_until_cancelled(following).await;
}
