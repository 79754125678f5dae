//! Sequences of requests as text: one request a line, `verb resource name body`.
//!
//! In a body, `$uid`, `$rv` and `$old` are the UID of the object, its version, and the version
//! before; `$uid:b` is the UID of the Pod `b`; `$nobody` is nobody's UID.

use planner::effect::{Resource, Verb};
use serde_json::{Value, json};

/// A list of requests.
pub(crate) struct Sequence {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

/// Who is asked for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Request(Verb),
    /// What the scheduler does.
    Bind,
}

/// One request.
pub(crate) struct Step {
    pub(crate) line: String,
    pub(crate) action: Action,
    pub(crate) resource: Resource,
    pub(crate) name: String,
    pub(crate) body: Value,
}

impl Sequence {
    /// All sequences of a file; each begins with `== name`.
    pub(crate) fn read(text: &str) -> Vec<Self> {
        let mut sequences: Vec<Self> = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("== ") {
                let (name, steps) = (name.to_owned(), Vec::new());
                sequences.push(Self { name, steps });
            } else if !line.is_empty() && !line.starts_with('#') {
                let last = sequences.last_mut().expect("a sequence begins with ==");
                last.steps.push(Step::read(line));
            }
        }
        sequences
    }
}

impl Step {
    pub(crate) fn read(line: &str) -> Self {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (verb, resource, name, body) = (word(), word(), word().to_owned(), word().trim());
        let action = match verb {
            "create" => Action::Request(Verb::Create),
            "delete" => Action::Request(Verb::Delete),
            "json" => Action::Request(Verb::JsonPatch),
            "merge" => Action::Request(Verb::MergePatch),
            "strategic" => Action::Request(Verb::StrategicPatch),
            "bind" => Action::Bind,
            other => panic!("{other} is no verb: {line}"),
        };
        let resource = match resource {
            "pods" => Resource::Pods,
            "pods/status" => Resource::PodsStatus,
            "pods/resize" => Resource::PodsResize,
            "claims" => Resource::Claims,
            "revisions" => Resource::ControllerRevisions,
            other => panic!("{other} is no resource: {line}"),
        };
        let mut body = match body {
            "" => json!({}),
            text => serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {line}")),
        };
        if action == Action::Request(Verb::Create) {
            body = whole(resource, &name, &body);
        }
        let line = line.to_owned();
        Self {
            line,
            action,
            resource,
            name,
            body,
        }
    }
}

/// The smallest object that the API server takes, with `more` merged into it.
fn whole(resource: Resource, name: &str, more: &Value) -> Value {
    let mut object = match resource {
        Resource::Pods | Resource::PodsStatus | Resource::PodsResize => json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "spec": {
                "containers": [{"name": "main", "image": "app:1"}],
                "automountServiceAccountToken": false,
            },
        }),
        Resource::Claims => json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }),
        Resource::ControllerRevisions => json!({
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "revision": 1,
            "data": {"spec": {"template": {"image": "app:1"}}},
        }),
    };
    object["metadata"] = json!({"name": name});
    merge(&mut object, more);
    object
}

fn merge(object: &mut Value, more: &Value) {
    match (object, more) {
        (Value::Object(object), Value::Object(more)) => {
            for (key, value) in more {
                merge(object.entry(key).or_insert(Value::Null), value);
            }
        }
        (object, more) => *object = more.clone(),
    }
}
