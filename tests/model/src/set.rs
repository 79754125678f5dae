//! What the API server makes of a CloneSet that somebody changes: a custom resource whose status is
//! a subresource.

use serde_json::Value;

use crate::object::Object;
use crate::server::{Refused, tidy};

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The object without its status.
    Whole,
    /// The status, and nothing beside it.
    Status,
}

/// `object` as it is stored first.
pub fn create(mut object: Value) -> Object {
    object["metadata"]["generation"] = 1.into();
    object["metadata"]["resourceVersion"] = "1".into();
    object.into()
}

/// A merge patch. A version in it that is not that of `old` is a conflict.
///
/// # Errors
/// What the API server refuses it for.
pub fn merge(old: &Object, part: Part, patch: &Value) -> Result<Object, Refused> {
    let (there, asked) = (&old["metadata"], &patch["metadata"]);
    let differs = |key: &str| !asked[key].is_null() && asked[key] != there[key];
    if differs("resourceVersion") {
        return Err(Refused::Conflict);
    }
    // Of a patch of the status, metadata is passed over before anybody validates it.
    if part == Part::Whole && differs("uid") {
        return Err(Refused::OtherUid);
    }
    Ok(change(old, part, |object| json_patch::merge(object, patch)))
}

/// Somebody changes `old`. What changes nothing is the same version.
pub fn change(old: &Object, part: Part, change: impl FnOnce(&mut Value)) -> Object {
    let mut wanted = Value::clone(old);
    change(&mut wanted);
    let mut new = Value::clone(old);
    match part {
        Part::Status => new["status"] = wanted["status"].take(),
        Part::Whole => {
            new["spec"] = wanted["spec"].take();
            for key in ["labels", "annotations"] {
                new["metadata"][key] = wanted["metadata"][key].take();
            }
        }
    }
    tidy(&mut new);
    if let Some(new) = new.as_object_mut() {
        new.retain(|_, part| !part.is_null());
    }
    if new == **old {
        return old.clone();
    }
    let number = |key: &str| match &old["metadata"][key] {
        Value::String(text) => text.parse().unwrap_or(0_i64),
        other => other.as_i64().unwrap_or_default(),
    };
    let version = number("resourceVersion") + 1;
    if new["spec"] != old["spec"] {
        new["metadata"]["generation"] = (number("generation") + 1).into();
    }
    new["metadata"]["resourceVersion"] = version.to_string().into();
    new.into()
}
