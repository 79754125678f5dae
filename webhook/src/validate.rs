//! May a custom resource be written? The rules are those of `apis`; here stands only when they are
//! asked.

use apis::update_strategy::PodUpdatePolicy;
use apis::validation::{Checked, FieldErrorKind};
use apis::{CloneSet, FieldError, IntOrPercent, Valid, names};
use planner::in_place;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::review::admission::{Kind, Operation, Request, Verdict};

mod template;

/// What is checked beside the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Follow [`names::DELETE_PROTECTION_LABEL`].
    pub deletion_protection: bool,
}

/// Judges a request about any kind.
pub fn judge(request: &Request, rules: Rules) -> Verdict {
    let Kind {
        group,
        version,
        kind,
    } = &request.kind;
    match (group.as_str(), version.as_str(), kind.as_str()) {
        (names::GROUP, "v1beta1", "CloneSet") => clone_set(request, rules),
        // To let it in unseen would be worse than to say so.
        _ => Verdict::Forbidden(format!(
            "there are no rules here for {kind} in {group}/{version}: register the webhook for \
             clonesets in {}/v1beta1 only",
            names::GROUP
        )),
    }
}

/// Judges a request about a CloneSet.
fn clone_set(request: &Request, rules: Rules) -> Verdict {
    match request.operation {
        Operation::Update if is_old_story(request) => allowed(),
        Operation::Create | Operation::Update => {
            let judged =
                parse::<CloneSet>(&request.object).and_then(|set| consequences(&set, request));
            match judged {
                Ok(warnings) => Verdict::Allowed { warnings },
                Err(errors) => Verdict::Invalid(errors),
            }
        }
        Operation::Delete if rules.deletion_protection => deletion(&request.old_object),
        Operation::Delete | Operation::Connect => allowed(),
    }
}

fn allowed() -> Verdict {
    Verdict::Allowed {
        warnings: Vec::new(),
    }
}

/// What was let in before, by other rules maybe, must not keep anybody from changing labels or
/// taking off finalizers.
fn is_old_story(request: &Request) -> bool {
    is_leaving(&request.object) || request.object.get("spec") == request.old_object.get("spec")
}

/// On its way out.
fn is_leaving(object: &Value) -> bool {
    let since = object.pointer("/metadata/deletionTimestamp");
    since.is_some_and(|at| !at.is_null())
}

fn parse<T: Checked + DeserializeOwned>(object: &Value) -> Result<Valid<T>, Vec<FieldError>> {
    let read = T::deserialize(object).map_err(|error| vec![invalid("spec", error.to_string())])?;
    let unreadable = object
        .pointer("/spec/template")
        .and_then(|template| template::readable(template).err());
    match (Valid::new(read), unreadable) {
        (Ok(valid), None) => Ok(valid),
        (Ok(_), Some(error)) => Err(vec![error]),
        (Err((_, errors)), more) => Err(errors.into_iter().chain(more).collect()),
    }
}

fn invalid(path: impl Into<String>, message: String) -> FieldError {
    FieldError {
        path: path.into(),
        message,
        kind: FieldErrorKind::Invalid,
    }
}

/// What comes of a spec that makes sense: nothing that was forbidden by it, and what whoever writes
/// it may not have meant.
fn consequences(set: &Valid<CloneSet>, request: &Request) -> Result<Vec<String>, Vec<FieldError>> {
    let mut warnings = Vec::new();
    let nothing =
        |share: IntOrPercent| matches!(share, IntOrPercent::Int(0) | IntOrPercent::Percent(0));
    if nothing(set.max_unavailable) && nothing(set.max_surge) && set.replicas > 0 {
        warnings.push(
            "spec.updateStrategy.rollingUpdate: maxUnavailable and maxSurge are both 0, so no Pod \
             that serves will ever be updated; set one of them to 1 or more"
                .to_owned(),
        );
    }
    let old = request.old_object.pointer("/spec/template");
    let obstacle = old.and_then(|old| in_place::obstacle_between(old, &set.template));
    match (obstacle, set.policy) {
        (Some(obstacle), PodUpdatePolicy::InPlaceOnly) => {
            let why = format!(
                "{obstacle}, and podUpdatePolicy InPlaceOnly makes no new Pods; use \
                 InPlaceIfPossible for this change"
            );
            return Err(vec![invalid("spec.template", why)]);
        }
        (Some(obstacle), PodUpdatePolicy::InPlaceIfPossible) => {
            warnings.push(format!("{obstacle}: Pods will be deleted and made anew"));
        }
        (Some(_), PodUpdatePolicy::ReCreate) | (None, _) => {}
    }
    Ok(warnings)
}

/// An object without its old self, as some clients send it, is let go.
fn deletion(old: &Value) -> Verdict {
    if is_leaving(old) {
        return allowed();
    }
    let key = names::DELETE_PROTECTION_LABEL;
    let labels = old.pointer("/metadata/labels");
    let label = labels.and_then(|labels| labels.get(key));
    let replicas = old.pointer("/spec/replicas").and_then(Value::as_i64);
    match label.and_then(Value::as_str) {
        Some("Always") => {
            Verdict::Forbidden(format!("its label {key} is Always: remove the label first"))
        }
        Some("Cascading") if replicas != Some(0) => Verdict::Forbidden(format!(
            "its label {key} is Cascading and spec.replicas is {}: scale it to 0 or remove the \
             label first",
            replicas.unwrap_or(1)
        )),
        Some(_) | None => allowed(),
    }
}

#[cfg(test)]
mod tests;
