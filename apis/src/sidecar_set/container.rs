//! A container as a SidecarSet has it: any container of a Pod, and a few fields beside.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One of `spec.containers` or `spec.initContainers`: a container as a Pod has it, and the fields
/// below.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SidecarContainer {
    /// Before or behind the Pod's own containers. Default: `containers` before, `initContainers`
    /// behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_inject_policy: Option<PodInjectPolicy>,
    /// How it is brought to a new image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_strategy: Option<UpgradeStrategy>,
    /// Whether it mounts what the Pod's own containers mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_volume_policy: Option<SharePolicy>,
    /// Whether it has the block devices that the Pod's own containers have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_volume_device_policy: Option<SharePolicy>,
    /// Environment variables that are taken from the Pod's own containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = crate::schema::TERMS_MAX))]
    pub transfer_env: Vec<TransferEnv>,
    /// Cpu and memory, computed from what the Pod's own containers have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources_policy: Option<ResourcesPolicy>,
    /// The container itself, as a Pod has it.
    #[serde(flatten)]
    #[schemars(skip)]
    pub container: Map<String, Value>,
}

impl SidecarContainer {
    /// A text of the container itself; empty where there is none.
    pub fn text(&self, key: &str) -> &str {
        let value = self.container.get(key);
        value.and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the container, as one of `initContainers`, is a native sidecar.
    pub fn restarts_always(&self) -> bool {
        self.text("restartPolicy") == "Always"
    }
}

/// Where a container is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodInjectPolicy {
    /// Ahead of the Pod's own.
    BeforeAppContainer,
    /// Behind the Pod's own.
    AfterAppContainer,
}

/// `upgradeStrategy` of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStrategy {
    /// ColdUpgrade (default) or HotUpgrade; cannot be changed once it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_type: Option<UpgradeType>,
    /// With HotUpgrade, the image of the twin that does nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_upgrade_empty_image: Option<String>,
}

/// How a container is brought to a new image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpgradeType {
    /// It restarts.
    #[default]
    ColdUpgrade,
    /// It has a twin, which takes over before it stops.
    HotUpgrade,
}

/// `shareVolumePolicy` and `shareVolumeDevicePolicy` of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SharePolicy {
    /// enabled or disabled (default).
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<ShareType>,
}

/// Whether something is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShareType {
    /// It is.
    Enabled,
    /// It is not.
    #[default]
    Disabled,
}

/// One of `transferEnv`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransferEnv {
    /// Name of the container that has the variables.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source_container_name: String,
    /// Where the Pod says the name of that container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_container_name_from: Option<SourceContainerNameFrom>,
    /// Name of a variable.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub env_name: String,
    /// Names of more variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = crate::schema::TERMS_MAX))]
    pub env_names: Vec<String>,
}

/// `sourceContainerNameFrom` of a `transferEnv`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceContainerNameFrom {
    /// A label or an annotation of the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldRef>,
}

/// A field of a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldRef {
    /// Default v1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `metadata.labels['KEY']` or `metadata.annotations['KEY']`.
    #[schemars(length(min = 1))]
    pub field_path: String,
}

/// `resourcesPolicy` of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesPolicy {
    /// Of several containers, whether their sum or the largest counts.
    pub target_containers_mode: TargetMode,
    /// Which of the Pod's own containers are looked at. Default: all (`.*`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_containers_name_regex: Option<String>,
    /// What is made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources_expr: Option<ResourcesExpr>,
}

/// How several containers are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TargetMode {
    /// All of them together.
    Sum,
    /// The largest.
    Max,
}

/// `resourcesExpr` of a `resourcesPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourcesExpr {
    /// From the limits of the containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Expressions>,
    /// From their requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Expressions>,
}

/// Expressions such as `max(cpu*50%, 50m)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Expressions {
    /// Of `cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Of `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
}
