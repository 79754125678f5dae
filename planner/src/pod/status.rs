//! The status of a Pod, projected.

use std::borrow::Cow;
use std::sync::Arc;

use apis::in_place_state::Resources;
use apis::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Deserializer, Serialize};

/// `status`, projected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// Pending, Running, Succeeded, Failed or Unknown.
    pub phase: Option<Box<str>>,
    /// Which generation of the spec the kubelet has seen (Kubernetes 1.34 and newer).
    pub observed_generation: Option<i64>,
    /// Pod conditions.
    #[serde(deserialize_with = "terse")]
    pub conditions: Vec<PodCondition>,
    /// App containers.
    pub container_statuses: Vec<ContainerStatus>,
    /// Init containers.
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// A Pod condition, projected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCondition {
    /// Why; kept of [`TELLING`] conditions only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// In words; kept of [`TELLING`] conditions only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
    /// Type.
    #[serde(rename = "type", deserialize_with = "well_known")]
    pub type_: Cow<'static, str>,
    /// True, False or Unknown.
    #[serde(deserialize_with = "well_known")]
    pub status: Cow<'static, str>,
    /// When the status last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// Words that every Pod says are not kept with each of them.
const WELL_KNOWN: [&str; 10] = [
    "True",
    "False",
    "Unknown",
    names::READY_CONDITION,
    names::IN_PLACE_READY_CONDITION,
    names::KRUISE_READY_CONDITION,
    "ContainersReady",
    "Initialized",
    "PodScheduled",
    "PodReadyToStartContainers",
];

fn well_known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'static, str>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = WELL_KNOWN.into_iter().find(|known| *known == text);
    Ok(known.map_or(Cow::Owned(text), Cow::Borrowed))
}

/// Conditions whose reason and message are read; the words of the others are not kept in memory. Of
/// a gate that is not open they say who closed it: few are.
pub const TELLING: [&str; 3] = [
    names::RESIZE_PENDING_CONDITION,
    names::RESIZE_IN_PROGRESS_CONDITION,
    names::KRUISE_READY_CONDITION,
];

fn terse<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PodCondition>, D::Error> {
    let all = Option::<Vec<PodCondition>>::deserialize(deserializer)?.unwrap_or_default();
    let terse = all.into_iter().map(|c| {
        let is_shut = c.type_ == names::IN_PLACE_READY_CONDITION && c.status != "True";
        if is_shut || TELLING.contains(&&*c.type_) {
            c
        } else {
            PodCondition {
                reason: None,
                message: None,
                ..c
            }
        }
    });
    Ok(terse.collect())
}

/// A container's status, projected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Name.
    pub name: Arc<str>,
    /// Passed its readiness probe.
    pub ready: bool,
    /// Times it was started again.
    pub restart_count: i32,
    /// As the runtime calls it; may be any tag of the same digest.
    pub image: Arc<str>,
    /// Digest.
    #[serde(rename = "imageID")]
    pub image_id: Box<str>,
    /// Changes with every start.
    #[serde(rename = "containerID", skip_serializing_if = "Option::is_none")]
    pub container_id: Option<Box<str>>,
    /// What it is doing.
    pub state: ContainerState,
    /// The cpu and memory it has; older kubelets do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Box<Resources>>,
}

/// A container's state: at most one is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// Runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// Does not run yet, or not again yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Box<Waiting>>,
    /// Ran to its end, or could not be started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<Box<Terminated>>,
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terminated {
    /// `Completed`, `StartError` …
    pub reason: Option<Box<str>>,
}

/// Since when it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Running {
    /// The kubelet's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
}

/// Why it waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// `ErrImagePull`, `CrashLoopBackOff` …
    pub reason: Option<Box<str>>,
    /// The kubelet's sentence.
    pub message: Option<Box<str>>,
}
