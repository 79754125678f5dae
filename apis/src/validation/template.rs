//! Checks of a Pod template. The schema says nothing about it, because it is kept as raw JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::FieldError;

/// Labels of the template.
pub(super) fn labels(template: &Value) -> BTreeMap<String, String> {
    template
        .pointer("/metadata/labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Everything wrong with `template`, which stands at `spec.template`.
pub(super) fn check(template: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let Some(spec) = template.get("spec").and_then(Value::as_object) else {
        return vec![FieldError::invalid("spec.template.spec", "is required")];
    };
    match spec.get("restartPolicy").and_then(Value::as_str) {
        None | Some("" | "Always") => {}
        Some(other) => errors.push(FieldError::invalid(
            "spec.template.spec.restartPolicy",
            format!("is {other:?}; only Always makes sense for Pods that are kept running"),
        )),
    }
    if spec
        .get("activeDeadlineSeconds")
        .is_some_and(|v| !v.is_null())
    {
        errors.push(FieldError::invalid(
            "spec.template.spec.activeDeadlineSeconds",
            "is not allowed: the Pods are kept running; remove it",
        ));
    }
    let mut names = BTreeSet::new();
    containers(
        spec.get("containers"),
        "containers",
        &mut names,
        &mut errors,
    );
    if spec
        .get("containers")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
    {
        errors.push(FieldError::invalid(
            "spec.template.spec.containers",
            "is empty; a Pod needs at least one container",
        ));
    }
    containers(
        spec.get("initContainers"),
        "initContainers",
        &mut names,
        &mut errors,
    );
    errors
}

fn containers(
    list: Option<&Value>,
    field: &str,
    names: &mut BTreeSet<String>,
    errors: &mut Vec<FieldError>,
) {
    for (i, container) in list
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
    {
        let path = format!("spec.template.spec.{field}[{i}]");
        let text = |key: &str| {
            container
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        if text("name").is_empty() {
            errors.push(FieldError::invalid(format!("{path}.name"), "is required"));
        } else if !names.insert(text("name").to_owned()) {
            errors.push(FieldError::invalid(
                format!("{path}.name"),
                format!(
                    "{:?} is used twice; container names are unique in a Pod",
                    text("name")
                ),
            ));
        }
        if text("image").trim().is_empty() {
            errors.push(FieldError::invalid(format!("{path}.image"), "is required"));
        }
    }
}
