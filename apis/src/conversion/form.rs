//! How what one version cannot say travels through the other.
//!
//! A *form* is the part of an object that the versions say differently. An object whose form would
//! not come back as it was carries it in an annotation, together with what became of it. As long as
//! that is still what the object says, the way back is exact; otherwise what was changed since is
//! changed in the form as well.

use serde_json::{Map, Value, json};

use super::{FORM_V1ALPHA1, FORM_V1BETA1, Version, changes};

/// How a kind is said in the two versions. All functions are total: what they do not understand
/// they leave as it is.
pub(super) struct Kind {
    /// Takes the form out of an object.
    pub(super) take: fn(&mut Value) -> Value,
    /// Puts a form into an object that has none.
    pub(super) put: fn(&mut Value, Value),
    /// A `v1alpha1` form in `v1beta1`.
    pub(super) to_v1beta1: fn(Value) -> Value,
    /// A `v1beta1` form in `v1alpha1`.
    pub(super) to_v1alpha1: fn(Value) -> Value,
}

/// Says `object` in the version `to`, but for its `apiVersion`.
pub(super) fn carry_over(object: &mut Value, kind: &Kind, to: Version) {
    if !object.get("spec").is_some_and(Value::is_object) {
        return;
    }
    let (there, back, theirs, ours) = match to {
        Version::V1Beta1 => (
            kind.to_v1beta1,
            kind.to_v1alpha1,
            FORM_V1BETA1,
            FORM_V1ALPHA1,
        ),
        Version::V1Alpha1 => (
            kind.to_v1alpha1,
            kind.to_v1beta1,
            FORM_V1ALPHA1,
            FORM_V1BETA1,
        ),
    };
    let kept = remove_annotation(object, theirs).and_then(|text| parse(&text));
    remove_annotation(object, ours);
    let form = (kind.take)(object);
    let said = match kept {
        Some((was, is)) if was == form => is,
        Some((was, Value::Object(mut is))) => {
            changes::replay(&mut is, &there(was), &there(form.clone()));
            Value::Object(is)
        }
        Some(_) | None => there(form.clone()),
    };
    let remainder = (back(said.clone()) != form).then(|| json!({"was": said, "is": form}));
    (kind.put)(object, said);
    if let Some(remainder) = remainder {
        set_annotation(object, ours, &remainder.to_string());
    }
}

/// Whoever edits the annotation loses what it holds, and nothing else.
fn parse(text: &str) -> Option<(Value, Value)> {
    let mut kept: Map<String, Value> = serde_json::from_str(text).ok()?;
    Some((kept.remove("was")?, kept.remove("is")?))
}

fn remove_annotation(object: &mut Value, key: &str) -> Option<String> {
    take_key(object, "annotations", key).and_then(|value| match value {
        Value::String(text) => Some(text),
        _ => None,
    })
}

fn set_annotation(object: &mut Value, key: &str, text: &str) {
    put_key(object, "annotations", key, text.into());
}

/// Takes those of `fields` that the spec has.
pub(super) fn take_fields(object: &mut Value, fields: &[&str]) -> Map<String, Value> {
    let spec = object.get_mut("spec").and_then(Value::as_object_mut);
    let taken = spec.into_iter().flat_map(|spec| {
        let fields = fields.iter();
        fields.filter_map(|field| spec.remove_entry(*field))
    });
    taken.collect()
}

/// Takes `key` out of the object's labels or annotations.
pub(super) fn take_key(object: &mut Value, map: &str, key: &str) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let keys = metadata.get_mut(map)?.as_object_mut()?;
    let value = keys.remove(key);
    if value.is_some() && keys.is_empty() {
        metadata.remove(map);
    }
    value
}

/// Puts `key` into the object's labels or annotations.
pub(super) fn put_key(object: &mut Value, map: &str, key: &str, value: Value) {
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    let Some(metadata) = metadata else { return };
    let keys = metadata.entry(map).or_insert_with(|| json!({}));
    if keys.is_null() {
        *keys = json!({});
    }
    if let Some(keys) = keys.as_object_mut() {
        keys.insert(key.to_owned(), value);
    }
}
