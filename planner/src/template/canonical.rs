//! The form in which two templates that mean the same are equal, whatever wrote them. Sets taken
//! over from another controller, a serializer that adds its own, a default spelled out: none of
//! these ever rolls a Pod.

use serde_json::{Map, Value};

use super::quantity;

/// Objects that mean the same empty as absent. Others do not: `emptyDir: {}` is a volume, and an
/// empty label selector selects everything.
const EMPTY_MEANS_ABSENT: [&str; 8] = [
    "resources",
    "metadata",
    "labels",
    "annotations",
    "nodeSelector",
    "limits",
    "requests",
    "securityContext",
];

/// What the API server fills in where a Pod leaves it open: under which key, which field, with
/// what. Defaults of a stable API never change. (`imagePullPolicy` is not among them: its default
/// depends on the tag, and on who fills it in.)
const TEXT_DEFAULTS: [(&str, &str, &str); 17] = [
    ("spec", "restartPolicy", "Always"),
    ("spec", "dnsPolicy", "ClusterFirst"),
    ("spec", "schedulerName", "default-scheduler"),
    (
        "containers",
        "terminationMessagePath",
        "/dev/termination-log",
    ),
    ("containers", "terminationMessagePolicy", "File"),
    (
        "initContainers",
        "terminationMessagePath",
        "/dev/termination-log",
    ),
    ("initContainers", "terminationMessagePolicy", "File"),
    ("ports", "protocol", "TCP"),
    ("httpGet", "scheme", "HTTP"),
    ("httpGet", "path", "/"),
    ("grpc", "service", ""),
    ("fieldRef", "apiVersion", "v1"),
    ("hostPath", "type", ""),
    ("volumeMounts", "recursiveReadOnly", "Disabled"),
    ("env", "value", ""),
    ("volumeMounts", "subPath", ""),
    ("volumeMounts", "subPathExpr", ""),
];

const NUMBER_DEFAULTS: [(&str, &str, i64); 17] = [
    ("spec", "terminationGracePeriodSeconds", 30),
    ("livenessProbe", "timeoutSeconds", 1),
    ("livenessProbe", "periodSeconds", 10),
    ("livenessProbe", "successThreshold", 1),
    ("livenessProbe", "failureThreshold", 3),
    ("readinessProbe", "timeoutSeconds", 1),
    ("readinessProbe", "periodSeconds", 10),
    ("readinessProbe", "successThreshold", 1),
    ("readinessProbe", "failureThreshold", 3),
    ("startupProbe", "timeoutSeconds", 1),
    ("startupProbe", "periodSeconds", 10),
    ("startupProbe", "successThreshold", 1),
    ("startupProbe", "failureThreshold", 3),
    ("secret", "defaultMode", 0o644),
    ("configMap", "defaultMode", 0o644),
    ("projected", "defaultMode", 0o644),
    ("downwardAPI", "defaultMode", 0o644),
];

/// `template` with sorted keys, quantities in one unit, and without nulls, empty lists, the empty
/// objects above and what a Pod is given anyway.
pub fn canonical(template: &Value) -> Value {
    within("", template)
}

/// `value` under the nearest key `parent`.
fn within(parent: &str, value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            let fields = entries.into_iter().filter_map(|(key, value)| {
                let value = within(key, value);
                let absent = is_absent(key, &value) || is_default(parent, key, &value);
                (!absent).then(|| (key.clone(), value))
            });
            let map: Map<String, Value> = fields.collect();
            if ["limits", "requests"].contains(&parent) {
                quantity::unify(map)
            } else {
                Value::Object(map)
            }
        }
        Value::Array(list) => Value::Array(list.iter().map(|v| within(parent, v)).collect()),
        other => other.clone(),
    }
}

fn is_absent(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty() && EMPTY_MEANS_ABSENT.contains(&key),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn is_default(parent: &str, key: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => TEXT_DEFAULTS.contains(&(parent, key, text.as_str())),
        Value::Number(number) => number
            .as_i64()
            .is_some_and(|n| NUMBER_DEFAULTS.contains(&(parent, key, n))),
        Value::Bool(true) => (parent, key) == ("spec", "enableServiceLinks"),
        Value::Bool(false) | Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_serializers_add_makes_no_difference() {
        let users = json!({"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "a", "image": "x"}],
                "volumes": [{"name": "v", "emptyDir": {}}]}});
        let rewritten = json!({"spec": {"volumes": [{"emptyDir": {}, "name": "v"}],
            "containers": [{"resources": {}, "image": "x", "name": "a", "env": []}]},
            "metadata": {"creationTimestamp": null, "labels": {"app": "web"}}});
        assert_eq!(canonical(&users), canonical(&rewritten));
    }

    #[test]
    fn an_empty_object_that_means_something_is_kept() {
        let every = json!({"labelSelector": {}});
        assert_ne!(canonical(&every), canonical(&json!({})));
        assert_ne!(canonical(&json!({"emptyDir": {}})), canonical(&json!({})));
    }

    #[test]
    fn a_default_that_is_spelled_out_makes_no_difference() {
        let short = json!({"spec": {"containers": [{"name": "a", "image": "x",
            "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 80}}}]}});
        let long = json!({"spec": {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30,
            "securityContext": {}, "containers": [{"name": "a", "image": "x",
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 80, "scheme": "HTTP"},
                    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
                    "failureThreshold": 3}}]}});
        assert_eq!(canonical(&short), canonical(&long));
    }

    #[test]
    fn the_same_words_elsewhere_are_no_defaults() {
        let sidecar = json!({"spec": {"initContainers": [{"restartPolicy": "Always"}]}});
        let classic = json!({"spec": {"initContainers": [{}]}});
        assert_ne!(canonical(&sidecar), canonical(&classic));
        let probe = json!({"livenessProbe": {"terminationGracePeriodSeconds": 30}});
        assert_ne!(canonical(&probe), canonical(&json!({"livenessProbe": {}})));
    }

    #[test]
    fn quantities_are_compared_by_what_they_measure() {
        let limits = |cpu: Value, memory: &str| {
            canonical(&json!({"resources": {"limits": {"cpu": cpu, "memory": memory}}}))
        };
        assert_eq!(limits(json!(1), "1Gi"), limits(json!("1000m"), "1024Mi"));
        assert_eq!(limits(json!("0.5"), "1e3"), limits(json!("500m"), "1k"));
        assert_ne!(limits(json!("1"), "1G"), limits(json!("1"), "1Gi"));
        assert_ne!(limits(json!("x"), "1G"), limits(json!("y"), "1G"));
    }
}
