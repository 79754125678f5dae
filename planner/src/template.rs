//! A Pod template: raw JSON for creating Pods, a typed view for decisions, a canonical form for
//! equality.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

mod canonical;
mod quantity;

pub use canonical::canonical;

/// What decisions read of a template.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TemplateView {
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// Images of app containers and native sidecars, by container name: what can be changed on a
    /// running Pod. Classic init containers have run; changing them changes nothing.
    pub images: BTreeMap<String, String>,
    /// Labels and annotations that environment is filled from, by the containers above:
    /// `metadata.labels['key']`.
    pub env: BTreeMap<String, BTreeSet<String>>,
    /// The rest in canonical form, with those images and the metadata taken out: what cannot be
    /// changed on a running Pod.
    pub fixed: Value,
}

impl TemplateView {
    /// Reads `template`; what is missing or of the wrong type is empty here and was refused by
    /// validation before.
    pub fn new(template: &Value) -> Self {
        let mut fixed = canonical(template);
        let metadata = fixed
            .get_mut("metadata")
            .map(Value::take)
            .unwrap_or_default();
        let (mut images, mut env) = (BTreeMap::new(), BTreeMap::new());
        for (list, native_only) in [("containers", false), ("initContainers", true)] {
            let containers = fixed.pointer_mut(&format!("/spec/{list}"));
            for container in containers
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                let native = container
                    .get("restartPolicy")
                    .is_some_and(|p| p == "Always");
                if native_only && !native {
                    continue;
                }
                let name = container
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let name = name.to_owned();
                env.insert(name.clone(), metadata_in_env(container));
                if let Some(Value::String(image)) = container.get_mut("image").map(Value::take) {
                    images.insert(name, image);
                }
            }
        }
        if let Some(rest) = fixed.as_object_mut() {
            rest.remove("metadata");
        }
        Self {
            labels: texts(metadata.get("labels")),
            annotations: texts(metadata.get("annotations")),
            images,
            env,
            fixed,
        }
    }
}

/// Labels and annotations that the environment of `container` is filled from.
fn metadata_in_env(container: &Value) -> BTreeSet<String> {
    let env = container.get("env").and_then(Value::as_array);
    env.into_iter()
        .flatten()
        .filter_map(|e| e.pointer("/valueFrom/fieldRef/fieldPath")?.as_str())
        .filter(|path| {
            path.starts_with("metadata.labels[") || path.starts_with("metadata.annotations[")
        })
        .map(str::to_owned)
        .collect()
}

fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect()
}

/// Path of the first field that differs, in the template's own terms
/// (`spec.template.spec.containers[0].env`), or None when equal.
pub fn first_difference(old: &Value, new: &Value) -> Option<String> {
    difference("spec.template", old, new)
}

fn difference(path: &str, old: &Value, new: &Value) -> Option<String> {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<_> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            keys.into_iter().find_map(|key| {
                let path = format!("{path}.{key}");
                match (a.get(key), b.get(key)) {
                    (Some(old), Some(new)) => difference(&path, old, new),
                    _ => Some(path),
                }
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(i, (old, new))| difference(&format!("{path}[{i}]"), old, new)),
        _ if old == new => None,
        _ => Some(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn native_sidecars_are_changeable_and_classic_init_containers_are_fixed() {
        let view = TemplateView::new(&json!({"spec": {
            "containers": [{"name": "main", "image": "m:1"}],
            "initContainers": [{"name": "setup", "image": "s:1"},
                {"name": "proxy", "image": "p:1", "restartPolicy": "Always"}]}}));
        assert_eq!(view.images.keys().collect::<Vec<_>>(), ["main", "proxy"]);
        assert_eq!(
            view.fixed.pointer("/spec/initContainers/0/image"),
            Some(&json!("s:1"))
        );
    }

    #[test]
    fn a_difference_is_named_by_its_path() {
        let old = TemplateView::new(&json!({"spec": {"containers": [{"name": "a", "image": "x",
            "env": [{"name": "K", "value": "1"}]}]}}));
        let new = TemplateView::new(&json!({"spec": {"containers": [{"name": "a", "image": "y",
            "env": [{"name": "K", "value": "2"}]}]}}));
        assert_eq!(
            first_difference(&old.fixed, &new.fixed).as_deref(),
            Some("spec.template.spec.containers[0].env[0].value")
        );
        assert_eq!(first_difference(&old.fixed, &old.fixed), None);
    }
}
