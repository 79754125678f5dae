//! The closed list of writes, each a whole sentence: target, body and, as its precondition, what
//! the decision looked at. A failed precondition is no error: the view was old.

use std::sync::Arc;

use apis::lifecycle::State;
use apis::names;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::snapshot::CREATION;
use crate::{Pod, claim};

mod op;
mod request;

pub use op::{Op, Patch};
pub(crate) use op::{
    annotation_path, app_id_path, condition_paths, condition_words, init_id_path, label_path,
    owner_path, set_annotation, status_text, test_uid, test_version,
};
pub(crate) use request::time;
pub use request::{Request, Resource, Verb};

/// The object an effect is about, as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Name.
    pub name: String,
    /// UID: another object of the same name is never meant.
    pub uid: String,
    /// The version that was looked at.
    pub resource_version: String,
}

impl Target {
    /// From an object's metadata.
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}

/// Whether carrying out an effect takes an available Pod away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disruption {
    /// It was counted against the budget.
    Counted,
    /// The Pod was not available to begin with, or stays so.
    None,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Record a template.
    CreateRevision {
        /// Its name.
        name: String,
        /// The `ControllerRevision`.
        body: Value,
    },
    /// A template returns: its revision becomes the newest again.
    RenumberRevision {
        /// Which.
        target: Target,
        /// Its new number.
        number: i64,
        /// The set and its generation.
        written_for: String,
    },
    /// Have a revision of a SidecarSet found by another name.
    NameRevision {
        /// Which.
        target: Target,
        /// `spec.customVersion`.
        version: String,
    },
    /// Forget a template.
    DeleteRevision {
        /// Which.
        target: Target,
    },
    /// Become the controller of an orphan.
    Adopt {
        /// Which Pod.
        target: Target,
        /// The owner reference to add.
        owner: Value,
        /// Whether there is a list to add it to.
        has_references: bool,
    },
    /// Become the controller of a revision without one: its Pods cannot be told apart without it.
    AdoptRevision {
        /// Which revision.
        target: Target,
        /// The owner reference to add.
        owner: Value,
        /// Whether there is a list to add it to.
        has_references: bool,
    },
    /// Let go of a Pod whose labels left the selector.
    Release {
        /// Which Pod.
        target: Target,
        /// Where its owner reference stands.
        index: usize,
    },
    /// Make a Pod.
    CreatePod {
        /// Its name; derived from what was seen, so that a repeat after a lost reply meets
        /// "already exists" instead of making a second Pod.
        name: String,
        /// Name of its revision.
        revision: String,
        /// The Pod.
        body: Value,
    },
    /// Delete a Pod.
    DeletePod {
        /// Which.
        target: Target,
        /// Why, for the Event.
        why: String,
        /// See [`Disruption`].
        disruption: Disruption,
    },
    /// Take a Pod out of its Services: close its gate. Ready is the kubelet's to write.
    Drain {
        /// Which Pod.
        target: Target,
        /// When.
        at: Timestamp,
        /// The SidecarSet on whose behalf; None is the Pod's own workload.
        sidecar_set: Option<String>,
        /// See [`Disruption`].
        disruption: Disruption,
    },
    /// Change a Pod in place.
    PatchPod {
        /// Which.
        target: Target,
        /// Name of the revision it is brought to.
        revision: String,
        /// Images that change, as `container: old -> new`, for the Event.
        images: Arc<[String]>,
        /// The JSON patch, with its `test`s.
        patch: Patch,
        /// See [`Disruption`].
        disruption: Disruption,
    },
    /// Write where a Pod is between its hooks, and take it out of its Services if the hook says so.
    Transition {
        /// Which Pod.
        target: Target,
        /// What it is now.
        state: State,
        /// Close its gate with the same write.
        drain: bool,
        /// When.
        at: Timestamp,
        /// See [`Disruption`].
        disruption: Disruption,
    },
    /// Change cpu and memory of a Pod's containers where it runs.
    Resize {
        /// Which Pod.
        target: Target,
        /// What changes, as `container: cpu 1 -> 2`, for the Event.
        changes: Vec<String>,
        /// The JSON patch of `pods/resize`, with its `test`s.
        patch: Vec<Op>,
        /// See [`Disruption`].
        disruption: Disruption,
    },
    /// Make a claim for a Pod that is yet to be made, or for one that lost it before it started.
    CreateClaim {
        /// Its name, from the template's, the set's and the instance id.
        name: String,
        /// The Pod that is there already and waits for it.
        pod: Option<String>,
        /// The claim.
        body: Value,
    },
    /// Make a Pod the owner of its claim: the garbage collector deletes the claim with it. Or make
    /// the set the owner again.
    HandClaim {
        /// Which claim.
        target: Target,
        /// Where the reference of its owner until now stands.
        index: usize,
        /// The owner reference to put there.
        owner: Value,
    },
    /// Delete a claim that no Pod will use again.
    DeleteClaim {
        /// Which.
        target: Target,
    },
    /// Note on a Pod that is about to be replaced that its claims are for the next one.
    KeepClaims {
        /// Which Pod.
        target: Target,
        /// Name of the revision it makes room for.
        revision: String,
    },
    /// Make a short-lived Pod that has a node pull images ahead of an update.
    CreateWarmer {
        /// Its name, from the set's, the node's and the revision's.
        name: String,
        /// Where.
        node: String,
        /// The Pod.
        body: Value,
    },
    /// Delete such a Pod.
    DeleteWarmer {
        /// Which.
        target: Target,
    },
    /// Let a Pod into its Services as soon as its containers are ready.
    OpenGate {
        /// Which Pod.
        target: Target,
        /// When.
        at: Timestamp,
        /// What was looked at; None for a new Pod, which has no such condition yet.
        judged: Option<Box<Judged>>,
        /// What the Pod is from now on, where that changes: written along.
        state: Option<State>,
        /// Open OpenKruise's gate as well, which nobody else is there to open.
        kruise: bool,
    },
}

/// A closed gate, and what is tested of its Pod before it opens.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Index of the gate's condition.
    pub index: usize,
    /// The generation it was judged at.
    pub generation: i64,
    /// Who closed it, by its reason and its message, as far as it has them: that nobody has closed it
    /// anew.
    pub closer: Vec<Op>,
    /// That the Pod is still whose it was.
    pub owner: Option<Op>,
}

impl Judged {
    /// What the opening of the gate of `pod` looks at, where there is a condition for it.
    pub(crate) fn of(pod: &Pod, owner: Option<Op>) -> Option<Box<Self>> {
        let (index, gate) = pod.condition(names::IN_PLACE_READY_CONDITION)?;
        let words = [gate.reason.as_deref(), gate.message.as_deref()];
        let closer = condition_words(index).into_iter().zip(words);
        let closer = closer.filter_map(|(path, word)| Some(Op::test(path, word?)));
        Some(Box::new(Self {
            index,
            generation: pod.generation(),
            closer: closer.collect(),
            owner,
        }))
    }
}

/// The object that an effect writes.
enum Object<'a> {
    /// It does not exist yet.
    New(&'a str),
    /// It was seen.
    Seen(&'a Target),
}

impl Effect {
    /// Name of the object written.
    pub fn name(&self) -> &str {
        match self.object() {
            Object::New(name) => name,
            Object::Seen(target) => &target.name,
        }
    }

    /// UID of the object written, where it exists.
    pub fn uid(&self) -> Option<&str> {
        match self.object() {
            Object::New(_) => None,
            Object::Seen(target) => Some(&target.uid),
        }
    }

    /// What is left alone for a while when the server refuses it: a Pod (by its UID), making
    /// objects at all, or something that nobody else shall wait for.
    pub fn held_as(&self) -> String {
        match self {
            // A warmer that is refused keeps no Pod from being made.
            Self::CreateWarmer { name, .. } => name.clone(),
            // Nor does a claim of one Pod that is there.
            Self::CreateClaim {
                name, pod: Some(_), ..
            } => claim::held_as(name),
            _ => self.uid().unwrap_or(CREATION).to_owned(),
        }
    }

    /// Whether it waits while [`CREATION`] is held.
    pub fn is_creation(&self) -> bool {
        matches!(
            self,
            Self::CreatePod { .. } | Self::CreateClaim { pod: None, .. }
        )
    }

    fn object(&self) -> Object<'_> {
        match self {
            Self::CreateRevision { name, .. }
            | Self::CreatePod { name, .. }
            | Self::CreateClaim { name, .. }
            | Self::CreateWarmer { name, .. } => Object::New(name),
            Self::RenumberRevision { target, .. }
            | Self::NameRevision { target, .. }
            | Self::DeleteRevision { target }
            | Self::Adopt { target, .. }
            | Self::AdoptRevision { target, .. }
            | Self::Release { target, .. }
            | Self::DeletePod { target, .. }
            | Self::Drain { target, .. }
            | Self::PatchPod { target, .. }
            | Self::Transition { target, .. }
            | Self::Resize { target, .. }
            | Self::HandClaim { target, .. }
            | Self::DeleteClaim { target }
            | Self::KeepClaims { target, .. }
            | Self::DeleteWarmer { target }
            | Self::OpenGate { target, .. } => Object::Seen(target),
        }
    }

    /// Whether it was counted against the budget.
    pub fn disruption(&self) -> Disruption {
        match self {
            Self::DeletePod { disruption, .. }
            | Self::Drain { disruption, .. }
            | Self::Transition { disruption, .. }
            | Self::Resize { disruption, .. }
            | Self::PatchPod { disruption, .. } => *disruption,
            Self::CreateRevision { .. }
            | Self::RenumberRevision { .. }
            | Self::NameRevision { .. }
            | Self::DeleteRevision { .. }
            | Self::Adopt { .. }
            | Self::AdoptRevision { .. }
            | Self::Release { .. }
            | Self::CreatePod { .. }
            | Self::CreateClaim { .. }
            | Self::HandClaim { .. }
            | Self::DeleteClaim { .. }
            | Self::KeepClaims { .. }
            | Self::CreateWarmer { .. }
            | Self::DeleteWarmer { .. }
            | Self::OpenGate { .. } => Disruption::None,
        }
    }

    /// Whether it makes an object the set's own that was not: see [`crate::ownership::may_adopt`].
    pub fn is_adoption(&self) -> bool {
        matches!(self, Self::Adopt { .. } | Self::AdoptRevision { .. })
    }

    /// Whether it takes one Pod a step further in place and changes nothing that is counted but
    /// that Pod: the next steps of others may be decided while it is under way (see
    /// [`Snapshot::in_flight`](crate::Snapshot)). What makes, removes or hands over objects is
    /// awaited, because the numbers that follow from it are not known before.
    pub fn is_step(&self) -> bool {
        match self {
            Self::Drain { .. } | Self::PatchPod { .. } | Self::OpenGate { .. } => true,
            Self::CreateRevision { .. }
            | Self::RenumberRevision { .. }
            | Self::NameRevision { .. }
            | Self::DeleteRevision { .. }
            | Self::Adopt { .. }
            | Self::AdoptRevision { .. }
            | Self::Release { .. }
            | Self::CreatePod { .. }
            | Self::DeletePod { .. }
            | Self::Transition { .. }
            | Self::Resize { .. }
            | Self::CreateClaim { .. }
            | Self::HandClaim { .. }
            | Self::DeleteClaim { .. }
            | Self::KeepClaims { .. }
            | Self::CreateWarmer { .. }
            | Self::DeleteWarmer { .. } => false,
        }
    }
}
