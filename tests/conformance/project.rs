//! What of an object is compared: what the model knows, and no more.

use serde_json::{Map, Value, json};

use crate::names::Names;

/// The object without versions, and with UIDs that mean the same on both sides.
pub(crate) fn project(names: &Names, object: &Value) -> Value {
    let metadata = &object["metadata"];
    let uid = metadata["uid"].as_str().unwrap_or_default();
    let mut out = json!({
        "metadata": {
            "uid": names.alias(uid),
            "isDeleted": metadata["deletionTimestamp"].is_string(),
        },
        "spec": pick(&object["spec"], &["nodeName"]),
        "status": {},
    });
    // The model knows nothing of what claims are bound to.
    if object["spec"]["containers"].is_array() {
        out["status"] = pick(&object["status"], &["phase"]);
    }
    for key in [
        "labels",
        "annotations",
        "finalizers",
        "generation",
        "deletionGracePeriodSeconds",
    ] {
        out["metadata"][key] = metadata[key].clone();
    }
    if let Some(owners) = metadata["ownerReferences"].as_array() {
        let owner = |owner: &Value| {
            let mut picked = pick(owner, &["kind", "name", "controller"]);
            picked["uid"] = names
                .alias(owner["uid"].as_str().unwrap_or_default())
                .into();
            picked
        };
        out["metadata"]["ownerReferences"] = owners.iter().map(owner).collect();
    }
    for list in ["containers", "initContainers"] {
        let keys = ["name", "image", "resources"];
        out["spec"][list] = each(&object["spec"][list], &keys);
    }
    let keys = ["type", "status", "reason", "message"];
    out["status"]["conditions"] = each(&object["status"]["conditions"], &keys);
    let keys = ["name", "image", "ready", "restartCount"];
    out["status"]["containerStatuses"] = each(&object["status"]["containerStatuses"], &keys);
    for key in ["revision", "data"] {
        out[key] = object[key].clone();
    }
    without_nulls(&mut out);
    out
}

fn pick(object: &Value, keys: &[&str]) -> Value {
    let picked = keys.iter().filter_map(|key| {
        let value = object.get(*key)?;
        Some(((*key).to_owned(), value.clone()))
    });
    Value::Object(picked.collect::<Map<_, _>>())
}

/// A list that is empty and one that is absent are compared as the same: the model always has one.
fn each(list: &Value, keys: &[&str]) -> Value {
    match list.as_array() {
        Some(list) if !list.is_empty() => list.iter().map(|item| pick(item, keys)).collect(),
        _ => Value::Null,
    }
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(without_nulls);
    } else if let Value::Array(items) = value {
        items.iter_mut().for_each(without_nulls);
    }
}
