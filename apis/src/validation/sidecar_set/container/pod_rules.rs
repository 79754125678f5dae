//! The commoner rules of Pods about a container. One that breaks them would be found out when a Pod is
//! made: the API server would refuse the Pod, and so every Pod that the set selects.

use serde_json::{Map, Value};

use super::Lists;
use crate::quantity::Quantity;

const PORTS: std::ops::RangeInclusive<i64> = 1..=65_535;

/// Fields of a container that have one of a few values.
const CHOICES: [(&str, &[&str]); 2] = [
    ("imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    (
        "terminationMessagePolicy",
        &["File", "FallbackToLogsOnError"],
    ),
];
const PROTOCOLS: &[&str] = &["TCP", "UDP", "SCTP"];

impl Lists<'_> {
    /// What a Pod's own rules say of `container`, as far as it is checked here.
    pub(super) fn pod_rules(&mut self, path: &str, container: &Map<String, Value>) {
        for (field, values) in CHOICES {
            self.choice(format!("{path}.{field}"), container.get(field), values);
        }
        for (i, port) in items(container, "ports").enumerate() {
            let path = format!("{path}.ports[{i}]");
            let number = port.get("containerPort");
            if !number
                .and_then(Value::as_i64)
                .is_some_and(|n| PORTS.contains(&n))
            {
                let found = number.unwrap_or(&Value::Null);
                self.refuse(
                    format!("{path}.containerPort"),
                    format!("{found} is no port; use 1 to 65535"),
                );
            }
            self.choice(format!("{path}.protocol"), port.get("protocol"), PROTOCOLS);
        }
        for (i, variable) in items(container, "env").enumerate() {
            let name = variable.get("name").and_then(Value::as_str);
            if name.unwrap_or_default().is_empty() {
                let path = format!("{path}.env[{i}].name");
                self.refuse(path, "is required; name the variable");
            }
        }
        self.amounts(&format!("{path}.resources"), container.get("resources"));
    }

    fn choice(&mut self, path: String, found: Option<&Value>, values: &[&str]) {
        let text = found
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty());
        if let Some(text) = text.filter(|text| !values.contains(text)) {
            let values = values.join(", ");
            self.refuse(path, format!("{text:?} is not known; use one of {values}"));
        }
    }

    /// Every amount can be read, and no request is above its limit.
    fn amounts(&mut self, path: &str, resources: Option<&Value>) {
        let list = |key: &str| {
            let all = resources.and_then(|all| all.get(key));
            all.and_then(Value::as_object).into_iter().flatten()
        };
        for key in ["limits", "requests"] {
            for (resource, amount) in list(key) {
                let path = format!("{path}.{key}.{resource}");
                let Some(requested) = read(amount) else {
                    self.refuse(path, format!("{amount} is no amount such as 500m or 1Gi"));
                    continue;
                };
                if requested.nanos() < 0 {
                    self.refuse(path, format!("{amount} is negative; use 0 or more"));
                } else if key == "requests"
                    && let Some((_, limit)) = list("limits").find(|(name, _)| *name == resource)
                    && read(limit).is_some_and(|limit| limit.nanos() < requested.nanos())
                {
                    self.refuse(
                        path,
                        format!("{amount} is more than the limit {limit}; raise that one"),
                    );
                }
            }
        }
    }
}

fn items<'a>(container: &'a Map<String, Value>, field: &str) -> impl Iterator<Item = &'a Value> {
    let list = container.get(field).and_then(Value::as_array);
    list.into_iter().flatten()
}

/// Kubernetes takes numbers as well.
fn read(amount: &Value) -> Option<Quantity> {
    match amount {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
