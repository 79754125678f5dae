//! How a change is said: RFC 6902, with nothing in it but what is added.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::pod::{List, Pod};

/// What a Pod is to be given.
#[derive(Default)]
pub(crate) struct Additions {
    /// Annotations that are new or have another value.
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) init_containers: Containers,
    pub(crate) containers: Containers,
    pub(crate) volumes: Vec<Value>,
    pub(crate) image_pull_secrets: Vec<Value>,
}

/// Containers for one list.
#[derive(Default)]
pub(crate) struct Containers {
    /// Ahead of those that are there.
    pub(crate) before: Vec<Value>,
    /// Behind.
    pub(crate) after: Vec<Value>,
    /// Instead of one that was injected, by where it stands.
    pub(crate) instead: Vec<(usize, Value)>,
}

impl Additions {
    pub(crate) fn into_patch(self, pod: &Pod<'_>) -> Vec<Value> {
        let mut patch = Vec::new();
        annotations(&mut patch, pod, self.annotations);
        append(&mut patch, pod, "volumes", self.volumes);
        containers(&mut patch, pod, List::Init, self.init_containers);
        containers(&mut patch, pod, List::Running, self.containers);
        append(&mut patch, pod, "imagePullSecrets", self.image_pull_secrets);
        patch
    }
}

fn operation(op: &str, path: &str, value: Value) -> Value {
    let mut operation = json!({"op": op, "path": path});
    if let Some(fields) = operation.as_object_mut() {
        fields.insert("value".to_owned(), value);
    }
    operation
}

fn annotations(patch: &mut Vec<Value>, pod: &Pod<'_>, annotations: BTreeMap<String, String>) {
    if annotations.is_empty() {
        return;
    }
    if !pod.has("/metadata/annotations") {
        let all: Map<String, Value> = annotations
            .into_iter()
            .map(|(key, value)| (key, value.into()))
            .collect();
        if pod.has("/metadata") {
            patch.push(operation("add", "/metadata/annotations", all.into()));
        } else {
            patch.push(operation("add", "/metadata", json!({"annotations": all})));
        }
        return;
    }
    for (key, value) in annotations {
        let op = match pod.annotations.get(&key) {
            Some(_) => "replace",
            None => "add",
        };
        let escaped = key.replace('~', "~0").replace('/', "~1");
        let path = format!("/metadata/annotations/{escaped}");
        patch.push(operation(op, &path, value.into()));
    }
}

fn append(patch: &mut Vec<Value>, pod: &Pod<'_>, field: &str, items: Vec<Value>) {
    let path = format!("/spec/{field}");
    if !pod.has(&path) && !items.is_empty() {
        patch.push(operation("add", &path, items.into()));
        return;
    }
    for item in items {
        patch.push(operation("add", &format!("{path}/-"), item));
    }
}

fn containers(patch: &mut Vec<Value>, pod: &Pod<'_>, list: List, containers: Containers) {
    let field = match list {
        List::Init => "initContainers",
        List::Running => "containers",
    };
    let Containers {
        before,
        after,
        instead,
    } = containers;
    let path = format!("/spec/{field}");
    if !pod.has(&path) {
        append(patch, pod, field, before.into_iter().chain(after).collect());
        return;
    }
    // First, while everything stands where it was.
    for (at, container) in instead {
        patch.push(operation("replace", &format!("{path}/{at}"), container));
    }
    for (at, container) in before.into_iter().enumerate() {
        patch.push(operation("add", &format!("{path}/{at}"), container));
    }
    append(patch, pod, field, after);
}
