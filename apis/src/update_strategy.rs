//! How Pods are brought to a new template, and how many at a time.

#![allow(
    unreachable_pub,
    reason = "KubeSchema repeats the struct in a private scope"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// `spec.updateStrategy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategy {
    /// RollingUpdate (default) updates Pods by itself; OnDelete waits until somebody deletes them.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UpdateStrategyType")]
    pub type_: Option<UpdateStrategyType>,
    /// The knobs of RollingUpdate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling_update: Option<RollingUpdate>,
}

/// Who starts the update of a Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdateStrategyType {
    /// The controller, within its budget.
    #[default]
    RollingUpdate,
    /// Whoever deletes the Pod.
    OnDelete,
}

/// `spec.updateStrategy.rollingUpdate`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.podUpdatePolicy) || self.podUpdatePolicy != 'InPlaceOnly' || \
     !has(self.maxSurge) || string(self.maxSurge).matches('^0+%?$')")
    .message(schema::SURGE_IN_PLACE_ONLY)
    .field_path(".maxSurge"))]
pub struct RollingUpdate {
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
    /// ReCreate (default), InPlaceIfPossible or InPlaceOnly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PodUpdatePolicy")]
    pub pod_update_policy: Option<PodUpdatePolicy>,
    /// Choose no further Pods; what has begun is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// When an updated Pod stays broken for `progressDeadlineSeconds`, take all updated Pods back to
    /// the revision before and stop. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_on_deadline: Option<bool>,
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

/// What may happen to a Pod so that it reaches the new template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodUpdatePolicy {
    /// Delete it and create another.
    #[default]
    ReCreate,
    /// Patch it; where that cannot be done, delete it and create another.
    InPlaceIfPossible,
    /// Patch it; where that cannot be done, leave it alone and say why.
    InPlaceOnly,
}

/// `priorityStrategy`: either weights or an ordered key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!(has(self.weightPriority) && size(self.weightPriority) > 0 && \
     has(self.orderPriority) && size(self.orderPriority) > 0)")
    .message("priorityStrategy has weightPriority and orderPriority: use one of them"))]
pub struct PriorityStrategy {
    /// The sum of the weights of matching terms orders Pods, the heaviest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = schema::TERMS_MAX))]
    pub weight_priority: Vec<WeightTerm>,
    /// The number at the end of a label's value orders Pods, the highest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = schema::TERMS_MAX))]
    pub order_priority: Vec<OrderTerm>,
}

/// One term of `weightPriority`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeightTerm {
    /// 1 to 100.
    #[schemars(range(min = 0, max = 100))]
    pub weight: i32,
    /// Which Pods get the weight.
    pub match_selector: LabelSelector,
}

/// One term of `orderPriority`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderTerm {
    /// A label key.
    #[schemars(length(min = 1))]
    pub ordered_key: String,
}

/// One term of `scatterStrategy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScatterTerm {
    /// A label key.
    #[schemars(length(min = 1))]
    pub key: String,
    /// Its value.
    pub value: String,
}

/// `inPlaceUpdateStrategy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InPlaceUpdateStrategy {
    /// Seconds between the Pod's being taken out of its Services and the change of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub grace_period_seconds: Option<i32>,
    /// After how many seconds a change of cpu or memory that the node cannot make (deferred or
    /// infeasible) is made by a new Pod instead. Default: wait for the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub resize_deadline_seconds: Option<i32>,
    /// How many nodes at a time pull the new image ahead of the update. Default: none, the image is
    /// pulled when the container restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::number_or_text")]
    pub image_pre_download_parallelism: Option<IntOrString>,
    /// After how many seconds without a word from the node the update goes on without the pull.
    /// Default: 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub image_pre_download_timeout_seconds: Option<i32>,
    /// Pull ahead only once so many updated Pods are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub image_pre_download_min_updated_ready_pods: Option<i32>,
}
