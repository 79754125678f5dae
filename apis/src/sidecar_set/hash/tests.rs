use serde_json::{Value, json};

use super::*;

fn sidecar(value: Value) -> SidecarContainer {
    serde_json::from_value(value).unwrap()
}

/// Both hashes were computed by OpenKruise, of a container without defaults.
#[test]
fn the_hash_is_openkruises() {
    let container = json!({"name": "container1", "image": "test-image"});
    let plain = text_of(std::slice::from_ref(&container), None);
    assert_eq!(
        plain,
        "{\"containers\":[{\"name\":\"container1\",\"image\":\"test-image\",\"resources\":{},\
         \"upgradeStrategy\":{},\"shareVolumePolicy\":{}}]}"
    );
    assert_eq!(
        digest(&plain),
        "w26c4x8fz245642fdv499b464248f974xddx4x55z5dw55bc6x66464fxz77dc78"
    );
    let mut native = container.clone();
    native["restartPolicy"] = "Always".into();
    assert_eq!(
        digest(&text_of(&[container], Some(&[native]))),
        "4xwx4d4844vd4v9x79wb4xbxf4xb29475cc4446v8cz2c2f2f5c5bw448vd42z8w"
    );
}

#[test]
fn defaults_that_are_spelled_out_change_nothing() {
    let bare = json!({"name": "c", "image": "x:1", "ports": [{"containerPort": 80}],
        "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}},
        "livenessProbe": {"httpGet": {"port": 80}},
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]});
    let full = json!({"name": "c", "image": "x:1", "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {}},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "livenessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
            "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
            "failureThreshold": 3},
        "env": [{"name": "A", "value": "", "valueFrom":
            {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
        "podInjectPolicy": "BeforeAppContainer", "upgradeStrategy": {"upgradeType": "ColdUpgrade"},
        "shareVolumePolicy": {"type": "disabled"}, "stdin": false, "args": []});
    let hash = |value: &Value| hash(&[sidecar(value.clone())], &[], Images::Count);
    assert_eq!(hash(&bare), hash(&full));
}

#[test]
fn only_one_of_the_two_hashes_depends_on_images() {
    let of = |image: &str, images| {
        let container = sidecar(json!({"name": "c", "image": image}));
        hash(&[container], &[], images)
    };
    assert_ne!(of("x:1", Images::Count), of("x:2", Images::Count));
    assert_eq!(of("x:1", Images::Blank), of("x:2", Images::Blank));
}

#[test]
fn plain_init_containers_do_not_count_and_native_sidecars_do() {
    let container = [sidecar(json!({"name": "c", "image": "x:1"}))];
    let of = |init: Value| hash(&container, &[sidecar(init)], Images::Count);
    let plain = |image| of(json!({"name": "i", "image": image}));
    let native = |image| of(json!({"name": "i", "image": image, "restartPolicy": "Always"}));
    assert_eq!(plain("y:1"), plain("y:2"));
    assert_ne!(native("y:1"), native("y:2"));
}

#[test]
fn a_field_that_nobody_knows_counts() {
    let of = |value: Value| hash(&[sidecar(value)], &[], Images::Count);
    let one = of(json!({"name": "c", "image": "x", "newer": {"b": 1, "a": "<&>"}}));
    assert_ne!(one, of(json!({"name": "c", "image": "x"})));
    assert_ne!(
        one,
        of(json!({"name": "c", "image": "x", "newer": {"b": 2, "a": "<&>"}}))
    );
    let written = text_of(&[json!({"name": "<&>"})], None);
    assert!(written.contains("\\u003c\\u0026\\u003e"), "{written}");
}

#[test]
fn the_pull_policy_follows_the_tag() {
    let of = |value: Value| hash(&[sidecar(value)], &[], Images::Count);
    for (image, policy) in [
        ("x", "Always"),
        ("registry:5000/x", "Always"),
        ("x:latest", "Always"),
        ("x:latest@sha256:1", "Always"),
        ("x:1", "IfNotPresent"),
        ("x@sha256:1", "IfNotPresent"),
        ("registry:5000/x:1", "IfNotPresent"),
    ] {
        let spelled = json!({"name": "c", "image": image, "imagePullPolicy": policy});
        assert_eq!(
            of(json!({"name": "c", "image": image})),
            of(spelled),
            "{image}"
        );
    }
}
