//! Launch priority: which containers are started, and changed, before which others.

use std::collections::BTreeMap;

use apis::names;
use serde_json::Value;

/// Priorities of the containers of `template` that can change in place, by name; the higher, the
/// earlier. Containers that say nothing have 0. With the annotation, priorities fall in the order
/// of the list, and native sidecars come first, as they do when a Pod starts.
pub(super) fn priorities(template: &Value) -> BTreeMap<String, i32> {
    let key = names::LAUNCH_PRIORITY_ANNOTATION;
    let annotations = template.pointer("/metadata/annotations");
    let is_ordered = annotations
        .and_then(|a| a.get(key))
        .is_some_and(|value| value == "Ordered");
    let mut priorities = BTreeMap::new();
    for (list, first) in [("containers", 0), ("initContainers", i32::MAX)] {
        let containers = template.pointer(&format!("/spec/{list}"));
        let containers = containers.and_then(Value::as_array).into_iter().flatten();
        for (before, container) in (0_i32..).zip(containers) {
            let Some(name) = container.get("name").and_then(Value::as_str) else {
                continue;
            };
            let ordered = if list == "containers" {
                first - before
            } else {
                first
            };
            let priority = if is_ordered { ordered } else { of(container) };
            priorities.insert(name.to_owned(), priority);
        }
    }
    priorities
}

fn of(container: &Value) -> i32 {
    let env = container.get("env").and_then(Value::as_array);
    let mut env = env.into_iter().flatten();
    let value = env
        .find(|e| {
            e.get("name")
                .is_some_and(|n| n == names::CONTAINER_PRIORITY_ENV)
        })
        .and_then(|e| e.get("value")?.as_str()?.trim().parse().ok());
    value.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn priorities_come_from_the_environment() {
        let env = |p: &str| json!([{"name": "KRUISE_CONTAINER_PRIORITY", "value": p}]);
        let found = priorities(&json!({"spec": {"containers": [
            {"name": "a", "env": env("20")}, {"name": "b", "env": env("ten")}, {"name": "c"}]}}));
        assert_eq!(found.into_values().collect::<Vec<_>>(), [20, 0, 0]);
    }

    #[test]
    fn ordered_means_in_the_order_of_the_list_and_sidecars_first() {
        let found = priorities(&json!({
            "metadata": {"annotations": {"apps.kruise.io/container-launch-priority": "Ordered"}},
            "spec": {"containers": [{"name": "a"}, {"name": "b"}],
                "initContainers": [{"name": "s", "restartPolicy": "Always"}]}}));
        assert_eq!(found.into_values().collect::<Vec<_>>(), [0, -1, i32::MAX]);
    }
}
