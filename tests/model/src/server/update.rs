//! What the API server makes of an object that somebody changes.

use planner::effect::Resource;
use serde_json::{Value, json};

use super::{Refused, Server, is_pod};
use crate::object::Object;
use crate::resize::{cpus, default_requests, is_resize};

impl Server {
    /// `new` is `old` after somebody's patch.
    pub(super) fn update(
        &mut self,
        resource: Resource,
        name: &str,
        old: &Value,
        mut new: Value,
    ) -> Result<Object, Refused> {
        match resource {
            Resource::Claims => set(&mut new["metadata"], "managedFields", Value::Null),
            Resource::ControllerRevisions if old["data"] == new["data"] => {}
            Resource::ControllerRevisions => return Err(Refused::Invalid),
            // Nothing but resources is stored: whatever else differs is passed over.
            Resource::PodsResize => {
                let wanted = std::mem::replace(&mut new, old.clone());
                let lists = ["containers", "initContainers"];
                for (list, at) in lists
                    .into_iter()
                    .flat_map(|l| (0..8).map(move |at| (l, at)))
                {
                    let path = format!("/spec/{list}/{at}");
                    if let (Some(container), Some(wanted)) =
                        (new.pointer_mut(&path), wanted.pointer(&path))
                    {
                        container["resources"] = wanted["resources"].clone();
                    }
                }
                default_requests(&mut new);
                if !is_resize(old, &new) {
                    return Err(Refused::Invalid);
                }
                let is_bound = !old["spec"]["nodeName"].is_null();
                let room = self.allocatable_cpus.filter(|_| is_bound);
                if room.is_some_and(|room| cpus(&new) > room) {
                    return Err(Refused::Forbidden);
                }
            }
            Resource::Pods => {
                keep(&mut new, old, "status");
                if let Some(admit) = self.admission {
                    admit(&mut new);
                }
                if old["spec"] != new["spec"] && without_images(old) != without_images(&new) {
                    return Err(Refused::Invalid);
                }
            }
            // This subresource stores labels and annotations too, but neither the spec nor owners.
            Resource::PodsStatus => {
                keep(&mut new, old, "spec");
                let owners = &old["metadata"]["ownerReferences"];
                set(&mut new["metadata"], "ownerReferences", owners.clone());
            }
        }
        check_metadata(old, &new)?;
        let generation = &old["metadata"]["generation"];
        set(&mut new["metadata"], "generation", generation.clone());
        if is_pod(resource) && old["spec"] != new["spec"] {
            raise_generation(&mut new);
        }
        if is_finished(old, &new) {
            // The last finalizer is gone, and nobody waits for a kubelet.
            tidy(&mut new);
            self.remove(resource, name);
            return Ok(new.into());
        }
        Ok(self.store(resource, name, new.into()))
    }
}

/// What validation asks of every object.
fn check_metadata(old: &Value, new: &Value) -> Result<(), Refused> {
    let owners = list(new, "ownerReferences");
    let controllers = owners.iter().filter(|o| o["controller"] == true).count();
    let before = list(old, "finalizers");
    let mut after = list(new, "finalizers").iter();
    let added = after.any(|name| !before.contains(name));
    if controllers > 1 || (added && old["metadata"]["deletionTimestamp"].is_string()) {
        return Err(Refused::Invalid);
    }
    Ok(())
}

fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    let list = object["metadata"][key].as_array();
    list.map(Vec::as_slice).unwrap_or_default()
}

/// A part that this write does not change.
fn keep(new: &mut Value, old: &Value, part: &str) {
    if old[part].is_null() || new[part] != old[part] {
        new[part] = old[part].clone();
    }
}

fn is_finished(old: &Value, new: &Value) -> bool {
    let finalizers = new["metadata"]["finalizers"].as_array();
    finalizers.is_none_or(Vec::is_empty) && old["metadata"]["deletionGracePeriodSeconds"] == 0
}

pub(super) fn raise_generation(object: &mut Value) {
    if let Some(generation) = object["metadata"]["generation"].as_i64() {
        object["metadata"]["generation"] = (generation + 1).into();
    }
}

fn set(map: &mut Value, key: &str, value: Value) {
    if !value.is_null() {
        map[key] = value;
    } else if let Some(map) = map.as_object_mut() {
        map.remove(key);
    }
}

/// What is empty is not stored: an `add` below it fails as if it had never been there.
pub(crate) fn tidy(object: &mut Value) {
    for condition in object
        .pointer_mut("/status/conditions")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        condition.retain(|_, value| !value.is_null());
    }
    let Some(metadata) = object["metadata"].as_object_mut() else {
        return;
    };
    metadata.retain(|_, value| {
        let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty);
        !is_empty && !value.is_null()
    });
}

/// Strategic merge of a Pod's metadata and status. New conditions do not come last: those of the
/// patch keep their order, and each of the others stays before what it was before of old.
pub(super) fn strategic_merge(old: &Value, body: &Value) -> Value {
    let mut new = old.clone();
    let mut body = body.clone();
    let patch = body["status"]["conditions"].take();
    if let Some(status) = body["status"].as_object_mut() {
        status.remove("conditions");
    }
    json_patch::merge(&mut new, &body);
    let patch = patch.as_array().map(Vec::as_slice).unwrap_or_default();
    for condition in patch {
        merge_condition(&mut new, condition);
    }
    let conditions = |pod: &Value| pod["status"]["conditions"].as_array().cloned();
    let order = conditions(old).unwrap_or_default();
    let place = |c: &Value| order.iter().position(|there| there["type"] == c["type"]);
    let is_patched = |c: &Value| patch.iter().position(|there| there["type"] == c["type"]);
    let merged = conditions(&new).unwrap_or_default().into_iter();
    let (mut right, left): (Vec<_>, Vec<_>) = merged.partition(|c| is_patched(c).is_some());
    right.sort_by_key(is_patched);
    let mut left = left.into_iter().peekable();
    let mut all = Vec::new();
    for condition in right {
        if let Some(at) = place(&condition) {
            while let Some(next) = left.next_if(|c| place(c) < Some(at)) {
                all.push(next);
            }
        }
        all.push(condition);
    }
    all.extend(left);
    new["status"]["conditions"] = all.into();
    new
}

/// Strategic merge of one element of `status.conditions`, whose merge key is `type`.
pub fn merge_condition(pod: &mut Value, condition: &Value) {
    let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
    match conditions
        .iter_mut()
        .find(|c| c["type"] == condition["type"])
    {
        Some(there) => json_patch::merge(there, condition),
        None => {
            let mut new = json!({});
            json_patch::merge(&mut new, condition);
            conditions.push(new);
        }
    }
}

fn without_images(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            container["image"] = Value::Null;
        }
    }
    spec
}
