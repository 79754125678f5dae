//! Why a Pod is where it is: one reason each, from a closed list, with its detail.
//!
//! The same value reaches status, Events, logs, metrics and the CLI.

use std::fmt;
use std::sync::Arc;

/// A container that cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which.
    pub container: String,
    /// The kubelet's words.
    pub message: String,
}

/// A claim that a Pod cannot start without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostClaim {
    /// Which.
    pub claim: String,
    /// Why it could not be made again, if that was tried.
    pub error: Option<String>,
}

/// Why a Pod is not at its target, or that it is. There is one for each of thousands of Pods, so it
/// is small, and costs little to repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// At its target and available.
    UpToDate,
    /// The partition keeps it at its revision.
    WaitingPartition,
    /// Updating it now would make too many Pods unavailable.
    WaitingBudget {
        /// Unavailable Pods now.
        unavailable: u32,
        /// How many may be.
        max: u32,
    },
    /// A PodDisruptionBudget does not allow that it becomes unavailable.
    WaitingDisruptionBudget {
        /// Which.
        budget: Arc<str>,
    },
    /// `spec.updateStrategy.rollingUpdate.paused`.
    Paused,
    /// `spec.updateStrategy.type: OnDelete`.
    OnDelete,
    /// The update revision was given up by `rollbackOnDeadline`.
    RolledBack,
    /// `spec.updateStrategy.type: NotUpdate` of a SidecarSet.
    NotUpdate,
    /// `spec.updateStrategy.selector` of a SidecarSet does not select it.
    WaitingSelector,
    /// Its own workload is changing it in place.
    WaitingWorkload,
    /// A SidecarSet has taken it out of its Services to update its containers.
    WaitingSidecars,
    /// The twin of a sidecar works, and the other one is to idle.
    HandingOver,
    /// What it remembers of its sidecars cannot be read.
    UnreadableRecord {
        /// Which annotation.
        annotation: &'static str,
    },
    /// A lifecycle hook holds it.
    WaitingHook {
        /// `preNormal`, `inPlaceUpdate` or `preDelete`.
        hook: &'static str,
    },
    /// Its node pulls the new image before the old container is stopped.
    WarmingImage {
        /// Which node.
        node: Arc<str>,
    },
    /// Containers that start later wait for one that starts earlier (launch priority).
    WaitingBatch {
        /// The container they wait for.
        container: Arc<str>,
    },
    /// The node is changing cpu or memory.
    Resizing,
    /// The node has no room for the change of cpu or memory now.
    ResizeDeferred {
        /// The kubelet's words.
        message: Arc<str>,
    },
    /// The node can never make the change of cpu or memory.
    ResizeInfeasible {
        /// The kubelet's words.
        message: Arc<str>,
    },
    /// Taken out of its Services; the patch is next.
    Draining,
    /// Out of its Services until the grace period is over.
    WaitingGrace,
    /// A claim of its own is gone, so it cannot start.
    WaitingClaim(Box<LostClaim>),
    /// Patched; the kubelet has not seen it yet.
    WaitingKubelet,
    /// The kubelet is restarting what changed.
    Patched,
    /// An image cannot be pulled.
    ImagePull(Box<Trouble>),
    /// The new image has not been started yet, and the kubelet pauses before it tries again: the
    /// container was restarted a moment ago, or an image of this update could not be pulled.
    StartBackOff(Box<Trouble>),
    /// A container does not stay up.
    CrashLoop(Box<Trouble>),
    /// Not ready, for a reason of its own.
    NotReady,
    /// Ready, but not yet for `minReadySeconds`.
    WaitingMinReady,
    /// Only a new Pod can have what changed.
    NeedsRecreate {
        /// The field that forces it.
        path: Arc<str>,
    },
    /// `podUpdatePolicy` is `ReCreate`, so a new Pod takes its place.
    PolicyRecreate,
    /// The revision it is labelled with is not known, so nobody can tell what changed.
    UnknownRevision {
        /// The label's value.
        revision: Arc<str>,
    },
    /// The last write to it failed; tried again later.
    BackingOff {
        /// What the server said.
        error: Arc<str>,
    },
    /// On its way out.
    Terminating,
}

impl Reason {
    /// The word for programs: status, metrics label, Event.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::WaitingPartition => "WaitingPartition",
            Self::WaitingBudget { .. } => "WaitingBudget",
            Self::WaitingDisruptionBudget { .. } => "WaitingDisruptionBudget",
            Self::Paused => "Paused",
            Self::OnDelete => "OnDelete",
            Self::RolledBack => "RolledBack",
            Self::NotUpdate => "NotUpdate",
            Self::WaitingSelector => "WaitingSelector",
            Self::WaitingWorkload => "WaitingWorkload",
            Self::WaitingSidecars => "WaitingSidecars",
            Self::HandingOver => "HandingOver",
            Self::UnreadableRecord { .. } => "UnreadableRecord",
            Self::WaitingHook { .. } => "WaitingHook",
            Self::WarmingImage { .. } => "WarmingImage",
            Self::WaitingBatch { .. } => "WaitingBatch",
            Self::Resizing => "Resizing",
            Self::ResizeDeferred { .. } => "ResizeDeferred",
            Self::ResizeInfeasible { .. } => "ResizeInfeasible",
            Self::Draining => "Draining",
            Self::WaitingGrace => "WaitingGrace",
            Self::WaitingClaim(_) => "WaitingClaim",
            Self::WaitingKubelet => "WaitingKubelet",
            Self::Patched => "Patched",
            Self::ImagePull(_) => "ImagePull",
            Self::StartBackOff(_) => "StartBackOff",
            Self::CrashLoop(_) => "CrashLoop",
            Self::NotReady => "NotReady",
            Self::WaitingMinReady => "WaitingMinReady",
            Self::NeedsRecreate { .. } => "NeedsRecreate",
            Self::PolicyRecreate => "PolicyRecreate",
            Self::UnknownRevision { .. } => "UnknownRevision",
            Self::BackingOff { .. } => "BackingOff",
            Self::Terminating => "Terminating",
        }
    }

    /// The reason of a Pod that the last write to was refused with `error`.
    pub(crate) fn of_refusal(error: &str) -> Self {
        // The API server itself refuses what is more than all of the node. (Its PodResize admission
        // says so in these words since Kubernetes 1.36; before, the kubelet said Infeasible.)
        if error.contains("enough allocatable resources") {
            let message = error.into();
            return Self::ResizeInfeasible { message };
        }
        Self::BackingOff {
            error: error.into(),
        }
    }

    /// Whether nothing is going to happen to the Pod unless somebody asks for something else.
    pub const fn is_rest(&self) -> bool {
        matches!(
            self,
            Self::UpToDate
                | Self::WaitingPartition
                | Self::OnDelete
                | Self::Paused
                | Self::RolledBack
                | Self::NotUpdate
                | Self::WaitingSelector
        )
    }

    /// Whether a person has to do something before this goes away.
    pub const fn needs_a_person(&self) -> bool {
        match self {
            Self::ImagePull(_)
            | Self::CrashLoop(_)
            | Self::NeedsRecreate { .. }
            | Self::ResizeInfeasible { .. }
            | Self::UnreadableRecord { .. }
            | Self::UnknownRevision { .. } => true,
            Self::UpToDate
            | Self::WaitingPartition
            | Self::WaitingBudget { .. }
            | Self::WaitingDisruptionBudget { .. }
            | Self::Paused
            | Self::OnDelete
            | Self::RolledBack
            | Self::NotUpdate
            | Self::WaitingSelector
            | Self::WaitingWorkload
            | Self::WaitingSidecars
            | Self::HandingOver
            | Self::WaitingHook { .. }
            | Self::WarmingImage { .. }
            | Self::WaitingBatch { .. }
            | Self::Resizing
            | Self::ResizeDeferred { .. }
            | Self::Draining
            | Self::WaitingGrace
            | Self::WaitingClaim(_)
            | Self::WaitingKubelet
            | Self::Patched
            | Self::StartBackOff(_)
            | Self::PolicyRecreate
            | Self::NotReady
            | Self::WaitingMinReady
            | Self::BackingOff { .. }
            | Self::Terminating => false,
        }
    }
}

impl fmt::Display for Reason {
    #[allow(clippy::too_many_lines, reason = "one arm per reason")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate => f.write_str("is up to date"),
            Self::WaitingPartition => f.write_str("the partition keeps it at its revision"),
            Self::WaitingBudget { unavailable, max } => {
                write!(
                    f,
                    "{unavailable} Pods are unavailable and maxUnavailable is {max}"
                )
            }
            Self::WaitingDisruptionBudget { budget } => {
                write!(
                    f,
                    "the PodDisruptionBudget {budget} allows no disruption now"
                )
            }
            Self::Paused => f.write_str("the rollout is paused"),
            Self::OnDelete => f.write_str("the strategy waits until somebody deletes the Pod"),
            Self::RolledBack => f.write_str("the update revision was given up"),
            Self::NotUpdate => f.write_str("the strategy updates no Pod that runs"),
            Self::WaitingSelector => f.write_str("the strategy's selector does not select it"),
            Self::WaitingWorkload => f.write_str("its own workload is changing it in place"),
            Self::WaitingSidecars => {
                f.write_str("a SidecarSet has taken it out of its Services to update it")
            }
            Self::HandingOver => f.write_str("one twin of a sidecar works, the other is to idle"),
            Self::UnreadableRecord { annotation } => {
                write!(f, "its annotation {annotation} cannot be read")
            }
            Self::WaitingHook { hook } => write!(f, "the {hook} hook holds it"),
            Self::WarmingImage { node } => {
                write!(
                    f,
                    "node {node} pulls the new image before the Pod is touched"
                )
            }
            Self::WaitingBatch { container } => {
                write!(f, "the next containers wait until {container} is ready")
            }
            Self::Resizing => f.write_str("the node is changing cpu or memory"),
            Self::ResizeDeferred { message } => {
                write!(
                    f,
                    "the node has no room for its cpu or memory now: {message}"
                )
            }
            Self::ResizeInfeasible { message } => {
                write!(f, "the node cannot give it its cpu or memory: {message}")
            }
            Self::Draining => f.write_str("is taken out of its Services before it is changed"),
            Self::WaitingGrace => f.write_str("is drained until its grace period is over"),
            Self::WaitingClaim(lost) => missing(f, &lost.claim, lost.error.as_deref()),
            Self::WaitingKubelet => f.write_str("is patched, the kubelet has not seen it yet"),
            Self::Patched => f.write_str("the kubelet is restarting what changed"),
            Self::StartBackOff(trouble) => {
                let Trouble { container, message } = &**trouble;
                write!(
                    f,
                    "container {container} has not started its new image: {message}"
                )
            }
            Self::ImagePull(trouble) | Self::CrashLoop(trouble) => {
                let Trouble { container, message } = &**trouble;
                write!(f, "container {container}: {message}")
            }
            Self::NotReady => f.write_str("is not ready"),
            Self::WaitingMinReady => f.write_str("is ready, but not yet for minReadySeconds"),
            Self::NeedsRecreate { path } => {
                write!(f, "{path} cannot change in place")
            }
            Self::PolicyRecreate => f.write_str("podUpdatePolicy is ReCreate"),
            Self::UnknownRevision { revision } => {
                write!(
                    f,
                    "its revision {revision:?} is not known, so it cannot be compared"
                )
            }
            Self::BackingOff { error } => write!(f, "the last write failed: {error}"),
            Self::Terminating => f.write_str("is on its way out"),
        }
    }
}

fn missing(f: &mut fmt::Formatter<'_>, claim: &str, error: Option<&str>) -> fmt::Result {
    match error {
        None => write!(f, "its claim {claim} is gone and is made again"),
        Some(error) => write!(
            f,
            "its claim {claim} is gone and could not be made again: {error}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resize_that_the_api_server_refuses_is_infeasible_and_other_refusals_are_tried_again() {
        let refused = "web-a: pods \"web-a\" is forbidden: node didn't have enough allocatable \
                       resources: cpu, requested: 900000, allocatable: 2000";
        let reason = Reason::of_refusal(refused);
        assert!(matches!(reason, Reason::ResizeInfeasible { .. }));
        assert!(reason.needs_a_person());
        let reason = Reason::of_refusal("web-a: denied by a webhook");
        assert!(matches!(reason, Reason::BackingOff { .. }));
    }
}
