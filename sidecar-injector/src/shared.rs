//! What an injected container takes over from the Pod's own: mounts, devices and variables.

use std::collections::BTreeSet;

use apis::validation::sidecar_set::{Share, Sidecar, Source};
use serde_json::{Map, Value};

use crate::pod::{Pod, array, text};

/// Gives `body` what `sidecar` asks for. What the container has itself goes before all of it.
pub(crate) fn share(body: &mut Map<String, Value>, sidecar: &Sidecar, pod: &Pod<'_>) {
    for transfer in &sidecar.transfer_env {
        let source = match &transfer.source {
            Source::Container(name) => Some(name),
            Source::Label(key) => pod.labels.get(key),
            Source::Annotation(key) => pod.annotations.get(key),
        };
        let mut containers = pod.containers.iter();
        let Some(source) = containers.find(|c| source.is_some_and(|name| text(c, "name") == name))
        else {
            continue;
        };
        for name in &transfer.names {
            copy_variable(body, source, name);
        }
    }
    if sidecar.share_mounts == Share::Enabled {
        for (container, mount) in copy(body, pod, "volumeMounts", "mountPath") {
            for name in variables(text(mount, "subPathExpr")) {
                copy_variable(body, container, name);
            }
        }
    }
    if sidecar.share_devices == Share::Enabled {
        copy(body, pod, "volumeDevices", "devicePath");
    }
}

/// Appends a variable to `env`.
pub(crate) fn add_variable(body: &mut Map<String, Value>, variable: Value) {
    push(body, "env", variable);
}

fn copy_variable(body: &mut Map<String, Value>, from: &Value, name: &str) {
    let is_named = |variable: &&Value| text(variable, "name") == name;
    if array(body.get("env")).iter().any(|v| is_named(&v)) {
        return;
    }
    if let Some(variable) = array(from.get("env")).iter().find(is_named) {
        add_variable(body, variable.clone());
    }
}

/// Appends to the list at `key`, which is made where there is none.
fn push(body: &mut Map<String, Value>, key: &str, item: Value) {
    match body.get_mut(key) {
        Some(Value::Array(list)) => list.push(item),
        _ => {
            body.insert(key.to_owned(), vec![item].into());
        }
    }
}

/// Appends what the Pod's own containers have at paths that are free. Returns it with the container
/// it comes from.
fn copy<'a>(
    body: &mut Map<String, Value>,
    pod: &Pod<'a>,
    field: &str,
    key: &str,
) -> Vec<(&'a Value, &'a Value)> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for (field, key) in [
        ("volumeMounts", "mountPath"),
        ("volumeDevices", "devicePath"),
    ] {
        let items = array(body.get(field)).iter();
        taken.extend(items.map(|item| plain(text(item, key)).to_owned()));
    }
    let mut copied = Vec::new();
    for container in pod.own.iter().copied() {
        for item in array(container.get(field)) {
            if taken.insert(plain(text(item, key)).to_owned()) {
                push(body, field, item.clone());
                copied.push((container, item));
            }
        }
    }
    copied
}

/// A path as it is compared.
fn plain(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => path,
        plain => plain,
    }
}

/// The names in `$(NAME)`; `$$(NAME)` is a text.
fn variables(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        rest = after;
        if let Some(escaped) = rest.strip_prefix('$') {
            rest = escaped;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
            names.push(name);
            rest = after;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_and_escaped_ones_are_not() {
        assert_eq!(variables("$(A)/x/$(B_2)"), ["A", "B_2"]);
        assert_eq!(variables("a$$(A)$$$(B)$(C"), ["B"]);
        assert!(variables("$ $$ plain ()").is_empty());
    }
}
