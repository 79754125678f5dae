//! May a custom resource be written? The rules are those of `apis`; here stands only when they are
//! asked.

use apis::validation::{Checked, FieldErrorKind};
use apis::{CloneSet, FieldError, names};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::review::admission::{Operation, Request, Verdict};

/// What is checked beside the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Follow [`names::DELETE_PROTECTION_LABEL`].
    pub deletion_protection: bool,
}

/// Judges a request about a CloneSet.
pub fn clone_set(request: &Request, rules: Rules) -> Verdict {
    match request.operation {
        Operation::Update if is_old_story(request) => allowed(),
        Operation::Create | Operation::Update => check::<CloneSet>(&request.object),
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
    let is_leaving = request.object.pointer("/metadata/deletionTimestamp");
    is_leaving.is_some_and(|at| !at.is_null())
        || request.object.get("spec") == request.old_object.get("spec")
}

fn check<T: Checked + DeserializeOwned>(object: &Value) -> Verdict {
    let errors = match serde_json::from_value::<T>(object.clone()) {
        Ok(object) => object.check().err().unwrap_or_default(),
        Err(error) => vec![FieldError {
            path: "spec".to_owned(),
            message: error.to_string(),
            kind: FieldErrorKind::Invalid,
        }],
    };
    if errors.is_empty() {
        allowed()
    } else {
        Verdict::Invalid(errors)
    }
}

/// An object without its old self, as some clients send it, is let go.
fn deletion(old: &Value) -> Verdict {
    let labels = old.pointer("/metadata/labels");
    let label = labels.and_then(|labels| labels.get(names::DELETE_PROTECTION_LABEL));
    let is_leaving = old.pointer("/metadata/deletionTimestamp");
    if is_leaving.is_some_and(|at| !at.is_null()) {
        return allowed();
    }
    let replicas = old.pointer("/spec/replicas").and_then(Value::as_i64);
    let key = names::DELETE_PROTECTION_LABEL;
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
