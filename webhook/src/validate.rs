//! May a custom resource be written? The rules are those of `apis`; here stands only when they are
//! asked.

use apis::update_strategy::PodUpdatePolicy;
use apis::validation::FieldErrorKind;
use apis::{CloneSet, CloneSetSpec, FieldError, IntOrPercent, Valid, names};
use planner::in_place;
use serde::Deserialize;
use serde_json::Value;

use crate::nesting;
use crate::review::admission::{Kind, Object, Operation, Request, Verdict};
use crate::sets::{Look, Missing, Sets};

mod sidecar_set;
mod template;

pub(crate) use sidecar_set::containers_readable;

/// What is checked beside the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Follow [`names::DELETE_PROTECTION_LABEL`].
    pub deletion_protection: bool,
}

/// Judges a request about any kind. What it has to say of the object is used up by that.
///
/// # Errors
/// What is not known yet and may be learnt before the last `look`.
pub fn judge(
    request: &mut Request,
    rules: Rules,
    sets: &Sets,
    look: Look,
) -> Result<Verdict, Missing> {
    if is_too_deep(request) {
        let levels = nesting::SPEC;
        let why = format!("is nested deeper than {levels} levels; nothing of a Pod is");
        return Ok(Verdict::Invalid(vec![invalid("spec", why)]));
    }
    let Kind {
        group,
        version,
        kind,
    } = &request.kind;
    match (group.as_str(), version.as_str(), kind.as_str()) {
        (names::GROUP, "v1beta1", "CloneSet") => Ok(clone_set(request, rules)),
        (names::GROUP, "v1beta1", "SidecarSet") => sidecar_set::judge(request, &sets.read(), look),
        // To let it in unseen would be worse than to say so.
        _ => Ok(Verdict::Forbidden(format!(
            "there are no rules here for {kind} in {group}/{version}: register the webhook for \
             clonesets and sidecarsets in {}/v1beta1 only",
            names::GROUP
        ))),
    }
}

/// The other version could not be made of it: see [`nesting`].
fn is_too_deep(request: &Request) -> bool {
    let Some(new) = &request.object else {
        return false;
    };
    let is_written = matches!(request.operation, Operation::Create | Operation::Update);
    is_written
        && nesting::exceeds(&new.spec, nesting::SPEC)
        && !is_old_story(new, request.old_object.as_ref())
}

/// Judges a request about a CloneSet.
fn clone_set(request: &mut Request, rules: Rules) -> Verdict {
    let new = request.object.take().unwrap_or_default();
    let old = request.old_object.as_ref();
    match request.operation {
        Operation::Update if is_old_story(&new, old) => allowed(),
        Operation::Create | Operation::Update => {
            match read(new.spec).and_then(|set| consequences(&set, old)) {
                Ok(warnings) => Verdict::Allowed { warnings },
                Err(errors) => Verdict::Invalid(errors),
            }
        }
        // A request without the old object, as some clients send it, is let go.
        Operation::Delete if rules.deletion_protection => old.map_or_else(allowed, deletion),
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
fn is_old_story(new: &Object, old: Option<&Object>) -> bool {
    is_leaving(new) || old.is_some_and(|old| old.spec == new.spec)
}

/// On its way out.
fn is_leaving(object: &Object) -> bool {
    !object.metadata.deletion_timestamp.is_null()
}

/// The spec of a CloneSet, with everything that is wrong with it.
fn read(mut spec: Value) -> Result<Valid<CloneSet>, Vec<FieldError>> {
    // It is by far the largest part, and stays as it is: it is moved, not copied.
    let template = spec.get_mut("template").map(Value::take);
    let read = CloneSetSpec::deserialize(spec);
    let mut read = read.map_err(|error| vec![invalid("spec", error.to_string())])?;
    let unreadable = template
        .as_ref()
        .and_then(|template| template::readable(template, "spec.template.").err());
    read.template = template.unwrap_or_default();
    match (Valid::new(CloneSet::new("", read)), unreadable) {
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
fn consequences(
    set: &Valid<CloneSet>,
    old: Option<&Object>,
) -> Result<Vec<String>, Vec<FieldError>> {
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
    let old = old.and_then(|old| old.spec.get("template"));
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

fn deletion(old: &Object) -> Verdict {
    if is_leaving(old) {
        return allowed();
    }
    let key = names::DELETE_PROTECTION_LABEL;
    let label = old.metadata.labels.get(key);
    let replicas = old.spec.get("replicas").and_then(Value::as_i64);
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
