//! SidecarSets that would get in each other's way in one Pod.

use std::collections::BTreeSet;

use kube::core::{Expression, Selector};

use super::Effective;
use crate::FieldError;
use crate::names::CANARY_BASE_ANNOTATION;
use crate::sidecar_set::{PatchPolicy, SidecarSet};
use crate::validation::Valid;

/// Everything in `set` that another set has as well, for Pods that both may select; and what is
/// wrong with the set that a canary set stands in for, with which it is never injected together.
pub fn check<'a>(
    set: &Valid<SidecarSet>,
    others: impl IntoIterator<Item = &'a Valid<SidecarSet>>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut base = None;
    for other in others {
        if set.canary_of.as_ref() == Some(&other.name) {
            base = Some(other);
        }
        let is_canary = |canary: &Effective, base: &Effective| {
            canary.canary_of.as_deref() == Some(base.name.as_str())
        };
        let apart = set.name == other.name
            || is_canary(set, other)
            || is_canary(other, set)
            || are_disjoint(&set.selector, &other.selector)
            || matches!((&set.namespaces, &other.namespaces),
                (Some(a), Some(b)) if are_disjoint(a, b));
        if !apart {
            between(set, other, &mut errors);
        }
    }
    if let Some(name) = &set.canary_of {
        let why = match base {
            None => "does not exist; name the set that this one stands in for",
            Some(base) if base.canary_of.is_some() => "is a canary set itself; name its base",
            Some(_) => return errors,
        };
        errors.push(FieldError::invalid(
            format!("metadata.annotations[{CANARY_BASE_ANNOTATION}]"),
            format!("{name:?} {why}"),
        ));
    }
    errors
}

fn between(set: &Effective, other: &Effective, errors: &mut Vec<FieldError>) {
    let theirs = names(other);
    let name = &other.name;
    for (field, containers) in [
        ("initContainers", &set.init_containers),
        ("containers", &set.containers),
    ] {
        for (i, container) in containers.iter().enumerate() {
            let twins = twins(container);
            if let Some(taken) = twins.iter().find(|name| theirs.contains(*name)) {
                errors.push(FieldError::invalid(
                    format!("spec.{field}[{i}].name"),
                    format!(
                        "{taken:?} is injected by SidecarSet {name:?} into Pods that both select; \
                         rename it"
                    ),
                ));
            }
        }
    }
    for (volume, body) in &set.volumes {
        if other
            .volumes
            .get(volume)
            .is_some_and(|theirs| theirs != body)
        {
            errors.push(FieldError::invalid(
                "spec.volumes",
                format!(
                    "{volume:?} is another volume in SidecarSet {name:?}, for Pods that both \
                     select; rename it"
                ),
            ));
        }
    }
    for (i, patch) in set.pod_metadata.iter().enumerate() {
        for key in patch.annotations.keys() {
            let clashes = other.pod_metadata.iter().any(|theirs| {
                let policies = [patch.policy, theirs.policy];
                theirs.annotations.contains_key(key)
                    && policies.contains(&PatchPolicy::Overwrite)
                    && !policies.contains(&PatchPolicy::Retain)
            });
            if clashes {
                errors.push(FieldError::invalid(
                    format!("spec.patchPodMetadata[{i}].annotations"),
                    format!(
                        "{key:?} is written by SidecarSet {name:?} as well, for Pods that both \
                         select; keep one of them"
                    ),
                ));
            }
        }
    }
}

fn twins(container: &super::Sidecar) -> Vec<String> {
    let name = &container.name;
    match container.hot {
        Some(_) => vec![format!("{name}-1"), format!("{name}-2")],
        None => vec![name.clone()],
    }
}

fn names(set: &Effective) -> BTreeSet<String> {
    let all = set.init_containers.iter().chain(&set.containers);
    all.flat_map(twins).collect()
}

/// Whether no labels at all match both.
pub fn are_disjoint(one: &Selector, other: &Selector) -> bool {
    let terms = |selector: &Selector| -> Vec<Expression> { selector.clone().into_iter().collect() };
    let (one, other) = (terms(one), terms(other));
    one.iter()
        .any(|a| other.iter().any(|b| contradict(a, b) || contradict(b, a)))
}

/// Whether the two say the opposite of one label. What both accept of a label is looked at term by
/// term: selectors that contradict each other only by three terms at once are taken to overlap.
fn contradict(a: &Expression, b: &Expression) -> bool {
    use Expression::{DoesNotExist, Equal, Exists, In, NotEqual, NotIn};
    let (Equal(key, _) | In(key, _) | Exists(key)) = a else {
        return false;
    };
    let values: Option<BTreeSet<&str>> = match a {
        Equal(_, value) => Some(BTreeSet::from([value.as_str()])),
        In(_, values) => Some(values.iter().map(String::as_str).collect()),
        Exists(_) | NotIn(..) | NotEqual(..) | DoesNotExist(_) => None,
    };
    let within = |inner: &BTreeSet<&str>, outer: &BTreeSet<String>| {
        inner.iter().all(|value| outer.contains(*value))
    };
    match (b, values) {
        (DoesNotExist(other), _) => other == key,
        (Equal(other, value), Some(values)) => other == key && !values.contains(value.as_str()),
        (In(other, theirs), Some(values)) => {
            other == key && !values.iter().any(|value| theirs.contains(*value))
        }
        (NotIn(other, theirs), Some(values)) => other == key && within(&values, theirs),
        (NotEqual(other, value), Some(values)) => {
            other == key && values.iter().all(|v| *v == value)
        }
        (Equal(..) | In(..) | NotIn(..) | NotEqual(..) | Exists(_), _) => false,
    }
}
