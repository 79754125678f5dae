//! Reviews as API servers send them.

use serde_json::{Value, json};

/// An ordinary set in `v1beta1`.
pub fn set(name: &str) -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
        "metadata": {"name": name, "namespace": "shop", "uid": "6f1c54f4-6a4c-4a55-9d7c-0a6b0f1f5d11",
            "generation": 3, "creationTimestamp": "2026-11-20T08:00:00Z",
            "labels": {"app": name, "team": "checkout"},
            "annotations": {"example.com/owner": "checkout@example.com"}},
        "spec": {
            "replicas": 12, "minReadySeconds": 5, "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"app": name}},
            "scaleStrategy": {"podsToDelete": ["a", "b"]},
            "lifecycle": {"preDelete": {"labelsHandler": {"example.com/hold": "true"}}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {
                "podUpdatePolicy": "InPlaceIfPossible", "partition": "40%", "maxUnavailable": 2,
                "inPlaceUpdateStrategy": {"gracePeriodSeconds": 10}}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "containers": [
                        {"name": "main", "image": "registry.example.com/shop/main:v7",
                         "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                         "env": [{"name": "LEVEL", "value": "info"},
                                 {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                         "resources": {"requests": {"cpu": "250m", "memory": "256Mi"},
                                       "limits": {"memory": "512Mi"}},
                         "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 5}},
                        {"name": "log", "image": "registry.example.com/shop/log:v2",
                         "volumeMounts": [{"name": "logs", "mountPath": "/logs"}]}],
                    "volumes": [{"name": "logs", "emptyDir": {}}],
                    "terminationGracePeriodSeconds": 30}}},
        "status": {"replicas": 12, "readyReplicas": 12}})
}

/// The same in `v1alpha1`, with what only that version can say.
pub fn old_set(name: &str) -> Value {
    let mut old = set(name);
    old["apiVersion"] = "apps.kruise.io/v1alpha1".into();
    old["spec"]["updateStrategy"] = json!({"type": "InPlaceIfPossible", "partition": "40%",
        "maxUnavailable": 2, "inPlaceUpdateStrategy": {"gracePeriodSeconds": 10}});
    old["spec"]["scaleStrategy"]["disablePVCReuse"] = true.into();
    old
}

/// A SidecarSet that asks for a bit of everything.
pub fn sidecar_set(name: &str) -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "namespaceSelector": {"matchLabels": {"team": "checkout"}},
            "containers": [{"name": "agent", "image": "registry.example.com/agent:v1",
                "shareVolumePolicy": {"type": "enabled"},
                "transferEnv": [{"sourceContainerName": "main", "envName": "LEVEL"}],
                "resourcesPolicy": {"targetContainersMode": "max",
                    "resourcesExpr": {"limits": {"memory": "memory*10%"}}},
                "volumeMounts": [{"name": "buffer", "mountPath": "/buffer"}]}],
            "initContainers": [{"name": "native", "image": "registry.example.com/native:v1",
                "restartPolicy": "Always"}],
            "volumes": [{"name": "buffer", "emptyDir": {}}],
            "imagePullSecrets": [{"name": "registry"}]}})
}

/// A namespace that it selects.
pub fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"team": "checkout"}}})
}

/// A Pod that it selects.
pub fn pod() -> Value {
    let template = &set("web")["spec"]["template"];
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "web-", "labels": {"app": "web"}}, "spec": template["spec"]})
}

/// What should a new Pod be given?
pub fn injection(pod: &Value) -> Value {
    let mut review = admission("CREATE", pod, &Value::Null);
    let request = &mut review["request"];
    request["kind"] = json!({"group": "", "version": "v1", "kind": "Pod"});
    request["resource"] = json!({"group": "", "version": "v1", "resource": "pods"});
    request["requestKind"] = request["kind"].clone();
    review
}

/// May `object` be written?
pub fn admission(operation: &str, object: &Value, old: &Value) -> Value {
    let kind = object["kind"].as_str().unwrap_or("CloneSet");
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "apps.kruise.io", "version": "v1beta1", "kind": kind},
        "resource": {"group": "apps.kruise.io", "version": "v1beta1", "resource": "clonesets"},
        "requestKind": {"group": "apps.kruise.io", "version": "v1beta1", "kind": "CloneSet"},
        "name": "web", "namespace": "shop", "operation": operation,
        "userInfo": {"username": "admin", "groups": ["system:authenticated"]},
        "object": object, "oldObject": old, "dryRun": false,
        "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"}}})
}

/// The objects, asked for in `version`.
pub fn conversion(version: &str, objects: &[Value]) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800003",
        "desiredAPIVersion": format!("apps.kruise.io/{version}"), "objects": objects}})
}

/// A new set.
pub fn create() -> Vec<u8> {
    bytes(&admission("CREATE", &set("web"), &Value::Null))
}

/// As it is sent.
pub fn bytes(review: &Value) -> Vec<u8> {
    review.to_string().into_bytes()
}
