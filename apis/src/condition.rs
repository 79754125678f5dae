//! Conditions of our kinds: the API convention's fields plus OpenKruise's `lastUpdateTime`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One condition of a workload's status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is judged.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False or Unknown.
    pub status: String,
    /// When anything about the condition last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
    /// When `status` last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// One word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Which generation of the spec was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// The conditions a CloneSet carries. Ready, Reconciling and Stalled follow kstatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// The spec is fully in effect, as far as it asks: at a partition, so many Pods as asked.
    Ready,
    /// OpenKruise's own: is the rollout moving, paused, done.
    Progressing,
    /// Work is under way (kstatus, abnormal-true).
    Reconciling,
    /// Work cannot go on without a person (kstatus, abnormal-true).
    Stalled,
    /// The last attempt to create or delete Pods failed.
    FailedScale,
    /// The last attempt to update Pods failed.
    FailedUpdate,
}

impl ConditionType {
    /// The name in `status.conditions[].type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::FailedScale => "FailedScale",
            Self::FailedUpdate => "FailedUpdate",
        }
    }
}
