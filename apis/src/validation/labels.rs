//! What may be the key or the value of a label.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::FieldError;

/// Most characters of a value, and of a key without its prefix.
const LENGTH_MAX: usize = 63;
/// Most characters of a prefix.
const PREFIX_MAX: usize = 253;

/// Whether it may be a value.
pub(crate) fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

/// Whether it may be a key, of a label or of an annotation.
pub(crate) fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        None => is_name(key),
        Some((prefix, name)) => {
            let mut parts = prefix.split('.');
            let is_domain = parts.all(|part| !part.is_empty() && is_dns_label(part));
            prefix.len() <= PREFIX_MAX && is_domain && is_name(name)
        }
    }
}

/// RFC 1123; the empty text as well.
pub(crate) fn is_dns_label(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.chars().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_name(text: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.len() <= LENGTH_MAX
        && is_edge(text.chars().next())
        && is_edge(text.chars().next_back())
        && text.chars().all(is_inner)
}

/// What in `selector` no label can match, or everything does.
pub(super) fn check(errors: &mut Vec<FieldError>, path: &str, selector: &LabelSelector) {
    let mut refuse = |path: String, message: String| {
        errors.push(FieldError::invalid(path, message));
    };
    let labels = selector.match_labels.iter().flatten();
    let terms = selector.match_expressions.as_deref().unwrap_or_default();
    if terms.is_empty() && selector.match_labels.iter().flatten().next().is_none() {
        refuse(
            path.to_owned(),
            "is empty, and would select everything; name at least one label".to_owned(),
        );
    }
    for (key, value) in labels {
        let path = format!("{path}.matchLabels");
        if !is_key(key) {
            refuse(
                path.clone(),
                format!("{key:?} cannot be the key of a label"),
            );
        }
        if !is_value(value) {
            refuse(path, format!("{value:?} cannot be the value of a label"));
        }
    }
    for (i, term) in terms.iter().enumerate() {
        let path = format!("{path}.matchExpressions[{i}]");
        let values = term.values.as_deref().unwrap_or_default();
        if !is_key(&term.key) {
            let key = &term.key;
            refuse(
                format!("{path}.key"),
                format!("{key:?} cannot be the key of a label"),
            );
        }
        let operator = term.operator.as_str();
        match (operator, values.is_empty()) {
            ("In" | "NotIn", true) => refuse(
                format!("{path}.values"),
                format!("is empty, and {operator} needs at least one; or use Exists"),
            ),
            ("Exists" | "DoesNotExist", false) => refuse(
                format!("{path}.values"),
                format!("is not empty, and {operator} looks at no values; remove them"),
            ),
            ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
            (other, _) => refuse(
                format!("{path}.operator"),
                format!("{other:?} is none of In, NotIn, Exists and DoesNotExist"),
            ),
        }
        for value in values.iter().filter(|value| !is_value(value)) {
            refuse(
                format!("{path}.values"),
                format!("{value:?} cannot be the value of a label"),
            );
        }
    }
}
