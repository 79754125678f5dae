//! What a pass did, told as notes for Events.

use apis::condition::{Condition, ConditionType};
use k8s_openapi::api::core::v1::ObjectReference;
use planner::{Effect, Pod};

use crate::events::{Note, Tone};
use crate::executor::Done;

/// The note about one effect, if anybody needs to know.
#[allow(clippy::too_many_lines, reason = "one arm per effect")]
pub(crate) fn of_effect(
    about: &ObjectReference,
    effect: &Effect,
    done: &Done,
    before: Option<&Pod>,
) -> Option<Note> {
    let (done_reason, failed_reason, text) = match effect {
        Effect::CreatePod { revision, .. } => (
            "SuccessfulCreate",
            "FailedCreate",
            format!("created at {revision}"),
        ),
        Effect::DeletePod { why, .. } => (
            "SuccessfulDelete",
            "FailedDelete",
            format!("deleted: {why}"),
        ),
        Effect::PatchPod {
            revision, images, ..
        } => {
            let label = before.and_then(|pod| pod.labels().get(apis::names::REVISION_LABEL));
            let from = label.unwrap_or("an unknown revision");
            let what = if images.is_empty() {
                "metadata".into()
            } else {
                images.join(", ")
            };
            let text = format!("patched in place from {from} to {revision} ({what})");
            ("SuccessfulUpdatePodInPlace", "FailedUpdatePodInPlace", text)
        }
        Effect::Adopt { .. } => ("SuccessfulAdopt", "FailedAdopt", "adopted".into()),
        Effect::Release { .. } => (
            "SuccessfulRelease",
            "FailedRelease",
            "released: its labels left the selector".into(),
        ),
        Effect::Resize { changes, .. } => (
            "SuccessfulResize",
            "FailedResize",
            format!("resized in place ({})", changes.join(", ")),
        ),
        Effect::Transition { state, .. } => (
            "Transition",
            "FailedUpdatePodInPlace",
            format!("its state {}", state.as_str()),
        ),
        Effect::CreateClaim { pod, .. } => {
            let text = match pod {
                None => "claim created".into(),
                Some(pod) => format!("claim of Pod {pod} created again"),
            };
            ("SuccessfulCreate", "FailedCreate", text)
        }
        Effect::HandClaim { .. } | Effect::KeepClaims { .. } => {
            ("Claim", "FailedUpdate", "who keeps its claims".into())
        }
        Effect::DeleteClaim { .. } => (
            "SuccessfulDelete",
            "FailedDelete",
            "claim deleted: no Pod will use it again".into(),
        ),
        Effect::CreateWarmer { node, .. } => (
            "Warmer",
            "FailedCreate",
            format!("a Pod that has node {node} pull the new image"),
        ),
        Effect::DeleteWarmer { .. } => ("Warmer", "FailedDelete", "an image warmer".into()),
        Effect::Drain { .. } | Effect::OpenGate { .. } => (
            "Drained",
            "FailedUpdatePodInPlace",
            "its readiness gate".into(),
        ),
        Effect::CreateRevision { .. }
        | Effect::AdoptRevision { .. }
        | Effect::RenumberRevision { .. }
        | Effect::NameRevision { .. }
        | Effect::DeleteRevision { .. } => ("Revision", "FailedRevision", "the revision".into()),
    };
    let quiet = matches!(
        done_reason,
        "Drained" | "Revision" | "Transition" | "Claim" | "Warmer"
    );
    let (tone, reason, text) = match done {
        Done::Written if quiet => return None,
        Done::Stale => return None,
        Done::Written => (Tone::Normal, done_reason, text),
        Done::Failed(error) => (Tone::Warning, failed_reason, format!("{text}: {error}")),
    };
    let pod = match effect {
        // New Pods of a refused create have no lasting name.
        Effect::CreatePod { .. } if tone == Tone::Warning => None,
        _ => Some(effect.name().to_owned()),
    };
    Some(Note {
        about: about.clone(),
        tone,
        reason,
        text,
        pod,
    })
}

/// The note about one effect on a Pod's sidecars, if anybody needs to know.
pub(crate) fn of_sidecars(
    about: &ObjectReference,
    (namespace, effect): (&str, &Effect),
    done: &Done,
) -> Option<Note> {
    let (revision, images) = match (effect, done) {
        (_, Done::Stale) => return None,
        (
            Effect::PatchPod {
                revision, images, ..
            },
            _,
        ) => (revision, images),
        (Effect::DeletePod { why, .. }, done) => {
            let (tone, reason, text) = match done {
                Done::Failed(error) => {
                    let text = format!("deleted: {why}: {error}");
                    (Tone::Warning, "FailedDelete", text)
                }
                Done::Written | Done::Stale => {
                    (Tone::Normal, "SuccessfulDelete", format!("deleted: {why}"))
                }
            };
            return Some(Note {
                about: about.clone(),
                tone,
                reason,
                text,
                pod: Some(format!("{namespace}/{}", effect.name())),
            });
        }
        (_, Done::Written) => return None,
        (Effect::Drain { .. } | Effect::OpenGate { .. }, Done::Failed(error)) => {
            return Some(Note {
                about: about.clone(),
                tone: Tone::Warning,
                reason: "FailedUpdatePodInPlace",
                text: format!("its readiness gate: {error}"),
                pod: Some(format!("{namespace}/{}", effect.name())),
            });
        }
        (_, Done::Failed(error)) => {
            return Some(Note {
                about: about.clone(),
                tone: Tone::Warning,
                reason: "FailedRevision",
                text: format!("the revision: {error}"),
                pod: None,
            });
        }
    };
    let what = if images.is_empty() {
        "metadata".into()
    } else {
        images.join(", ")
    };
    let text = format!("sidecars patched in place to {revision} ({what})");
    let (tone, reason, text) = match done {
        Done::Failed(error) => (
            Tone::Warning,
            "FailedUpdatePodInPlace",
            format!("{text}: {error}"),
        ),
        Done::Written | Done::Stale => (Tone::Normal, "SuccessfulUpdatePodInPlace", text),
    };
    Some(Note {
        about: about.clone(),
        tone,
        reason,
        text,
        pod: Some(format!("{namespace}/{}", effect.name())),
    })
}

/// Notes about conditions that changed: what the set came to.
pub(crate) fn of_conditions(
    about: &ObjectReference,
    old: &[Condition],
    new: &[Condition],
) -> Option<Note> {
    let became = |type_: ConditionType| -> Option<Condition> {
        let is = |all: &[Condition]| {
            let mut found = all.iter().filter(|c| c.type_ == type_.as_str());
            found.find(|c| c.status == "True").cloned()
        };
        let (before, now) = (is(old), is(new)?);
        let said = |c: &Condition| (c.reason.clone(), c.observed_generation);
        (before.as_ref().map(said) != Some(said(&now))).then_some(now)
    };
    let note = |tone, reason, condition: Condition| Note {
        about: about.clone(),
        tone,
        reason,
        text: match (condition.reason, condition.message) {
            (Some(reason), Some(message)) => format!("{reason}: {message}"),
            (reason, message) => reason.or(message).unwrap_or_default(),
        },
        pod: None,
    };
    became(ConditionType::Stalled)
        .map(|c| note(Tone::Warning, "Stalled", c))
        .or_else(|| became(ConditionType::Ready).map(|c| note(Tone::Normal, "Ready", c)))
}
