//! CloneSet: a set of interchangeable Pods that are updated in place.

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

use crate::condition::Condition;
use crate::lifecycle::Lifecycle;
use crate::schema::{self, DEADLINE_TOO_SHORT, ROLLBACK_WITHOUT_DEADLINE};
use crate::update_strategy::UpdateStrategy;

/// A set of interchangeable Pods. When its template changes in nothing but images, labels or
/// annotations, the Pods are changed in place: UID, IP, node and volumes stay.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "apps.kruise.io",
    version = "v1beta1",
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
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Containers",
        type_ = "string",
        priority = 1,
        json_path = ".spec.template.spec.containers[*].name"
    ),
    printcolumn(
        name = "Images",
        type_ = "string",
        priority = 1,
        json_path = ".spec.template.spec.containers[*].image"
    ),
    printcolumn(
        name = "Selector",
        type_ = "string",
        priority = 1,
        json_path = ".status.labelSelector"
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
#[x_kube(validation = Rule::new(
    "!has(self.updateStrategy) || !has(self.updateStrategy.rollingUpdate) || \
     !has(self.updateStrategy.rollingUpdate.rollbackOnDeadline) || \
     !self.updateStrategy.rollingUpdate.rollbackOnDeadline || \
     (has(self.progressDeadlineSeconds) && self.progressDeadlineSeconds != 2147483647)")
    .message(ROLLBACK_WITHOUT_DEADLINE)
    .field_path(".updateStrategy.rollingUpdate.rollbackOnDeadline"))]
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
    /// Keep the claims of vanished Pods and give them to new ones.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "enablePVCReuse"
    )]
    pub enable_pvc_reuse: Option<bool>,
    /// Leave Pods that a hook holds before deletion out of the count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_preparing_delete: Option<bool>,
}

fn one() -> i32 {
    1
}

/// What was observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloneSetStatus {
    /// The generation of the spec that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Pods that exist and are not on their way out.
    #[serde(default)]
    pub replicas: i32,
    /// Of these, ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Of these, ready for `minReadySeconds`.
    #[serde(default)]
    pub available_replicas: i32,
    /// Pods at the update revision.
    #[serde(default)]
    pub updated_replicas: i32,
    /// Of these, ready.
    #[serde(default)]
    pub updated_ready_replicas: i32,
    /// Of these, ready for `minReadySeconds`.
    #[serde(default)]
    pub updated_available_replicas: i32,
    /// How many Pods the partition asks to be at the update revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_updated_replicas: Option<i32>,
    /// `maxUnavailable` as a number of Pods, as it is applied now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_max_unavailable: Option<i32>,
    /// Name of the revision of the template in `spec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_revision: Option<String>,
    /// Name of the revision that the partition keeps Pods at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_revision: Option<String>,
    /// Name of the update revision that `rollbackOnDeadline` has given up; no Pod is updated to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_revision: Option<String>,
    /// How often two templates had the same hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// The selector as text, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<String>,
    /// Why Pods that are not up to date are not, by reason; see the Pods' own reasons for details.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["reason".into()]))]
    pub reasons: Vec<ReasonCount>,
    /// Judgements for programs and people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// How many Pods wait for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReasonCount {
    /// One of the planner's closed list.
    pub reason: String,
    /// How many Pods.
    pub pods: i32,
    /// One of them, as an example, with its detail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}
