//! CloneSet. `v1alpha1` has a flat `updateStrategy` whose `type` is the policy, reuses claims unless
//! it is told not to, and says in a label and in annotations what `v1beta1` has fields for.

use serde_json::{Map, Value, json};

use super::form::{Kind, put_key, take_fields, take_key};

/// Label of `v1alpha1` for `scaleStrategy.excludePreparingDelete`.
const EXCLUDE_LABEL: &str = "apps.kruise.io/cloneset-scaling-exclude-preparing-delete";

/// Annotations of `v1alpha1`, and the fields of `inPlaceUpdateStrategy` that they stand for.
const PRE_DOWNLOAD: [(&str, &str); 3] = [
    (
        "apps.kruise.io/image-predownload-parallelism",
        "imagePreDownloadParallelism",
    ),
    (
        "apps.kruise.io/image-predownload-timeout-seconds",
        "imagePreDownloadTimeoutSeconds",
    ),
    (
        "apps.kruise.io/image-predownload-min-updated-ready-pods",
        "imagePreDownloadMinUpdatedReadyPods",
    ),
];

/// What only `v1beta1` can say of `inPlaceUpdateStrategy`, beside [`PRE_DOWNLOAD`].
const BETA_IN_PLACE: [&str; 1] = ["resizeDeadlineSeconds"];

/// What only `v1beta1` can say of `rollingUpdate`.
const BETA_ROLLING: [&str; 1] = ["rollbackOnDeadline"];

/// The form has `updateStrategy` and `scaleStrategy` of the spec, `labels` and `annotations`; each
/// only where it is there.
pub(super) const KIND: Kind = Kind {
    take,
    put,
    to_v1beta1,
    to_v1alpha1,
};

const FIELDS: [&str; 2] = ["updateStrategy", "scaleStrategy"];

fn take(object: &mut Value) -> Value {
    let mut form = take_fields(object, &FIELDS);
    let mut keys = Map::new();
    for (annotation, _) in PRE_DOWNLOAD {
        if let Some(value) = take_key(object, "annotations", annotation) {
            keys.insert(annotation.to_owned(), value);
        }
    }
    if !keys.is_empty() {
        form.insert("annotations".to_owned(), keys.into());
    }
    if let Some(value) = take_key(object, "labels", EXCLUDE_LABEL) {
        form.insert("labels".to_owned(), json!({EXCLUDE_LABEL: value}));
    }
    form.into()
}

fn put(object: &mut Value, form: Value) {
    let Value::Object(mut form) = form else {
        return;
    };
    for map in ["labels", "annotations"] {
        if let Some(Value::Object(keys)) = form.remove(map) {
            for (key, value) in keys {
                put_key(object, map, &key, value);
            }
        }
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        for field in FIELDS {
            if let Some(value) = form.remove(field) {
                spec.insert(field.to_owned(), value);
            }
        }
    }
}

fn to_v1beta1(form: Value) -> Value {
    let Value::Object(mut form) = form else {
        return form;
    };
    let mut in_place = Map::new();
    for (annotation, field) in PRE_DOWNLOAD {
        if let Some(number) = number(&form, annotation) {
            in_place.insert(field.to_owned(), number.into());
            remove_key(&mut form, "annotations", annotation);
        }
    }
    if !in_place.is_empty() || form.contains_key("updateStrategy") {
        let flat = form.remove("updateStrategy");
        form.insert("updateStrategy".to_owned(), nested(flat, in_place));
    }
    let excludes = form
        .get("labels")
        .and_then(|labels| labels.get(EXCLUDE_LABEL))
        .is_some_and(|value| value == "true");
    let mut scale = object(form.remove("scaleStrategy"));
    if scale.remove("disablePVCReuse") != Some(Value::Bool(true)) {
        scale.insert("enablePVCReuse".to_owned(), true.into());
    }
    if excludes {
        scale.insert("excludePreparingDelete".to_owned(), true.into());
        form.remove("labels");
    }
    insert_filled(&mut form, "scaleStrategy", scale);
    form.into()
}

fn to_v1alpha1(form: Value) -> Value {
    let Value::Object(mut form) = form else {
        return form;
    };
    if let Some(Value::Object(strategy)) = form.remove("updateStrategy") {
        let (flat, annotations) = flat(strategy);
        form.insert("updateStrategy".to_owned(), flat.into());
        if !annotations.is_empty() {
            let mut all = object(form.remove("annotations"));
            all.extend(annotations);
            form.insert("annotations".to_owned(), all.into());
        }
    }
    let mut scale = object(form.remove("scaleStrategy"));
    if scale.remove("enablePVCReuse") != Some(Value::Bool(true)) {
        scale.insert("disablePVCReuse".to_owned(), true.into());
    }
    if scale.remove("excludePreparingDelete") == Some(Value::Bool(true)) {
        form.insert("labels".to_owned(), json!({EXCLUDE_LABEL: "true"}));
    }
    insert_filled(&mut form, "scaleStrategy", scale);
    form.into()
}

/// A flat strategy as `v1beta1` has it, with the fields `in_place` added.
fn nested(flat: Option<Value>, in_place: Map<String, Value>) -> Value {
    let mut rolling = object(flat);
    let mut type_ = "RollingUpdate";
    match rolling.remove("type") {
        Some(policy) if policy == "OnDelete" => type_ = "OnDelete",
        Some(policy) if !policy.is_null() => {
            rolling.insert("podUpdatePolicy".to_owned(), policy);
        }
        Some(_) | None => {}
    }
    if !in_place.is_empty() {
        let mut all = object(rolling.remove("inPlaceUpdateStrategy"));
        all.extend(in_place);
        rolling.insert("inPlaceUpdateStrategy".to_owned(), all.into());
    }
    let mut strategy = Map::new();
    strategy.insert("type".to_owned(), type_.into());
    insert_filled(&mut strategy, "rollingUpdate", rolling);
    strategy.into()
}

/// A strategy of `v1beta1` as `v1alpha1` has it, and the annotations that say the rest.
fn flat(mut strategy: Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    let mut flat = object(strategy.remove("rollingUpdate"));
    let mut annotations = Map::new();
    for field in BETA_ROLLING {
        flat.remove(field);
    }
    if let Some(policy) = flat.remove("podUpdatePolicy") {
        flat.insert("type".to_owned(), policy);
    }
    if strategy
        .get("type")
        .is_some_and(|type_| type_ == "OnDelete")
    {
        flat.insert("type".to_owned(), "OnDelete".into());
    }
    if let Some(Value::Object(in_place)) = flat.get_mut("inPlaceUpdateStrategy") {
        let had = in_place.len();
        for field in BETA_IN_PLACE {
            in_place.remove(field);
        }
        for (annotation, field) in PRE_DOWNLOAD {
            let text = match in_place.remove(field) {
                Some(Value::Number(number)) => number.to_string(),
                Some(Value::String(text)) => text,
                Some(_) | None => continue,
            };
            annotations.insert(annotation.to_owned(), text.into());
        }
        if in_place.is_empty() && had > 0 {
            flat.remove("inPlaceUpdateStrategy");
        }
    }
    (flat, annotations)
}

/// The annotation as the number that it is; other texts stay annotations.
fn number(form: &Map<String, Value>, annotation: &str) -> Option<i32> {
    let text = form.get("annotations")?.get(annotation)?.as_str()?;
    text.parse().ok().filter(|number| *number >= 0)
}

fn remove_key(form: &mut Map<String, Value>, map: &str, key: &str) {
    let mut keys = object(form.remove(map));
    keys.remove(key);
    insert_filled(form, map, keys);
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

fn insert_filled(into: &mut Map<String, Value>, key: &str, object: Map<String, Value>) {
    if !object.is_empty() {
        into.insert(key.to_owned(), object.into());
    }
}
