//! A Pod as it comes: raw JSON, which may be anything.

use std::collections::BTreeMap;

use apis::names::INJECTED_ENV;
use serde_json::Value;

/// Annotation on the image of a Pod that a kubelet runs from a file.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// A list of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Init,
    Running,
}

/// The parts of a Pod that matter here.
pub(crate) struct Pod<'a> {
    raw: &'a Value,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) containers: &'a [Value],
    pub(crate) init_containers: &'a [Value],
    /// Those of `containers` that nobody injected. Every set asks for them.
    pub(crate) own: Vec<&'a Value>,
}

impl<'a> Pod<'a> {
    /// None for what is no Pod, for one that runs no more or is about to go, and for the image of one
    /// that a kubelet runs from a file: what it runs is not decided here.
    pub(crate) fn new(raw: &'a Value) -> Option<Self> {
        let containers = raw.pointer("/spec/containers")?.as_array()?;
        let phase = raw.pointer("/status/phase").and_then(Value::as_str);
        let is_over = matches!(phase, Some("Succeeded" | "Failed"));
        let leaving = raw.pointer("/metadata/deletionTimestamp");
        if is_over || leaving.is_some_and(|at| !at.is_null()) {
            return None;
        }
        let annotations = texts(raw.pointer("/metadata/annotations"));
        if annotations.contains_key(MIRROR_ANNOTATION) {
            return None;
        }
        Some(Self {
            raw,
            labels: texts(raw.pointer("/metadata/labels")),
            annotations,
            containers,
            init_containers: array(raw.pointer("/spec/initContainers")),
            own: containers.iter().filter(|c| !is_injected(c)).collect(),
        })
    }

    /// A list of its spec; empty where there is none.
    pub(crate) fn list(&self, field: &str) -> &'a [Value] {
        array(self.raw.get("spec").and_then(|spec| spec.get(field)))
    }

    pub(crate) fn containers_in(&self, list: List) -> &'a [Value] {
        match list {
            List::Init => self.init_containers,
            List::Running => self.containers,
        }
    }

    /// Whether there is a value at all.
    pub(crate) fn has(&self, pointer: &str) -> bool {
        self.raw.pointer(pointer).is_some_and(|v| !v.is_null())
    }

    /// Where the container of this name stands.
    pub(crate) fn find(&self, name: &str) -> Option<(List, usize, &'a Value)> {
        [List::Running, List::Init].into_iter().find_map(|list| {
            let containers = self.containers_in(list);
            let at = containers.iter().position(|c| text(c, "name") == name)?;
            Some((list, at, containers.get(at)?))
        })
    }
}

/// A text of an object; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn array(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether a SidecarSet injected the container.
pub(crate) fn is_injected(container: &Value) -> bool {
    let mut env = array(container.get("env")).iter();
    env.any(|var| text(var, "name") == INJECTED_ENV && text(var, "value") == "true")
}

fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    let map = map.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
