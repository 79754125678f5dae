//! The facts of one Pod that decisions need, decoded from what the API server sends and nothing
//! more: a full Pod would cost ten times the memory.

use std::sync::Arc;

use apis::in_place_state::{InPlaceState, Resources};
use apis::names;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::in_place::{self, Progress};

mod kin;
mod known;
mod status;
mod volume;
mod words;

pub(crate) use kin::Kin;
pub use kin::Kins;
pub(crate) use known::{Facts, mark};
pub use status::{
    ContainerState, ContainerStatus, PodCondition, PodStatus, Running, TELLING, Terminated, Waiting,
};
pub use volume::{ClaimVolume, Volume};
pub use words::Words;

/// A Pod, projected. What the methods say is what was found when it was decoded: to change a Pod,
/// decode another one.
///
/// In memory its parts stand in this order: a first decision looks at the first two of each of
/// thousands of Pods, which then are side by side.
#[derive(kube::Resource, Clone, Debug, Default, PartialEq, Deserialize)]
#[resource(inherit = k8s_openapi::api::core::v1::Pod)]
#[serde(from = "Wire")]
#[repr(C)]
pub struct Pod {
    #[serde(skip)]
    kin: kin::KinOf,
    #[serde(skip)]
    known: known::Known,
    /// See [`crate::metadata`]: what decisions need of it, but for labels and annotations.
    pub metadata: ObjectMeta,
    pub(crate) labels: Words,
    pub(crate) annotations: Words,
    /// See [`PodSpec`].
    pub spec: PodSpec,
    /// See [`PodStatus`].
    pub status: PodStatus,
}

#[derive(Deserialize)]
struct Wire {
    metadata: crate::metadata::Apart,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

impl From<Wire> for Pod {
    fn from(wire: Wire) -> Self {
        let mut pod = Self {
            metadata: wire.metadata.metadata,
            labels: wire.metadata.labels,
            annotations: wire.metadata.annotations,
            spec: wire.spec,
            status: wire.status,
            known: known::Known::default(),
            kin: kin::KinOf::default(),
        };
        pod.forget_claims_in_use();
        pod.shrink();
        let record = pod.in_place_state();
        pod.known = known::Known::of(&pod, record.as_ref());
        let progress = in_place::progress(&pod, record.as_ref());
        pod.known.settle(progress);
        pod
    }
}

impl Serialize for Pod {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Out<'a> {
            metadata: ObjectMeta,
            spec: &'a PodSpec,
            status: &'a PodStatus,
        }

        let map = |words: &Words| words.is_there().then(|| words.to_map());
        let out = Out {
            metadata: ObjectMeta {
                labels: map(&self.labels),
                annotations: map(&self.annotations),
                ..self.metadata.clone()
            },
            spec: &self.spec,
            status: &self.status,
        };
        out.serialize(serializer)
    }
}

/// `spec`, projected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Empty until scheduled.
    pub node_name: Option<Box<str>>,
    /// App containers.
    pub containers: Arc<[Container]>,
    /// Init containers, native sidecars among them.
    pub init_containers: Arc<[Container]>,
    /// Conditions that Ready waits for.
    pub readiness_gates: Arc<[ReadinessGate]>,
    /// Seconds that containers have to end by themselves; a negative number counts as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<i64>,
    /// Those that are claims of its own, and are waited for: see [`Pod::awaited_claims`].
    #[serde(
        deserialize_with = "volume::of_claims",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub volumes: Vec<Volume>,
}

/// A container of the spec, projected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Unique in the Pod.
    pub name: Arc<str>,
    /// As admitted.
    pub image: Arc<str>,
    /// `Always` makes an init container a native sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<Box<str>>,
    /// Its cpu and memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Box<Resources>>,
    /// Changes of what restart it; nothing is kept of those that do not.
    #[serde(deserialize_with = "restarting", skip_serializing_if = "Vec::is_empty")]
    pub resize_policy: Vec<ResizePolicy>,
}

/// What becomes of a container when one of its resources changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResizePolicy {
    /// `cpu` or `memory`.
    pub resource_name: Box<str>,
    /// `RestartContainer` or `NotRequired`.
    pub restart_policy: Box<str>,
}

fn restarting<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ResizePolicy>, D::Error> {
    let mut all = Option::<Vec<ResizePolicy>>::deserialize(deserializer)?.unwrap_or_default();
    all.retain(|policy| &*policy.restart_policy == "RestartContainer");
    all.shrink_to_fit();
    Ok(all)
}

/// A readiness gate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadinessGate {
    /// Type of the condition it waits for.
    pub condition_type: Box<str>,
}

/// The readiness gate of in-place updates on one Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// The Pod does not carry the gate (it was made by somebody else).
    #[default]
    Missing,
    /// The Pod carries it and nobody has set it: the Pod is new.
    Unset,
    /// True.
    Open,
    /// False: the Pod is drained.
    Closed {
        /// When it was closed.
        since: Option<Timestamp>,
    },
}

impl Pod {
    /// A claim that a Pod has begun to use stays until the Pod is gone, so nobody asks for it any
    /// more, and thousands of Pods need not remember theirs.
    fn forget_claims_in_use(&mut self) {
        let has_begun = self.status.phase.as_deref().is_some_and(|p| p != "Pending");
        let mut volumes = std::mem::take(&mut self.spec.volumes);
        volumes.retain(|volume| {
            let own = format!("{}-{}", volume.name, self.name());
            let claim = volume.persistent_volume_claim.as_ref();
            !has_begun && claim.is_some_and(|claim| *claim.claim_name == *own)
        });
        volumes.shrink_to_fit();
        self.spec.volumes = volumes;
    }

    /// Gives back the room that decoding leaves at the end of each list: thousands of Pods are kept
    /// for as long as they live.
    fn shrink(&mut self) {
        self.status.conditions.shrink_to_fit();
        self.status.container_statuses.shrink_to_fit();
        self.status.init_container_statuses.shrink_to_fit();
        if let Some(owners) = &mut self.metadata.owner_references {
            owners.shrink_to_fit();
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its UID.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Its spec's generation.
    pub fn generation(&self) -> i64 {
        self.metadata.generation.unwrap_or_default()
    }

    /// The kubelet says that it has not seen the spec yet. One before Kubernetes 1.34 never says so.
    pub(crate) fn is_unseen(&self) -> bool {
        let seen = self.status.observed_generation;
        seen.is_some_and(|seen| seen < self.generation())
    }

    /// Its labels.
    pub fn labels(&self) -> &Words {
        &self.labels
    }

    /// Its annotations.
    pub fn annotations(&self) -> &Words {
        &self.annotations
    }

    /// Hash of the revision it was last brought to: the last `-` token of the label, because the
    /// label carries the bare hash in some installations and `<set>-<hash>` in others.
    pub fn revision_hash(&self) -> Option<&str> {
        self.known.revision_hash.as_deref()
    }

    /// On its way out.
    pub fn is_terminating(&self) -> bool {
        self.known.facts.is_terminating
    }

    /// Ran to its end; will never serve again.
    pub fn is_finished(&self) -> bool {
        self.known.facts.is_finished
    }

    /// Counts as a replica.
    pub fn is_active(&self) -> bool {
        !self.is_terminating() && !self.is_finished()
    }

    /// The condition of type `name`, with its index.
    pub fn condition(&self, name: &str) -> Option<(usize, &PodCondition)> {
        self.status
            .conditions
            .iter()
            .enumerate()
            .find(|(_, c)| &*c.type_ == name)
    }

    /// Serves: Endpoints list it.
    pub fn is_ready(&self) -> bool {
        self.known.facts.is_ready
    }

    /// Since when it serves.
    pub fn ready_since(&self) -> Option<Timestamp> {
        self.known.facts.ready_since
    }

    /// See [`Gate`].
    pub fn gate(&self) -> Gate {
        self.known.facts.gate
    }

    /// Whether it waits for OpenKruise's own gate, which its node agent and its manager opened, and
    /// nobody but a lifecycle hook of theirs holds it closed.
    pub fn waits_for_kruise(&self) -> bool {
        self.known.facts.waits_for_kruise
    }

    /// Out of its Services for good: the gate is closed, and the kubelet has said that the Pod is
    /// not Ready. Until it says so it may still repeat that the Pod is, whatever anybody else
    /// wrote (see `docs/decisions`).
    pub fn is_drained(&self) -> bool {
        self.known.facts.is_drained
    }

    /// Name of the SidecarSet that closed its gate, if one did: it opens the gate again, and nobody
    /// else.
    pub fn shut_by(&self) -> Option<&str> {
        known::shut_by(self).filter(|_| self.known.facts.is_shut_for_sidecars)
    }

    /// What an in-place update left on it. It is read anew each time: kept for each Pod it would take
    /// more memory than most of the rest, and decisions ask for the facts that follow from it.
    pub fn in_place_state(&self) -> Option<InPlaceState> {
        let annotations = self.annotations();
        let record = annotations
            .get(names::IN_PLACE_STATE_ANNOTATION)
            .or_else(|| annotations.get(names::OLD_IN_PLACE_STATE_ANNOTATION));
        record.and_then(InPlaceState::parse)
    }

    /// Those who are like it, if it was introduced to them.
    pub(crate) fn kin(&self) -> Option<&Arc<Kin>> {
        self.kin.0.as_ref()
    }

    /// What every decision asks.
    pub(crate) fn facts(&self) -> &Facts {
        &self.known.facts
    }

    /// How far the kubelet has come with its spec.
    pub(crate) fn progress(&self) -> Progress {
        let progress = self.known.progress.as_deref();
        progress.cloned().unwrap_or(Progress::Done)
    }

    /// Labelled for deletion.
    pub fn is_named_for_deletion(&self) -> bool {
        self.known.facts.is_named_for_deletion
    }

    /// The container called `name`, of either list.
    pub fn container(&self, name: &str) -> Option<&Container> {
        let mut all = self
            .spec
            .containers
            .iter()
            .chain(&*self.spec.init_containers);
        all.find(|c| &*c.name == name)
    }

    /// App containers' and init containers' statuses.
    pub fn container_statuses(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.status
            .container_statuses
            .iter()
            .chain(&self.status.init_container_statuses)
    }

    /// The status of the container called `name`.
    pub fn container_status(&self, name: &str) -> Option<&ContainerStatus> {
        self.container_statuses().find(|s| &*s.name == name)
    }

    /// Restarts of all containers.
    pub fn restarts(&self) -> i32 {
        self.known.facts.restarts
    }
}
