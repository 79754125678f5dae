//! The operations of a JSON patch (RFC 6902). A plan makes thousands of them, so they are no trees,
//! and what is said of every Pod in the same words is made once.

use std::borrow::Cow;
use std::sync::Arc;

use apis::names;

use serde::Serialize;
use serde_json::{Value, json};

use super::Target;

/// What is done at a path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Op {
    op: &'static str,
    path: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Datum>,
}

/// What is put at a path, or has to be there.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Datum {
    /// A text; most are.
    Text(Cow<'static, str>),
    /// Anything else.
    Json(Value),
}

impl From<Cow<'static, str>> for Datum {
    fn from(text: Cow<'static, str>) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Datum {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned().into())
    }
}

impl From<i64> for Datum {
    fn from(number: i64) -> Self {
        Self::Json(number.into())
    }
}

impl From<Value> for Datum {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => text.into(),
            other => Self::Json(other),
        }
    }
}

/// The operations of one patch, some of which it shares with the patches of other Pods.
#[derive(Clone, Debug)]
pub struct Patch {
    own: Vec<Op>,
    common: Arc<[Op]>,
    /// So many of its own come before the common ones.
    before: usize,
}

impl Patch {
    /// `before`, and after it what it has in `common` with others.
    pub(crate) fn new(before: Vec<Op>, common: &Arc<[Op]>) -> Self {
        Self {
            before: before.len(),
            own: before,
            common: Arc::clone(common),
        }
    }

    /// Adds to the end.
    pub(crate) fn extend(&mut self, ops: impl IntoIterator<Item = Op>) {
        self.own.extend(ops);
    }

    /// Adds a test right behind that of the UID, which is the first.
    pub(crate) fn test_early(&mut self, test: Op) {
        let index = self.before.min(1);
        self.own.insert(index, test);
        self.before += 1;
    }

    /// All of them, in the order in which they are carried out.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Op> {
        let (before, after) = self.own.split_at(self.before.min(self.own.len()));
        before.iter().chain(&*self.common).chain(after)
    }
}

impl PartialEq for Patch {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Op {
    fn new(op: &'static str, path: impl Into<Cow<'static, str>>, value: Option<Datum>) -> Self {
        let path = path.into();
        Self { op, path, value }
    }

    /// Refuses the patch unless `value` is there.
    pub(crate) fn test(path: impl Into<Cow<'static, str>>, value: impl Into<Datum>) -> Self {
        Self::new("test", path, Some(value.into()))
    }

    pub(crate) fn add(path: impl Into<Cow<'static, str>>, value: impl Into<Datum>) -> Self {
        Self::new("add", path, Some(value.into()))
    }

    pub(crate) fn replace(path: impl Into<Cow<'static, str>>, value: impl Into<Datum>) -> Self {
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
    ops.push(Op::add(annotation_path(key), value));
    ops
}

/// Where a label stands.
pub(crate) fn label_path(key: &str) -> Cow<'static, str> {
    match key {
        names::REVISION_LABEL => "/metadata/labels/controller-revision-hash".into(),
        names::TEMPLATE_HASH_LABEL => "/metadata/labels/pod-template-hash".into(),
        key => format!("/metadata/labels/{}", escape(key)).into(),
    }
}

/// Where an annotation stands.
pub(crate) fn annotation_path(key: &str) -> Cow<'static, str> {
    match key {
        names::IN_PLACE_STATE_ANNOTATION => {
            "/metadata/annotations/apps.kruise.io~1inplace-update-state".into()
        }
        key => format!("/metadata/annotations/{}", escape(key)).into(),
    }
}

/// `$head`, one of the first numbers, and `$tail`.
macro_rules! numbered {
    ($head:literal, $tail:literal) => {{
        const PATHS: [&str; 8] = [
            concat!($head, 0, $tail),
            concat!($head, 1, $tail),
            concat!($head, 2, $tail),
            concat!($head, 3, $tail),
            concat!($head, 4, $tail),
            concat!($head, 5, $tail),
            concat!($head, 6, $tail),
            concat!($head, 7, $tail),
        ];
        |index: usize| match PATHS.get(index) {
            Some(path) => Cow::Borrowed(*path),
            None => Cow::Owned(format!(concat!($head, "{}", $tail), index)),
        }
    }};
}

/// Where the UID of an owner stands.
pub(crate) fn owner_path(index: usize) -> Cow<'static, str> {
    numbered!("/metadata/ownerReferences/", "/uid")(index)
}

/// Where type and status of a condition stand.
pub(crate) fn condition_paths(index: usize) -> [Cow<'static, str>; 2] {
    [
        numbered!("/status/conditions/", "/type")(index),
        numbered!("/status/conditions/", "/status")(index),
    ]
}

/// Where reason and message of a condition stand.
pub(crate) fn condition_words(index: usize) -> [Cow<'static, str>; 2] {
    [
        numbered!("/status/conditions/", "/reason")(index),
        numbered!("/status/conditions/", "/message")(index),
    ]
}

/// Where the ID of an app container stands.
pub(crate) fn app_id_path(index: usize) -> Cow<'static, str> {
    numbered!("/status/containerStatuses/", "/containerID")(index)
}

/// Where the ID of an init container stands.
pub(crate) fn init_id_path(index: usize) -> Cow<'static, str> {
    numbered!("/status/initContainerStatuses/", "/containerID")(index)
}

/// The status of a condition.
pub(crate) fn status_text(status: &str) -> Cow<'static, str> {
    match status {
        "True" => "True".into(),
        "False" => "False".into(),
        other => other.to_owned().into(),
    }
}

/// A key as a JSON pointer token (RFC 6901).
pub(crate) fn escape(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) {
        key.replace('~', "~0").replace('/', "~1").into()
    } else {
        key.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_known_are_what_would_be_made_of_their_keys() {
        for key in [names::REVISION_LABEL, names::TEMPLATE_HASH_LABEL, "a/b"] {
            assert_eq!(label_path(key), format!("/metadata/labels/{}", escape(key)));
        }
        for key in [names::IN_PLACE_STATE_ANNOTATION, "a~b"] {
            let path = format!("/metadata/annotations/{}", escape(key));
            assert_eq!(annotation_path(key), path);
        }
        for index in [0, 7, 8, 12] {
            let [kind, status] = condition_paths(index);
            assert_eq!(kind, format!("/status/conditions/{index}/type"));
            assert_eq!(status, format!("/status/conditions/{index}/status"));
            let [reason, message] = condition_words(index);
            assert_eq!(reason, format!("/status/conditions/{index}/reason"));
            assert_eq!(message, format!("/status/conditions/{index}/message"));
            assert_eq!(
                owner_path(index),
                format!("/metadata/ownerReferences/{index}/uid")
            );
            let id = format!("/status/containerStatuses/{index}/containerID");
            assert_eq!(app_id_path(index), id);
            let id = format!("/status/initContainerStatuses/{index}/containerID");
            assert_eq!(init_id_path(index), id);
        }
    }

    #[test]
    fn a_patch_says_what_is_its_own_around_what_it_shares() {
        let op = |path: &'static str| Op::remove(path);
        let common: Arc<[Op]> = [op("/c"), op("/d")].into();
        let mut patch = Patch::new(vec![op("/a"), op("/b")], &common);
        patch.extend([op("/e")]);
        patch.test_early(op("/early"));
        let paths: Vec<&str> = patch.iter().map(|op| &*op.path).collect();
        assert_eq!(paths, ["/a", "/early", "/b", "/c", "/d", "/e"]);
    }
}
