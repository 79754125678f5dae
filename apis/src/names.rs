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

/// The same as OpenKruise once called it; read only.
pub const OLD_IN_PLACE_STATE_ANNOTATION: &str = "inplace-update-state";

/// Annotations on Pods by which OpenKruise remembers a change that waits for its grace period, by
/// its new and its old name. What they say is not followed, the template is; they go with the
/// next change of the Pod.
pub const IN_PLACE_GRACE_ANNOTATIONS: [&str; 2] = [
    "apps.kruise.io/inplace-update-grace",
    "inplace-update-grace",
];

/// Annotation on Pods, read when scaling down: the lower, the sooner deleted (an `i32`).
pub const DELETION_COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Readiness gate and Pod condition: False while the Pod is drained for an update.
pub const IN_PLACE_READY_CONDITION: &str = "InPlaceUpdateReady";

/// The Pod condition that Endpoints follow.
pub const READY_CONDITION: &str = "Ready";

/// Reason of [`IN_PLACE_READY_CONDITION`] while drained.
pub const REASON_START_UPDATE: &str = "StartInPlaceUpdate";

/// The same where a SidecarSet updates its containers; the message is [`SIDECAR_SET_CLOSER`] and the
/// name of the set.
pub const REASON_START_SIDECAR_UPDATE: &str = "StartSidecarSetUpdate";

/// Goes before the name of the SidecarSet that closed a gate.
pub const SIDECAR_SET_CLOSER: &str = "SidecarSet ";

/// Readiness gate of OpenKruise's `markPodNotReady`; Pods taken over from it may carry it.
pub const KRUISE_READY_CONDITION: &str = "KruisePodReady";

/// Pod condition: the node has yet to grant a change of cpu or memory.
pub const RESIZE_PENDING_CONDITION: &str = "PodResizePending";

/// Pod condition: the node is making a change of cpu or memory.
pub const RESIZE_IN_PROGRESS_CONDITION: &str = "PodResizeInProgress";

/// Label on Pods: where a lifecycle hook holds them, see [`crate::lifecycle::State`].
pub const LIFECYCLE_STATE_LABEL: &str = "lifecycle.apps.kruise.io/state";

/// Annotation on Pods: when [`LIFECYCLE_STATE_LABEL`] was last changed, RFC 3339.
pub const LIFECYCLE_TIMESTAMP_ANNOTATION: &str = "lifecycle.apps.kruise.io/timestamp";

/// Annotation on a Pod template: `Ordered` gives the containers falling launch priorities in the
/// order of the list.
pub const LAUNCH_PRIORITY_ANNOTATION: &str = "apps.kruise.io/container-launch-priority";

/// Environment variable of a container: its launch priority, an `i32`; the higher, the earlier.
pub const CONTAINER_PRIORITY_ENV: &str = "KRUISE_CONTAINER_PRIORITY";

/// Annotation on a Pod that is deleted so that a new one takes its place: its claims are kept for
/// that one. Its value is the revision it makes room for.
pub const KEEP_CLAIMS_ANNOTATION: &str = "apps.kruise.io/keep-claims";

/// Annotation on a `ControllerRevision`: UID and generation of the set that it was last written for.
pub const WRITTEN_FOR_ANNOTATION: &str = "apps.kruise.io/written-for";

/// Label on the short-lived Pods that pull an image ahead of an update: name of the set.
pub const WARMER_LABEL: &str = "apps.kruise.io/image-warmer-of";

/// Label on custom resources: `Always` refuses their deletion, `Cascading` refuses it while they
/// have replicas.
pub const DELETE_PROTECTION_LABEL: &str = "policy.kruise.io/delete-protection";

/// Annotation on Pods: what each SidecarSet injected, see [`crate::sidecar_set::record`]. On a
/// SidecarSet and on its revisions, as OpenKruise wrote them: the hash itself.
pub const SIDECAR_HASH_ANNOTATION: &str = "kruise.io/sidecarset-hash";

/// The same with hashes that do not depend on images.
pub const SIDECAR_HASH_WITHOUT_IMAGE_ANNOTATION: &str = "kruise.io/sidecarset-hash-without-image";

/// Annotation on Pods: names of the SidecarSets that were injected, sorted, with commas between.
pub const SIDECAR_LIST_ANNOTATION: &str = "kruise.io/sidecarset-injected-list";

/// Annotation on Pods: what updates of their sidecars have to remember, see
/// [`crate::sidecar_set::record::State`].
pub const SIDECAR_IN_PLACE_STATE_ANNOTATION: &str = "kruise.io/sidecarset-inplace-update-state";

/// Annotation on Pods: which of two twins works, by the name of the sidecar.
pub const WORKING_TWIN_ANNOTATION: &str = "kruise.io/sidecarset-working-hotupgrade-container";

/// Annotations on Pods: the version of a twin; the name of the container follows.
pub const TWIN_VERSION_PREFIX: &str = "version.sidecarset.kruise.io/";

/// Annotations on Pods: the version of the other twin; the name of the container follows.
pub const TWIN_OTHER_VERSION_PREFIX: &str = "versionalt.sidecarset.kruise.io/";

/// Environment variable of an injected container; it tells it from the Pod's own.
pub const INJECTED_ENV: &str = "IS_INJECTED";

/// Environment variable of a twin: its [`TWIN_VERSION_PREFIX`].
pub const TWIN_VERSION_ENV: &str = "SIDECARSET_VERSION";

/// Environment variable of a twin: its [`TWIN_OTHER_VERSION_PREFIX`].
pub const TWIN_OTHER_VERSION_ENV: &str = "SIDECARSET_VERSION_ALT";

/// Annotation on a SidecarSet: `true` makes it stand in for [`CANARY_BASE_ANNOTATION`].
pub const CANARY_ANNOTATION: &str = "apps.kruise.io/sidecarset-canary";

/// Annotation on a SidecarSet: for which one it stands in, for Pods that both select.
pub const CANARY_BASE_ANNOTATION: &str = "apps.kruise.io/sidecarset-base";

/// Label on ControllerRevisions: the SidecarSet they belong to.
pub const SIDECAR_SET_LABEL: &str = "kruise.io/sidecarset-name";

/// Label on ControllerRevisions, and on SidecarSets in `v1alpha1`: `spec.customVersion`.
pub const CUSTOM_VERSION_LABEL: &str = "apps.kruise.io/sidecarset-custom-version";

/// Label on namespaces: their name.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";
