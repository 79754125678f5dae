//! A webhook that runs outside of the cluster, as its API server is told to find it.

use std::net::SocketAddr;

use anyhow::Result;
use apis::CloneSet;
use cluster::Cluster;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::manager::root;
use crate::shop::spec;

/// The Service that the registrations name.
pub const SERVICE: &str = "insitu-webhook";
/// Its namespace.
pub const NAMESPACE: &str = "insitu-system";
/// The configurations that are registered, one of each kind.
pub const CONFIGURATION: &str = "insitu-webhook";
/// The definition of CloneSets.
pub const DEFINITION: &str = "clonesets.apps.kruise.io";
/// What is converted.
pub const DEFINITIONS: [&str; 2] = [DEFINITION, "sidecarsets.apps.kruise.io"];

/// Applies what is shipped: the definitions, the namespace and the webhook configurations.
///
/// # Errors
/// When the cluster refuses.
pub fn install(cluster: &Cluster) -> Result<()> {
    apply(cluster, "crd/apps.kruise.io_clonesets.yaml")?;
    apply(cluster, "crd/apps.kruise.io_sidecarsets.yaml")?;
    apply(cluster, "manager/namespace.yaml")?;
    register(cluster)
}

/// Applies the webhook configurations as shipped, the way GitOps tools do.
///
/// # Errors
/// When the cluster refuses.
pub fn register(cluster: &Cluster) -> Result<()> {
    apply(cluster, "webhook/validating.yaml")?;
    apply(cluster, "webhook/mutating.yaml")
}

fn apply(cluster: &Cluster, file: &str) -> Result<()> {
    let file = format!("{}/config/{file}", root().display());
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", &file];
    Ok(cluster.kubectl(&apply).map(drop)?)
}

/// Asks whether a new CloneSet would be let in.
///
/// # Errors
/// When it would not.
pub async fn ask(sets: &Api<CloneSet>) -> kube::Result<()> {
    let mut set = CloneSet::new(
        "",
        serde_json::from_value(spec(1)).map_err(kube::Error::SerdeError)?,
    );
    set.metadata.name = None;
    set.metadata.generate_name = Some("asked-".to_owned());
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    sets.create(&dry, &set).await.map(drop)
}

/// Leads calls of the registered Service to `address`. The API server goes where a Service of type
/// ExternalName points, and still asks for a certificate in the Service's name.
///
/// # Errors
/// When the cluster refuses.
pub async fn lead(client: &Client, address: SocketAddr) -> Result<()> {
    let services: Api<k8s_openapi::api::core::v1::Service> =
        Api::namespaced(client.clone(), NAMESPACE);
    let params = PatchParams::apply("tests").force();
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE},
        "spec": {"type": "ExternalName", "externalName": address.ip()},
    });
    services
        .patch(SERVICE, &params, &Patch::Apply(service))
        .await?;
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let webhooks = configurations.get(CONFIGURATION).await?.webhooks;
    let at = |path: String| json!({"op": "add", "path": path, "value": address.port()});
    let ports = |count| {
        let all = (0..count).map(|n| at(format!("/webhooks/{n}/clientConfig/service/port")));
        all.collect()
    };
    let count = webhooks.unwrap_or_default().len();
    patch(&configurations, CONFIGURATION, ports(count)).await?;
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let webhooks = configurations.get(CONFIGURATION).await?.webhooks;
    let count = webhooks.unwrap_or_default().len();
    patch(&configurations, CONFIGURATION, ports(count)).await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in DEFINITIONS {
        let port = at("/spec/conversion/webhook/clientConfig/service/port".to_owned());
        patch(&definitions, definition, vec![port]).await?;
    }
    Ok(())
}

async fn patch<K>(api: &Api<K>, name: &str, changes: Vec<Value>) -> Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let patch = serde_json::from_value(Value::Array(changes))?;
    let patch = Patch::<()>::Json(patch);
    api.patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}
