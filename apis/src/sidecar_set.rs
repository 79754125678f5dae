//! SidecarSet: containers that Pods are given on their way in, and that are updated in place.

#![allow(
    unreachable_pub,
    reason = "KubeSchema repeats the struct in a private scope"
)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clone_set::ReasonCount;
use crate::condition::Condition;
use crate::schema;
use crate::update_strategy::{PriorityStrategy, ScatterTerm};

pub mod container;
pub mod expression;
pub mod hash;
pub mod pod_metadata;
pub mod record;
pub mod white_list;

use container::SidecarContainer;

/// The fields of a spec that a `ControllerRevision` stores.
pub const REVISION_FIELDS: [&str; 5] = [
    "volumes",
    "containers",
    "initContainers",
    "imagePullSecrets",
    "patchPodMetadata",
];

/// Containers that Pods are given when they are created.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "apps.kruise.io",
    version = "v1beta1",
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
    /// A name for the present revision, by which `injectionStrategy` finds it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_version: Option<String>,
}

/// One of `spec.imagePullSecrets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretReference {
    /// Name of a Secret in the namespace of the Pod.
    #[schemars(length(min = 1))]
    pub name: String,
}

/// One of `spec.patchPodMetadata`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchPodMetadata {
    /// Annotations, each at most once in a SidecarSet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Retain (default), Overwrite or MergePatchJson.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_policy: Option<PatchPolicy>,
}

/// What becomes of an annotation that the Pod has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PatchPolicy {
    /// It stays.
    #[default]
    Retain,
    /// It is replaced.
    Overwrite,
    /// Both are JSON, and are merged (RFC 7386).
    MergePatchJson,
}

/// `spec.updateStrategy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.selector) || !has(self.partition) || self.partition == 0 || \
     (has(self.type) && self.type == 'NotUpdate')")
    .message(schema::PARTITION_BESIDE_SELECTOR)
    .field_path(".partition"))]
pub struct SidecarUpdateStrategy {
    /// RollingUpdate (default) or NotUpdate, which injects only.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<SidecarUpdateType>,
    /// Choose no further Pods; what has begun is finished. `injectionStrategy` looks at it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Only these Pods are updated. `injectionStrategy` looks at it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// How many Pods stay at the old revision: a number or a percentage (rounded up). Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::share")]
    pub partition: Option<IntOrString>,
    /// How many Pods may be unavailable during an update: a number or a percentage. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::share")]
    pub max_unavailable: Option<IntOrString>,
    /// Before containers of a Pod restart, take it out of its Services: if it has the readiness gate
    /// `InPlaceUpdateReady`, which is opened again when the kubelet has seen the new image. Default
    /// false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark_pod_not_ready: Option<bool>,
    /// Which Pods go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_strategy: Option<PriorityStrategy>,
    /// Spread Pods that carry a label over the update sequence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = schema::TERMS_MAX))]
    pub scatter_strategy: Vec<ScatterTerm>,
}

/// Who updates containers that are injected already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SidecarUpdateType {
    /// The controller, within its budget.
    #[default]
    RollingUpdate,
    /// Nobody.
    NotUpdate,
}

/// `spec.injectionStrategy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InjectionStrategy {
    /// New Pods are given nothing; updates go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// New Pods are given an older revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<InjectRevision>,
    /// What becomes of Pods that were made without the containers, while no webhook could be reached:
    /// Retain (default) or Recreate, which deletes those that have a controller, within
    /// `updateStrategy.maxUnavailable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uninjected_pod_policy: Option<UninjectedPodPolicy>,
}

/// What becomes of Pods that were made without the containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UninjectedPodPolicy {
    /// They stay.
    #[default]
    Retain,
    /// They are deleted, and whoever owns them makes others.
    Recreate,
}

/// `spec.injectionStrategy.revision`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "(has(self.revisionName) && size(self.revisionName) > 0) || \
     (has(self.customVersion) && size(self.customVersion) > 0)")
    .message(schema::REVISION_WITHOUT_NAME))]
pub struct InjectRevision {
    /// Name of a ControllerRevision; goes before `customVersion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_name: Option<String>,
    /// The `customVersion` that the set had; the newest revision of that name is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_version: Option<String>,
    /// Always (default) or Partial, which follows `updateStrategy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<InjectPolicy>,
}

/// Which new Pods are given the older revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InjectPolicy {
    /// All.
    #[default]
    Always,
    /// Those that an update would leave alone: outside `updateStrategy.selector`, and otherwise as
    /// many as `updateStrategy.partition` says, if it is a percentage.
    Partial,
}

/// What was observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SidecarSetStatus {
    /// The generation of the spec that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Pods that match and were given the containers.
    #[serde(default)]
    pub matched_pods: i32,
    /// Of these, with the containers of the present revision.
    #[serde(default)]
    pub updated_pods: i32,
    /// Of the matched Pods, ready.
    #[serde(default)]
    pub ready_pods: i32,
    /// Of the updated Pods, ready.
    #[serde(default)]
    pub updated_ready_pods: i32,
    /// Name of the present revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_revision: Option<String>,
    /// How often two revisions had the same hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// Pods that match and were not given the containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uninjected_pods: Option<i32>,
    /// Why Pods that are not up to date are not, by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["reason".into()]))]
    pub reasons: Vec<ReasonCount>,
    /// Judgements for programs and people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
