//! Every group, label, annotation and condition name, once.
//!
//! The names are those that OpenKruise's users already have in manifests, dashboards and scripts.

/// API group of every kind here.
pub const GROUP: &str = "apps.kruise.io";

/// Label on Pods and revisions' Pods: name of the `ControllerRevision` the Pod was last brought to.
pub const REVISION_LABEL: &str = "controller-revision-hash";

/// Label on Pods: the hash part of [`REVISION_LABEL`].
pub const TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// Label on a `ControllerRevision`: its hash.
pub const REVISION_HASH_LABEL: &str = "controller.kubernetes.io/hash";

/// Label on Pods and claims: the five characters that tell the instances of a set apart.
pub const INSTANCE_ID_LABEL: &str = "apps.kruise.io/cloneset-instance-id";

/// Label on Pods, set by users: delete this Pod (any value).
pub const SPECIFIED_DELETE_LABEL: &str = "apps.kruise.io/specified-delete";

/// Annotation on Pods: what an in-place update has to remember, see [`crate::in_place_state`].
pub const IN_PLACE_STATE_ANNOTATION: &str = "apps.kruise.io/inplace-update-state";

/// Annotation on Pods, read when scaling down: the lower, the sooner deleted (an `i32`).
pub const DELETION_COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Readiness gate and Pod condition: False while the Pod is drained for an update.
pub const IN_PLACE_READY_CONDITION: &str = "InPlaceUpdateReady";

/// The Pod condition that Endpoints follow.
pub const READY_CONDITION: &str = "Ready";

/// Reason of [`IN_PLACE_READY_CONDITION`] while drained.
pub const REASON_START_UPDATE: &str = "StartInPlaceUpdate";
