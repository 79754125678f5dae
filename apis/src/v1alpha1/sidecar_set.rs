//! What clients of `v1alpha1` write of a SidecarSet.

#![allow(
    unreachable_pub,
    reason = "KubeSchema repeats the struct in a private scope"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema;
use crate::sidecar_set::container::SidecarContainer;
use crate::sidecar_set::{
    InjectionStrategy, PatchPodMetadata, SecretReference, SidecarSetStatus, SidecarUpdateStrategy,
};

/// As [`crate::SidecarSetSpec`], with `namespace`, and with a label for `customVersion`.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "apps.kruise.io",
    version = "v1alpha1",
    kind = "SidecarSet",
    status = "SidecarSetStatus",
    doc = "Containers that Pods are given when they are created.",
    derive = "PartialEq",
    printcolumn(name = "Matched", type_ = "integer", json_path = ".status.matchedPods"),
    printcolumn(name = "Updated", type_ = "integer", json_path = ".status.updatedPods"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyPods"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "(has(self.containers) && size(self.containers) > 0) || \
     (has(self.initContainers) && size(self.initContainers) > 0)")
    .message(schema::NO_CONTAINERS))]
pub struct SidecarSetSpec {
    /// Which Pods are given the containers, by their labels; must not be empty.
    pub selector: LabelSelector,
    /// In which namespace; goes before `namespaceSelector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// In which namespaces. Default: in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Init containers, native sidecars (`restartPolicy: Always`) among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::sidecars")]
    pub init_containers: Vec<SidecarContainer>,
    /// Containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::sidecars")]
    pub containers: Vec<SidecarContainer>,
    /// Volumes; a Pod is given those that its injected containers mount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::opaque_list")]
    pub volumes: Vec<Value>,
    /// How containers that are injected already are brought to a new image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<SidecarUpdateStrategy>,
    /// What is injected into new Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injection_strategy: Option<InjectionStrategy>,
    /// Secrets that the images are pulled with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<SecretReference>,
    /// How many revisions that nobody uses are kept. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub revision_history_limit: Option<i32>,
    /// Annotations that Pods are given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = schema::TERMS_MAX))]
    pub patch_pod_metadata: Vec<PatchPodMetadata>,
}
