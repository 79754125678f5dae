//! Cpu and memory: what a template gives its containers, and how amounts are compared.

use std::collections::BTreeMap;

use apis::in_place_state::{Amounts, Resources};
use serde::Deserialize;
use serde_json::Value;

use super::quantity;

/// How the node treats a Pod when it runs out of memory; fixed for the life of a Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QosClass {
    /// No container asks for anything.
    #[default]
    BestEffort,
    /// Everything else.
    Burstable,
    /// Every container's limits are its requests.
    Guaranteed,
}

/// One amount among a container's resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// `limits` or `requests`.
    pub(crate) list: &'static str,
    /// `cpu` or `memory`.
    pub(crate) resource: &'static str,
}

const fn key(list: &'static str, resource: &'static str) -> Key {
    Key { list, resource }
}

/// Those that can change on a running Pod.
pub(crate) const KEYS: [Key; 4] = [
    key("limits", "cpu"),
    key("limits", "memory"),
    key("requests", "cpu"),
    key("requests", "memory"),
];

impl Key {
    /// The amount in `resources`, as written.
    pub(crate) fn of(self, resources: &Resources) -> Option<&str> {
        let list = if self.list == "limits" {
            &resources.limits
        } else {
            &resources.requests
        };
        let amounts = list.as_ref()?;
        if self.resource == "cpu" {
            amounts.cpu.as_deref()
        } else {
            amounts.memory.as_deref()
        }
    }
}

/// Keys of `wanted` that `there` has otherwise, or not at all. What only `there` has (a default of
/// the namespace, say) makes no difference.
pub(crate) fn differing(there: &Resources, wanted: &Resources) -> impl Iterator<Item = Key> {
    KEYS.into_iter().filter(|key| {
        let wanted = key.of(wanted);
        wanted.is_some_and(|w| key.of(there).is_none_or(|t| !quantity::is_same(t, w)))
    })
}

/// Whether both say the same.
pub(crate) fn is_same(a: &Resources, b: &Resources) -> bool {
    differing(a, b).next().is_none() && differing(b, a).next().is_none()
}

/// `resources` of a container in a template, as a Pod made from it has them: what is limited and
/// not asked for is asked for in full.
pub(super) fn of(container: &Value) -> Resources {
    let written = container.get("resources").unwrap_or(&Value::Null);
    let mut resources = Resources::deserialize(written).unwrap_or_default();
    if let Some(limits) = &resources.limits {
        let requests = resources.requests.get_or_insert_with(Amounts::default);
        requests.cpu = requests.cpu.take().or_else(|| limits.cpu.clone());
        requests.memory = requests.memory.take().or_else(|| limits.memory.clone());
    }
    resources
}

/// Takes cpu and memory out of `container`, in canonical form.
pub(super) fn take(container: &mut Value) {
    let Some(resources) = container
        .get_mut("resources")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    for list in ["limits", "requests"] {
        let Some(amounts) = resources.get_mut(list).and_then(Value::as_object_mut) else {
            continue;
        };
        amounts.retain(|resource, _| resource != "cpu" && resource != "memory");
        if amounts.is_empty() {
            resources.remove(list);
        }
    }
    if resources.is_empty()
        && let Some(container) = container.as_object_mut()
    {
        container.remove("resources");
    }
}

/// The class of Pods made from `template`, as the API server finds it.
pub(super) fn qos_class(template: &Value) -> QosClass {
    let lists = ["/spec/containers", "/spec/initContainers"];
    let containers = lists
        .iter()
        .filter_map(|list| template.pointer(list)?.as_array());
    let all: Vec<Resources> = containers.flatten().map(of).collect();
    let mut sums: BTreeMap<(&str, &str), i128> = BTreeMap::new();
    let mut is_guaranteed = true;
    for resources in &all {
        for key in KEYS {
            let amount = key.of(resources).and_then(quantity::nanos).unwrap_or(0);
            is_guaranteed &= key.list == "requests" || amount > 0;
            let sum = sums.entry((key.list, key.resource)).or_default();
            *sum = sum.saturating_add(amount.max(0));
        }
    }
    let sum = |list, resource| sums.get(&(list, resource)).copied().unwrap_or_default();
    if sums.values().all(|sum| *sum == 0) {
        QosClass::BestEffort
    } else if is_guaranteed
        && ["cpu", "memory"]
            .iter()
            .all(|r| sum("limits", r) == sum("requests", r))
    {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(containers: &Value) -> QosClass {
        qos_class(&json!({"spec": {"containers": containers}}))
    }

    #[test]
    fn a_limit_is_also_asked_for() {
        let resources = of(&json!({"resources": {"limits": {"cpu": 1, "memory": "1Gi"},
            "requests": {"cpu": "500m"}}}));
        let requests = resources.requests.unwrap();
        assert_eq!(requests.cpu.as_deref(), Some("500m"));
        assert_eq!(requests.memory.as_deref(), Some("1Gi"));
    }

    #[test]
    fn amounts_are_compared_by_what_they_measure_and_extra_ones_are_left_alone() {
        let there = of(&json!({"resources": {"requests": {"cpu": "1000m", "memory": "1Gi"}}}));
        let wanted = of(&json!({"resources": {"requests": {"cpu": 1}}}));
        assert_eq!(differing(&there, &wanted).count(), 0);
        assert_eq!(differing(&wanted, &there).count(), 1);
    }

    #[test]
    fn classes_are_those_of_the_api_server() {
        let both = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        let some = json!({"requests": {"cpu": "1"}});
        assert_eq!(class(&json!([{"name": "a"}])), QosClass::BestEffort);
        assert_eq!(
            class(&json!([{"name": "a", "resources": both}])),
            QosClass::Guaranteed
        );
        assert_eq!(
            class(&json!([{"name": "a", "resources": some}])),
            QosClass::Burstable
        );
        assert_eq!(
            class(&json!([{"name": "a", "resources": both}, {"name": "b"}])),
            QosClass::Burstable
        );
    }
}
