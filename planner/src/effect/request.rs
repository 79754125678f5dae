//! An effect as the request that carries it out: verb, resource and body with its preconditions.

use apis::lifecycle::State;
use apis::names;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Effect, Judged, Op, Target, test_uid, test_version};
use crate::lifecycle;

/// What is asked of the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// How.
    pub verb: Verb,
    /// Of what kind.
    pub resource: Resource,
    /// Which object.
    pub name: String,
    /// With what.
    pub body: Value,
}

/// The verbs that effects use. There is no update: a PUT would carry fields that are not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// POST.
    Create,
    /// DELETE with preconditions in the body.
    Delete,
    /// RFC 6902.
    JsonPatch,
    /// Kubernetes' own merge, lists by key.
    StrategicPatch,
    /// RFC 7396.
    MergePatch,
}

/// The resources that effects write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `pods`.
    Pods,
    /// `pods/status`.
    PodsStatus,
    /// `pods/resize`.
    PodsResize,
    /// `persistentvolumeclaims`.
    Claims,
    /// `controllerrevisions`.
    ControllerRevisions,
}

impl Effect {
    /// The request that carries it out.
    #[allow(clippy::too_many_lines, reason = "one arm per effect")]
    pub fn request(&self) -> Request {
        let (verb, resource, body) = match self {
            Self::CreateRevision { body, .. } => {
                (Verb::Create, Resource::ControllerRevisions, body.clone())
            }
            Self::RenumberRevision {
                target,
                number,
                written_for,
            } => {
                let mut body = annotate(target, names::WRITTEN_FOR_ANNOTATION, written_for);
                body["revision"] = (*number).into();
                (Verb::MergePatch, Resource::ControllerRevisions, body)
            }
            Self::NameRevision { target, version } => {
                let mut metadata = versioned(target);
                metadata["labels"] = json!({names::CUSTOM_VERSION_LABEL: version});
                let body = json!({"metadata": metadata});
                (Verb::MergePatch, Resource::ControllerRevisions, body)
            }
            Self::DeleteRevision { target } => (
                Verb::Delete,
                Resource::ControllerRevisions,
                preconditions(target),
            ),
            Self::Adopt {
                target,
                owner,
                has_references,
            } => {
                let body = adopt(target, owner, *has_references);
                (Verb::JsonPatch, Resource::Pods, body)
            }
            Self::AdoptRevision {
                target,
                owner,
                has_references,
            } => {
                let body = adopt(target, owner, *has_references);
                (Verb::JsonPatch, Resource::ControllerRevisions, body)
            }
            Self::Release { target, index } => {
                (Verb::JsonPatch, Resource::Pods, release(target, *index))
            }
            Self::CreatePod { body, .. } | Self::CreateWarmer { body, .. } => {
                (Verb::Create, Resource::Pods, body.clone())
            }
            Self::DeletePod { target, .. } | Self::DeleteWarmer { target } => {
                (Verb::Delete, Resource::Pods, preconditions(target))
            }
            Self::CreateClaim { body, .. } => (Verb::Create, Resource::Claims, body.clone()),
            Self::HandClaim {
                target,
                index,
                owner,
            } => (
                Verb::JsonPatch,
                Resource::Claims,
                hand_over(target, *index, owner),
            ),
            Self::DeleteClaim { target } => (Verb::Delete, Resource::Claims, preconditions(target)),
            Self::KeepClaims { target, revision } => (
                Verb::MergePatch,
                Resource::Pods,
                annotate(target, names::KEEP_CLAIMS_ANNOTATION, revision),
            ),
            Self::Transition {
                target,
                state,
                drain,
                at,
                ..
            } => transition(target, *state, *drain, *at),
            Self::Resize { patch, .. } => {
                (Verb::JsonPatch, Resource::PodsResize, array(patch.iter()))
            }
            Self::Drain {
                target,
                at,
                sidecar_set,
                ..
            } => {
                let body = drain(target, *at, sidecar_set.as_deref());
                (Verb::StrategicPatch, Resource::PodsStatus, body)
            }
            Self::PatchPod { patch, .. } => (Verb::JsonPatch, Resource::Pods, array(patch.iter())),
            Self::OpenGate {
                target,
                at,
                kruise: true,
                state,
                ..
            } => {
                let body = open_both(target, *at, *state);
                (Verb::StrategicPatch, Resource::PodsStatus, body)
            }
            Self::OpenGate {
                target,
                at,
                judged,
                state,
                ..
            } => match judged {
                None => {
                    let body = open_new(target, *at, *state);
                    (Verb::StrategicPatch, Resource::PodsStatus, body)
                }
                Some(judged) => {
                    let mut ops = undrain(target, *at, judged);
                    if let Some(state) = state {
                        ops.extend(lifecycle::ops(target, *state, *at));
                    }
                    (Verb::JsonPatch, Resource::PodsStatus, array(ops.iter()))
                }
            },
        };
        Request {
            verb,
            resource,
            name: self.name().to_owned(),
            body,
        }
    }
}

/// Closes the gate. That the Pod was available, and is the one to go, was
/// concluded from all of it, so nothing finer than its version will do: a Pod that has been updated
/// since is not drained a second time.
fn drain(target: &Target, at: Timestamp, sidecar_set: Option<&str>) -> Value {
    // Ready is left to the kubelet. It repeats its own opinion every ten seconds, whatever anybody
    // else wrote; only once it has taken the gate into account does the Pod stay out.
    let name = names::IN_PLACE_READY_CONDITION;
    let gate = match sidecar_set {
        None => condition(name, "False", Some(names::REASON_START_UPDATE), at),
        Some(set) => {
            let reason = Some(names::REASON_START_SIDECAR_UPDATE);
            let mut gate = condition(name, "False", reason, at);
            gate["message"] = format!("{}{set}", names::SIDECAR_SET_CLOSER).into();
            gate
        }
    };
    json!({"metadata": versioned(target), "status": {"conditions": [gate]}})
}

/// The label and its time; with `drain` the gate is closed by the same write, because a patch of
/// the status stores labels and annotations too.
fn transition(
    target: &Target,
    state: State,
    drain: bool,
    at: Timestamp,
) -> (Verb, Resource, Value) {
    let metadata = stated(target, state, at);
    if !drain {
        return (
            Verb::MergePatch,
            Resource::Pods,
            json!({"metadata": metadata}),
        );
    }
    let reason = Some(names::REASON_START_UPDATE);
    let gate = condition(names::IN_PLACE_READY_CONDITION, "False", reason, at);
    let body = json!({"metadata": metadata, "status": {"conditions": [gate]}});
    (Verb::StrategicPatch, Resource::PodsStatus, body)
}

/// Metadata that says what a Pod is.
fn stated(target: &Target, state: State, at: Timestamp) -> Value {
    let mut metadata = versioned(target);
    metadata["labels"] = json!({names::LIFECYCLE_STATE_LABEL: state.as_str()});
    metadata["annotations"] = json!({names::LIFECYCLE_TIMESTAMP_ANNOTATION: time(at)});
    metadata
}

fn annotate(target: &Target, key: &str, value: &str) -> Value {
    let mut metadata = versioned(target);
    metadata["annotations"] = json!({key: value});
    json!({"metadata": metadata})
}

fn array<'a>(ops: impl Iterator<Item = &'a Op>) -> Value {
    ops.map(Op::json).collect()
}

fn hand_over(target: &Target, index: usize, owner: &Value) -> Value {
    let path = format!("/metadata/ownerReferences/{index}");
    json!([test_uid(target), test_version(target), {"op": "replace", "path": path, "value": owner}])
}

pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// That nobody has drained the Pod or let go of it was read from all of it: a condition that is not
/// there cannot be tested.
fn open_new(target: &Target, at: Timestamp, state: Option<State>) -> Value {
    let gate = condition(names::IN_PLACE_READY_CONDITION, "True", None, at);
    let metadata = match state {
        None => versioned(target),
        Some(state) => stated(target, state, at),
    };
    json!({"metadata": metadata, "status": {"conditions": [gate]}})
}

/// Opens both gates of a Pod that OpenKruise left behind. Who holds it was read from all of it, so
/// its version has to be the one that was looked at.
fn open_both(target: &Target, at: Timestamp, state: Option<State>) -> Value {
    let gates = [
        names::IN_PLACE_READY_CONDITION,
        names::KRUISE_READY_CONDITION,
    ]
    .map(|name| {
        let mut gate = condition(name, "True", None, at);
        gate["reason"] = Value::Null;
        gate["message"] = Value::Null;
        gate
    });
    let metadata = match state {
        None => versioned(target),
        Some(state) => stated(target, state, at),
    };
    json!({"metadata": metadata, "status": {"conditions": gates}})
}

/// Replaces the whole condition, and with it the reason of the drain.
fn undrain(target: &Target, at: Timestamp, judged: &Judged) -> Vec<Op> {
    let gate = condition(names::IN_PLACE_READY_CONDITION, "True", None, at);
    let path = format!("/status/conditions/{}", judged.index);
    let mut ops = vec![test_uid(target)];
    ops.extend(judged.owner.clone());
    // Whoever changed the spec meanwhile wants the Pod drained. (Servers that do not number the
    // generations of Pods leave us without this test.)
    if judged.generation > 0 {
        ops.push(Op::test("/metadata/generation", judged.generation));
    }
    ops.push(Op::test(
        format!("{path}/type"),
        names::IN_PLACE_READY_CONDITION,
    ));
    ops.extend(judged.closer.iter().cloned());
    ops.push(Op::replace(path, gate));
    ops
}

fn adopt(target: &Target, owner: &Value, has_references: bool) -> Value {
    let add = if has_references {
        json!({"op": "add", "path": "/metadata/ownerReferences/-", "value": owner})
    } else {
        json!({"op": "add", "path": "/metadata/ownerReferences", "value": [owner]})
    };
    json!([test_uid(target), test_version(target), add])
}

fn release(target: &Target, index: usize) -> Value {
    let path = format!("/metadata/ownerReferences/{index}");
    json!([test_uid(target), test_version(target), {"op": "remove", "path": path}])
}

fn versioned(target: &Target) -> Value {
    json!({"uid": target.uid, "resourceVersion": target.resource_version})
}

fn preconditions(target: &Target) -> Value {
    json!({"preconditions": versioned(target)})
}

fn condition(type_: &str, status: &str, reason: Option<&str>, at: Timestamp) -> Value {
    let mut condition = json!({"type": type_, "status": status, "lastTransitionTime": time(at)});
    if let Some(reason) = reason {
        condition["reason"] = reason.into();
    }
    condition
}
