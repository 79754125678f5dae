//! SidecarSet. `v1alpha1` has a field for a single namespace, and a label for `customVersion`.

use serde_json::{Value, json};

use super::form::{Kind, put_key, take_fields, take_key};
use crate::names::{CUSTOM_VERSION_LABEL, NAMESPACE_NAME_LABEL};
use crate::validation::labels::is_value;

/// The form has these fields of the spec, and the label; each only where it is there.
pub(super) const KIND: Kind = Kind {
    take,
    put,
    to_v1beta1,
    to_v1alpha1,
};

const FIELDS: [&str; 3] = ["namespace", "namespaceSelector", "customVersion"];

const LABEL: &str = "label";

fn take(object: &mut Value) -> Value {
    let mut form = take_fields(object, &FIELDS);
    if let Some(value) = take_key(object, "labels", CUSTOM_VERSION_LABEL) {
        form.insert(LABEL.to_owned(), value);
    }
    form.into()
}

fn put(object: &mut Value, form: Value) {
    let Value::Object(mut form) = form else {
        return;
    };
    if let Some(value) = form.remove(LABEL) {
        put_key(object, "labels", CUSTOM_VERSION_LABEL, value);
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.extend(form);
    }
}

/// The namespace goes before the selector beside it.
fn to_v1beta1(form: Value) -> Value {
    let Value::Object(mut form) = form else {
        return form;
    };
    if let Some(Value::String(name)) = form.remove("namespace").filter(|name| *name != "") {
        let selector = json!({"matchLabels": {NAMESPACE_NAME_LABEL: name}});
        form.insert("namespaceSelector".to_owned(), selector);
    }
    if let Some(label) = form.remove(LABEL) {
        form.insert("customVersion".to_owned(), label);
    }
    form.into()
}

fn to_v1alpha1(form: Value) -> Value {
    let Value::Object(mut form) = form else {
        return form;
    };
    if let Some(name) = form.get("namespaceSelector").and_then(only_name) {
        form.insert("namespace".to_owned(), name.into());
        form.remove("namespaceSelector");
    }
    // A label holds less than a text may be, and what it cannot hold is not lost either.
    if let Some(version) = form.remove("customVersion")
        && version.as_str().is_some_and(is_value)
    {
        form.insert(LABEL.to_owned(), version);
    }
    form.into()
}

/// The one namespace that a selector names, if it names nothing else.
fn only_name(selector: &Value) -> Option<String> {
    let selector = selector.as_object().filter(|fields| fields.len() == 1)?;
    let labels = selector.get("matchLabels")?.as_object()?;
    let name = labels.get(NAMESPACE_NAME_LABEL)?.as_str()?;
    (labels.len() == 1 && !name.is_empty()).then(|| name.to_owned())
}
