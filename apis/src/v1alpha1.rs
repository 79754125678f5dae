//! What clients of `v1alpha1` write. Nothing is decided by these types: they make the schema, and
//! objects are converted before anybody reads them, see [`crate::conversion`].

#![allow(
    unreachable_pub,
    reason = "KubeSchema repeats the struct in a private scope"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clone_set::CloneSetStatus;
use crate::lifecycle::Lifecycle;
use crate::schema::{self, DEADLINE_TOO_SHORT};
use crate::update_strategy::{PriorityStrategy, ScatterTerm};

pub mod sidecar_set;

/// As [`crate::CloneSetSpec`], with a flat `updateStrategy`; claims are reused unless
/// `disablePVCReuse` says otherwise.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "apps.kruise.io",
    version = "v1alpha1",
    kind = "CloneSet",
    namespaced,
    shortname = "clone",
    category = "all",
    status = "CloneSetStatus",
    doc = "A set of interchangeable Pods that are updated in place.",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.labelSelector"
    ),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(
        name = "Updated",
        type_ = "integer",
        json_path = ".status.updatedReplicas"
    ),
    printcolumn(
        name = "Updated_Ready",
        type_ = "integer",
        json_path = ".status.updatedReadyReplicas"
    ),
    printcolumn(
        name = "Updated_Available",
        type_ = "integer",
        json_path = ".status.updatedAvailableReplicas"
    ),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Total", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.selector == oldSelf.selector")
    .message("spec.selector is immutable: delete the CloneSet with --cascade=orphan and create \
              another to change it"))]
#[x_kube(validation = Rule::new(
    "!has(self.progressDeadlineSeconds) || self.progressDeadlineSeconds == 2147483647 || \
     self.progressDeadlineSeconds > (has(self.minReadySeconds) ? self.minReadySeconds : 0)")
    .message(DEADLINE_TOO_SHORT)
    .field_path(".progressDeadlineSeconds"))]
pub struct CloneSetSpec {
    /// How many Pods there shall be.
    #[serde(default = "one")]
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Which Pods belong to the set; must match the labels of the template; immutable.
    pub selector: LabelSelector,
    /// What the Pods look like.
    #[schemars(schema_with = "schema::opaque")]
    pub template: Value,
    /// Claims made for every Pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::opaque_list")]
    pub volume_claim_templates: Vec<Value>,
    /// How Pods are added and taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_strategy: Option<ScaleStrategy>,
    /// How Pods are brought to a new template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<UpdateStrategy>,
    /// How many revisions that no Pod uses are kept. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub revision_history_limit: Option<i32>,
    /// For how many seconds a Pod must be ready before it counts as available. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_ready_seconds: Option<i32>,
    /// Hooks that hold Pods before and after a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// After how many seconds without progress the set is called stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub progress_deadline_seconds: Option<i32>,
}

/// `spec.scaleStrategy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleStrategy {
    /// Names of Pods to delete; names that are gone are ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub pods_to_delete: Vec<String>,
    /// How many Pods may be unavailable while Pods are added. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::share")]
    pub max_unavailable: Option<IntOrString>,
    /// Do not give the claims of vanished Pods to new ones.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "disablePVCReuse"
    )]
    pub disable_pvc_reuse: Option<bool>,
}

/// `spec.updateStrategy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.type) || self.type != 'InPlaceOnly' || \
     !has(self.maxSurge) || string(self.maxSurge).matches('^0+%?$')")
    .message(schema::SURGE_IN_PLACE_ONLY)
    .field_path(".maxSurge"))]
pub struct UpdateStrategy {
    /// ReCreate (default), InPlaceIfPossible or InPlaceOnly. OnDelete waits until somebody deletes
    /// the Pods.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UpdateStrategyType")]
    pub type_: Option<UpdateStrategyType>,
    /// How many Pods stay at the old revision: a number or a percentage (rounded up). Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::share")]
    pub partition: Option<IntOrString>,
    /// How many Pods may be unavailable during an update: a number or a percentage. Default 20%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::share")]
    pub max_unavailable: Option<IntOrString>,
    /// How many Pods there may be above `replicas` during an update. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::share")]
    pub max_surge: Option<IntOrString>,
    /// Choose no further Pods; what has begun is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Which Pods go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_strategy: Option<PriorityStrategy>,
    /// Spread Pods that carry a label over the update sequence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = schema::TERMS_MAX))]
    pub scatter_strategy: Vec<ScatterTerm>,
    /// Details of updates in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place_update_strategy: Option<InPlaceUpdateStrategy>,
}

/// `spec.updateStrategy.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdateStrategyType {
    /// Delete a Pod and create another.
    #[default]
    ReCreate,
    /// Patch it; where that cannot be done, delete it and create another.
    InPlaceIfPossible,
    /// Patch it; where that cannot be done, leave it alone and say why.
    InPlaceOnly,
    /// Whoever deletes the Pod starts its update.
    OnDelete,
}

/// `spec.updateStrategy.inPlaceUpdateStrategy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InPlaceUpdateStrategy {
    /// Seconds between the Pod's being taken out of its Services and the change of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub grace_period_seconds: Option<i32>,
}

fn one() -> i32 {
    1
}
