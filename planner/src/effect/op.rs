//! One operation of a JSON patch (RFC 6902). A plan makes thousands of them, so they are no trees.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use super::Target;

/// What is done at a path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Op {
    op: &'static str,
    path: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

impl Op {
    fn new(op: &'static str, path: impl Into<Cow<'static, str>>, value: Option<Value>) -> Self {
        let path = path.into();
        Self { op, path, value }
    }

    /// Refuses the patch unless `value` is there.
    pub(crate) fn test(path: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self::new("test", path, Some(value.into()))
    }

    pub(crate) fn add(path: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self::new("add", path, Some(value.into()))
    }

    pub(crate) fn replace(path: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self::new("replace", path, Some(value.into()))
    }

    pub(crate) fn remove(path: impl Into<Cow<'static, str>>) -> Self {
        Self::new("remove", path, None)
    }

    pub(super) fn json(&self) -> Value {
        let Self { op, path, value } = self;
        match value {
            Some(value) => json!({"op": op, "path": path, "value": value}),
            None => json!({"op": op, "path": path}),
        }
    }
}

pub(crate) fn test_uid(target: &Target) -> Op {
    Op::test("/metadata/uid", &*target.uid)
}

/// For what no finer `test` can say.
pub(crate) fn test_version(target: &Target) -> Op {
    Op::test("/metadata/resourceVersion", &*target.resource_version)
}

/// Operations that set one annotation.
pub(crate) fn set_annotation(key: &str, value: String, has_annotations: bool) -> Vec<Op> {
    let mut ops = Vec::new();
    if !has_annotations {
        ops.push(Op::add("/metadata/annotations", json!({})));
    }
    let path = format!("/metadata/annotations/{}", escape(key));
    ops.push(Op::add(path, value));
    ops
}

/// A key as a JSON pointer token (RFC 6901).
pub(crate) fn escape(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) {
        key.replace('~', "~0").replace('/', "~1").into()
    } else {
        key.into()
    }
}
