//! What a person should know of an injection: a closed list.

use std::fmt;

/// Something about one SidecarSet and one Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Name of the set.
    pub set: String,
    /// What about it.
    pub reason: Reason,
}

/// What a warning is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Left out: the Pod has a container of that name already.
    ContainerExists {
        /// Its name.
        container: String,
    },
    /// Left out: another SidecarSet injects a container of that name.
    ContainerOfAnotherSet {
        /// Its name.
        container: String,
        /// The other set.
        other: String,
    },
    /// Left out: no container of the Pod is a target of `resourcesPolicy`.
    NoTarget {
        /// The container that has the policy.
        container: String,
        /// What the targets are called.
        regex: String,
    },
    /// Left out: nothing comes of an expression of `resourcesPolicy`.
    NoResult {
        /// The container that has the policy.
        container: String,
        /// The field of `resourcesExpr`, such as `limits.cpu`.
        field: String,
        /// Why.
        why: String,
    },
    /// Left out: there is no such revision.
    NoRevision {
        /// How it is named.
        wanted: String,
    },
    /// Left out: the revision makes no sense.
    BadRevision {
        /// Its name.
        revision: String,
        /// The first thing that is wrong with it.
        why: String,
    },
    /// Left out: what the Pod says was injected cannot be read.
    UnreadableRecord {
        /// The annotation.
        annotation: &'static str,
    },
    /// Injected; the Pod has another volume of that name, and that one is mounted.
    VolumeDiffers {
        /// Its name.
        volume: String,
    },
    /// Injected; the annotation is not on the white list and was not given.
    AnnotationNotAllowed {
        /// Its key.
        key: String,
    },
    /// Injected; the Pod's annotation is no JSON and was not merged with.
    AnnotationNotJson {
        /// Its key.
        key: String,
    },
}

impl Reason {
    /// Whether the Pod was not given the set's containers.
    pub fn leaves_out(&self) -> bool {
        match self {
            Self::ContainerExists { .. }
            | Self::ContainerOfAnotherSet { .. }
            | Self::NoTarget { .. }
            | Self::NoResult { .. }
            | Self::NoRevision { .. }
            | Self::BadRevision { .. }
            | Self::UnreadableRecord { .. } => true,
            Self::VolumeDiffers { .. }
            | Self::AnnotationNotAllowed { .. }
            | Self::AnnotationNotJson { .. } => false,
        }
    }

    /// One word for programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ContainerExists { .. } => "ContainerExists",
            Self::ContainerOfAnotherSet { .. } => "ContainerOfAnotherSet",
            Self::NoTarget { .. } => "NoTarget",
            Self::NoResult { .. } => "NoResult",
            Self::NoRevision { .. } => "NoRevision",
            Self::BadRevision { .. } => "BadRevision",
            Self::UnreadableRecord { .. } => "UnreadableRecord",
            Self::VolumeDiffers { .. } => "VolumeDiffers",
            Self::AnnotationNotAllowed { .. } => "AnnotationNotAllowed",
            Self::AnnotationNotJson { .. } => "AnnotationNotJson",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = &self.set;
        if self.reason.leaves_out() {
            write!(f, "SidecarSet {set} was not injected: {}", self.reason)
        } else {
            write!(f, "SidecarSet {set}: {}", self.reason)
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContainerExists { container } => write!(
                f,
                "the Pod has a container {container:?} of its own; rename one of them"
            ),
            Self::ContainerOfAnotherSet { container, other } => write!(
                f,
                "SidecarSet {other} injects a container {container:?} as well; rename one of them"
            ),
            Self::NoTarget { container, regex } => write!(
                f,
                "resourcesPolicy of {container:?} finds no container of the Pod that is called \
                 {regex:?}"
            ),
            Self::NoResult {
                container,
                field,
                why,
            } => write!(f, "resourcesExpr.{field} of {container:?} {why}"),
            Self::NoRevision { wanted } => write!(
                f,
                "injectionStrategy asks for the revision {wanted:?}, which does not exist"
            ),
            Self::BadRevision { revision, why } => {
                write!(f, "the revision {revision:?} makes no sense: {why}")
            }
            Self::UnreadableRecord { annotation } => write!(
                f,
                "the annotation {annotation} of the Pod cannot be read; remove it"
            ),
            Self::VolumeDiffers { volume } => write!(
                f,
                "the Pod has another volume {volume:?}, which is mounted instead"
            ),
            Self::AnnotationNotAllowed { key } => write!(
                f,
                "the annotation {key:?} is not on the white list of patchPodMetadata"
            ),
            Self::AnnotationNotJson { key } => write!(
                f,
                "the annotation {key:?} of the Pod is no JSON, and was not merged with"
            ),
        }
    }
}
