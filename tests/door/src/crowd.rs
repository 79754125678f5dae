//! A Pod of many containers, and the SidecarSets of a cluster that has a lot of them.

use serde_json::{Value, json};

use crate::reviews;

/// Containers of the Pod.
const CONTAINERS: usize = 20;
/// Variables of each.
const VARIABLES: usize = 20;
/// The namespace of the Pod, and what every set here may be for.
const NAMESPACE: &str = "shop";

/// What a sidecar asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// A volume of its own.
    Little,
    /// Every mount of the Pod, variables, and resources computed from all containers.
    Everything,
}

/// A Pod that [`matching`] sets are for.
pub fn pod() -> Value {
    let container = |i: usize| {
        let env: Vec<_> = (0..VARIABLES)
            .map(|n| json!({"name": format!("VAR_{n}"), "value": "some value"}))
            .collect();
        json!({"name": format!("app-{i}"), "image": "registry.example.com/app:1", "env": env,
            "volumeMounts": [{"name": "data", "mountPath": format!("/data/{i}")},
                {"name": "logs", "mountPath": format!("/logs/{i}"), "subPathExpr": "$(VAR_3)"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"},
                "requests": {"cpu": "100m", "memory": "256Mi"}}})
    };
    let containers: Vec<_> = (0..CONTAINERS).map(container).collect();
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "web-", "namespace": NAMESPACE,
            "labels": {"app": "web", "tier": "front", "version": "v1"}, "annotations": {"a": "b"}},
        "spec": {"containers": containers, "volumes": [{"name": "data", "emptyDir": {}},
            {"name": "logs", "emptyDir": {}}]}})
}

/// The question of an API server about it.
pub fn review() -> Vec<u8> {
    reviews::bytes(&reviews::injection(&pod()))
}

/// The Pod's namespace.
pub fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "resourceVersion": "1",
            "labels": {"kubernetes.io/metadata.name": NAMESPACE, "team": "checkout"}}})
}

fn set(name: &str, selector: &Value, asks: Asks) -> Value {
    let mut container = json!({"name": name, "image": "registry.example.com/sidecar:1",
        "env": [{"name": "OWN", "value": "1"}],
        "volumeMounts": [{"name": name, "mountPath": "/own"}]});
    if asks == Asks::Everything {
        container["shareVolumePolicy"] = json!({"type": "enabled"});
        container["transferEnv"] =
            json!([{"sourceContainerName": "app-7", "envNames": ["VAR_1", "VAR_2"]}]);
        container["resourcesPolicy"] = json!({"targetContainersMode": "sum", "resourcesExpr":
            {"limits": {"cpu": "max(cpu*10%, 50m)", "memory": "memory*10%"}}});
    }
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
        "metadata": {"name": name, "uid": format!("uid-of-{name}"), "generation": 1,
            "resourceVersion": "1", "creationTimestamp": "2026-11-20T08:00:00Z",
            "managedFields": [managed(name)]},
        "spec": {"selector": {"matchLabels": selector}, "containers": [container],
            "volumes": [{"name": name, "emptyDir": {}}]}})
}

/// What API servers note about who wrote which field.
fn managed(name: &str) -> Value {
    let key = format!("k:{{\"name\":\"{name}\"}}");
    json!({"manager": "kubectl", "operation": "Apply", "apiVersion": "apps.kruise.io/v1beta1",
        "time": "2026-11-20T08:00:00Z", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:selector": {}, "f:volumes": {(&*key): {".": {}, "f:emptyDir": {}}},
            "f:containers": {(&*key): {".": {}, "f:image": {}, "f:env": {}, "f:volumeMounts": {}}}}}})
}

/// Sets that the Pod is given.
pub fn matching(count: usize, asks: Asks) -> Vec<Value> {
    (0..count)
        .map(|i| set(&format!("set-{i}"), &json!({"app": "web"}), asks))
        .collect()
}

/// Sets that it is not: in turns for a namespace of another name, for namespaces with another
/// label, and for Pods with another label.
pub fn others(count: usize) -> Vec<Value> {
    let other = |i: usize| {
        let (name, web) = (format!("other-{i}"), json!({"app": "web"}));
        let of_namespace = |label: &str| {
            let mut set = set(&name, &web, Asks::Little);
            set["spec"]["namespaceSelector"] = json!({"matchLabels": {(label): format!("n-{i}")}});
            set
        };
        match i % 3 {
            0 => of_namespace("kubernetes.io/metadata.name"),
            1 => of_namespace("team"),
            _ => set(&name, &json!({"app": format!("app-{i}")}), Asks::Little),
        }
    };
    (0..count).map(other).collect()
}
