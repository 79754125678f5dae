//! Checks of the terms that say how many Pods an update takes at a time, and in which order.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::Selector;

use super::FieldError;
use super::clone_set::Priority;
use crate::int_or_percent::IntOrPercent;
use crate::schema::TERMS_MAX;
use crate::update_strategy::{PriorityStrategy, ScatterTerm};

fn refuse(errors: &mut Vec<FieldError>, path: impl Into<String>, message: impl Into<String>) {
    errors.push(FieldError::invalid(path, message));
}

/// A number or a percentage, `default` where there is none.
pub(super) fn share(
    errors: &mut Vec<FieldError>,
    path: &str,
    value: Option<&IntOrString>,
    default: IntOrPercent,
) -> IntOrPercent {
    match value.map(IntOrPercent::parse) {
        None => default,
        Some(Ok(parsed)) => parsed,
        Some(Err(message)) => {
            refuse(errors, path, message);
            default
        }
    }
}

/// Each term costs a look at every Pod, so there is an end to them.
pub(super) fn limit(errors: &mut Vec<FieldError>, path: &str, count: usize) {
    if count > TERMS_MAX as usize {
        refuse(
            errors,
            path,
            format!("has {count} terms; use at most {TERMS_MAX}"),
        );
    }
}

/// The `priorityStrategy` below `parent`.
pub(super) fn priority(
    errors: &mut Vec<FieldError>,
    parent: &str,
    strategy: Option<&PriorityStrategy>,
) -> Priority {
    let path = format!("{parent}.priorityStrategy");
    let Some(strategy) = strategy else {
        return Priority::default();
    };
    if !strategy.weight_priority.is_empty() && !strategy.order_priority.is_empty() {
        refuse(
            errors,
            &path,
            "has weightPriority and orderPriority; use one of them",
        );
    }
    let (weights, orders) = (&strategy.weight_priority, &strategy.order_priority);
    limit(errors, &format!("{path}.weightPriority"), weights.len());
    limit(errors, &format!("{path}.orderPriority"), orders.len());
    let mut priority = Priority::default();
    for (i, term) in weights.iter().enumerate() {
        let path = format!("{path}.weightPriority[{i}]");
        if !(0..=100).contains(&term.weight) {
            let weight = term.weight;
            refuse(
                errors,
                format!("{path}.weight"),
                format!("{weight} is not within 0 to 100"),
            );
        }
        let path = format!("{path}.matchSelector");
        match Selector::try_from(term.match_selector.clone()) {
            Ok(selector) if selector.selects_all() => {
                refuse(errors, path, "is empty and matches every Pod");
            }
            Ok(selector) => {
                let weight = u32::try_from(term.weight).unwrap_or_default();
                priority.weights.push((weight, selector));
            }
            Err(error) => refuse(errors, path, error.to_string()),
        }
    }
    for (i, term) in orders.iter().enumerate() {
        if term.ordered_key.is_empty() {
            refuse(
                errors,
                format!("{path}.orderPriority[{i}].orderedKey"),
                "is empty; name a label",
            );
        }
        priority.order.push(term.ordered_key.clone());
    }
    priority
}

/// The `scatterStrategy` below `parent`.
pub(super) fn scatter(
    errors: &mut Vec<FieldError>,
    parent: &str,
    terms: &[ScatterTerm],
) -> Vec<(String, String)> {
    let path = format!("{parent}.scatterStrategy");
    limit(errors, &path, terms.len());
    let terms = terms.get(..TERMS_MAX as usize).unwrap_or(terms);
    let mut pairs = Vec::new();
    for (i, term) in terms.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let pair = (term.key.clone(), term.value.clone());
        if term.key.is_empty() {
            refuse(errors, format!("{path}.key"), "is empty; name a label");
        }
        if pairs.contains(&pair) {
            let what = format!("{}={} is listed twice", term.key, term.value);
            refuse(errors, path, what);
        } else {
            pairs.push(pair);
        }
    }
    pairs
}
