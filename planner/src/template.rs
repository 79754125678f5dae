//! A Pod template: raw JSON for creating Pods, a typed view for decisions, a canonical form for
//! equality.

use std::collections::{BTreeMap, BTreeSet};

use apis::in_place_state::Resources;
use serde_json::Value;

mod canonical;
mod priority;
mod quantity;
pub(crate) mod resources;

pub use canonical::canonical;
pub use resources::QosClass;

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
    /// Cpu and memory of the same containers, as a Pod has them. Empty where the Pod as a whole has
    /// resources: then those of its containers are fixed with them.
    pub resources: BTreeMap<String, Resources>,
    /// Their launch priorities.
    pub priorities: BTreeMap<String, i32>,
    /// The class of its Pods.
    pub qos_class: QosClass,
    /// The rest in canonical form, with all of this and the metadata taken out: what cannot be
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
        let mut amounts = BTreeMap::new();
        let resizable = fixed.pointer("/spec/resources").is_none();
        for (list, native_only) in [("containers", false), ("initContainers", true)] {
            let containers = fixed.pointer_mut(&format!("/spec/{list}"));
            let containers = containers.and_then(Value::as_array_mut);
            for (index, container) in containers.into_iter().flatten().enumerate() {
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
                if resizable {
                    // As written: the canonical form counts in a unit that nobody reads.
                    let written = template.pointer(&format!("/spec/{list}/{index}"));
                    amounts.insert(name.clone(), resources::of(written.unwrap_or(&Value::Null)));
                    resources::take(container);
                }
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
            resources: amounts,
            priorities: priority::priorities(template),
            qos_class: resources::qos_class(template),
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
                    // Whether it is written out depends on who filled in defaults, not on what is
                    // wanted.
                    _ if key == "imagePullPolicy" => None,
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
    fn a_pull_policy_that_one_side_leaves_open_is_no_difference() {
        let fixed = |policy: Value| {
            TemplateView::new(&json!({"spec": {"containers": [
                {"name": "a", "image": "x", "imagePullPolicy": policy}]}}))
            .fixed
        };
        let (open, always) = (fixed(Value::Null), fixed(json!("Always")));
        assert_eq!(first_difference(&always, &open), None);
        assert_eq!(first_difference(&open, &always), None);
        assert_eq!(
            first_difference(&always, &fixed(json!("Never"))).as_deref(),
            Some("spec.template.spec.containers[0].imagePullPolicy")
        );
    }

    #[test]
    fn cpu_and_memory_are_changeable_and_other_resources_are_fixed() {
        let view = |resources: Value| {
            TemplateView::new(&json!({"spec": {"containers": [
                {"name": "a", "image": "x", "resources": resources}]}}))
        };
        let (none, cpu) = (view(json!({})), view(json!({"limits": {"cpu": 1}})));
        assert_eq!(none.fixed, cpu.fixed);
        let gpu = view(json!({"limits": {"cpu": 1, "nvidia.com/gpu": 1}}));
        assert_eq!(
            first_difference(&cpu.fixed, &gpu.fixed).as_deref(),
            Some("spec.template.spec.containers[0].resources")
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
