//! CustomResourceDefinitions, as `config/crd` holds them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, ServiceReference, WebhookClientConfig,
    WebhookConversion,
};
use kube::CustomResourceExt;
use kube::core::crd::{MergeError, merge_crds};

/// The Service that converts objects, and its namespace, as `config/webhook` has them.
pub const CONVERTED_BY: (&str, &str) = ("insitu-webhook", "insitu-system");
/// Where it does so.
pub const CONVERT_PATH: &str = "/convert";

/// CloneSet in both of its versions; `v1beta1` is stored.
///
/// # Errors
/// When the versions do not describe one kind.
pub fn clone_set() -> Result<CustomResourceDefinition, MergeError> {
    merged(vec![
        crate::CloneSet::crd(),
        crate::v1alpha1::CloneSet::crd(),
    ])
}

/// SidecarSet in both of its versions; `v1beta1` is stored.
///
/// # Errors
/// When the versions do not describe one kind.
pub fn sidecar_set() -> Result<CustomResourceDefinition, MergeError> {
    merged(vec![
        crate::SidecarSet::crd(),
        crate::v1alpha1::sidecar_set::SidecarSet::crd(),
    ])
}

fn merged(versions: Vec<CustomResourceDefinition>) -> Result<CustomResourceDefinition, MergeError> {
    let mut merged = merge_crds(versions, "v1beta1")?;
    merged.spec.conversion = Some(conversion());
    Ok(merged)
}

/// Without a bundle: the webhook fills that in.
fn conversion() -> CustomResourceConversion {
    let (name, namespace) = CONVERTED_BY;
    let service = ServiceReference {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        path: Some(CONVERT_PATH.to_owned()),
        port: None,
    };
    CustomResourceConversion {
        strategy: "Webhook".to_owned(),
        webhook: Some(WebhookConversion {
            client_config: Some(WebhookClientConfig {
                service: Some(service),
                ..WebhookClientConfig::default()
            }),
            conversion_review_versions: vec!["v1".to_owned()],
        }),
    }
}
