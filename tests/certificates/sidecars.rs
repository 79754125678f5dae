//! SidecarSets of both versions: said in the other one, checked, and stored anew.

use harness::door;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::many::{migrated, store};
use crate::served::Served;
use crate::stage::Stage;

fn kind(version: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk("apps.kruise.io", version, "SidecarSet");
    ApiResource::from_gvk_with_plural(&kind, "sidecarsets")
}

/// SidecarSets of a version.
pub(crate) fn sidecar_sets(client: &Client, version: &str) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &kind(version))
}

/// One of them.
pub(crate) fn sidecar_set(version: &str, name: &str, spec: &Value) -> DynamicObject {
    DynamicObject::new(name, &kind(version)).data(json!({"spec": spec}))
}

/// One container, for Pods with the label `app: NAME`.
pub(crate) fn agent(app: &str) -> Value {
    json!({"selector": {"matchLabels": {"app": app}},
        "containers": [{"name": "agent", "image": "agent:1"}]})
}

async fn create(client: &Client, set: &DynamicObject) -> kube::Result<DynamicObject> {
    let version = set.types.as_ref().map(|types| types.api_version.clone());
    let version = version.unwrap_or_default();
    let version = version.rsplit('/').next().unwrap_or_default();
    let all = sidecar_sets(client, version);
    all.create(&PostParams::default(), set).await
}

/// Leaves no SidecarSet behind.
pub(crate) async fn clear(client: &Client) {
    sidecar_sets(client, "v1beta1")
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .expect("nothing left");
}

/// What each version has: a spec, and what the other one says of it.
fn sayings() -> [(&'static str, Value, Value); 2] {
    let named = |name| json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
    let common = |mut spec: Value| {
        spec["initContainers"] = json!([{"name": "native", "image": "native:1",
            "restartPolicy": "Always", "aFieldOfTomorrow": [1, 2.5]}]);
        spec["updateStrategy"] = json!({"partition": "20%", "maxUnavailable": 2});
        spec["injectionStrategy"] = json!({"paused": true});
        spec["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
        spec
    };
    let (mut old, mut old_said) = (common(agent("a")), common(agent("a")));
    old["namespace"] = "shop".into();
    old_said["namespaceSelector"] = named("shop");
    let (mut new, mut new_said) = (common(agent("b")), common(agent("b")));
    new["namespaceSelector"] = named("shop");
    new["customVersion"] = "v7".into();
    new_said["namespace"] = "shop".into();
    [("v1alpha1", old, old_said), ("v1beta1", new, new_said)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_set_of_either_version_is_read_and_written_in_the_other() {
    let (stage, client, _turn) = Stage::turn().await;
    let _served = Served::start(stage, &client).await;
    for (version, spec, said) in sayings() {
        let other = if version == "v1beta1" {
            "v1alpha1"
        } else {
            "v1beta1"
        };
        let name = format!("log-{version}");
        let made = create(&client, &sidecar_set(version, &name, &spec)).await;
        let made = made.unwrap_or_else(|error| panic!("{version}: {error}"));
        assert_eq!(made.data["spec"], spec, "{version}");
        let read = sidecar_sets(&client, other).get(&name).await.expect("it");
        assert_eq!(read.data["spec"], said, "{version} as {other}");
        let params = PostParams::default();
        let others = sidecar_sets(&client, other);
        let written = others.replace(&name, &params, &read).await;
        written.unwrap_or_else(|error| panic!("{version} as {other}: {error}"));
        let after = sidecar_sets(&client, version).get(&name).await.expect("it");
        assert_eq!(after.data["spec"], spec, "{version} came back");
        assert_eq!(after.metadata.generation, made.metadata.generation);
    }
    clear(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_set_that_makes_no_sense_is_refused_with_its_field() {
    let (stage, client, _turn) = Stage::turn().await;
    let _served = Served::start(stage, &client).await;
    let refused = async |name: &str, spec: &Value| {
        let made = create(&client, &sidecar_set("v1beta1", name, spec)).await;
        made.expect_err("a refusal").to_string()
    };
    let agent_with = |key: &str, value: Value| {
        let mut container = agent("web")["containers"][0].clone();
        container[key] = value;
        json!([container])
    };
    for (field, value, path) in [
        ("selector", json!({}), "spec.selector"),
        (
            "containers",
            agent_with("image", "".into()),
            "spec.containers[0].image",
        ),
        (
            "containers",
            agent_with("env", json!([{"name": "PORT", "value": 80}])),
            "spec.containers[0].env[0].value",
        ),
        (
            "containers",
            agent_with("volumeMounts", json!([{"name": "v", "mountPath": "/v"}])),
            "spec.containers[0].volumeMounts[0].name",
        ),
        (
            "updateStrategy",
            json!({"partition": "x"}),
            "spec.updateStrategy",
        ),
    ] {
        let mut spec = agent("web");
        spec[field] = value;
        let said = refused("refused", &spec).await;
        assert!(said.contains(path), "{path} is not in: {said}");
    }
    let said = refused("with.dots", &agent("web")).await;
    assert!(said.contains("metadata.name"), "{said}");

    let made = create(&client, &sidecar_set("v1beta1", "log", &agent("web"))).await;
    let mut next = made.expect("a set");
    next.data["spec"]["containers"] = json!([{"name": "agent", "image": "agent:2"},
        {"name": "another", "image": "another:1"}]);
    let all = sidecar_sets(&client, "v1beta1");
    let written = all.replace("log", &PostParams::default(), &next).await;
    let said = written.expect_err("a refusal").to_string();
    assert!(said.contains("spec.containers[1].name"), "{said}");
    clear(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sidecar_sets_that_an_old_cluster_stored_are_stored_anew() {
    let (stage, client, _turn) = Stage::turn().await;
    let served = Served::start(stage, &client).await;
    let definition = door::DEFINITIONS[1];
    store(&client, definition, "v1alpha1").await;
    for n in 0..3 {
        let app = format!("app-{n}");
        let set = sidecar_set("v1alpha1", &format!("log-{n}"), &agent(&app));
        create(&client, &set).await.expect("a set");
    }
    store(&client, definition, "v1beta1").await;
    // What a door has to know takes a conversion then, and the first one to open does it itself.
    drop(served);
    let _served = Served::start(stage, &client).await;
    let all = sidecar_sets(&client, "v1beta1");
    let list = async || all.list(&ListParams::default()).await.expect("sets").items;
    let before = list().await;
    assert_eq!(before.len(), 3);
    migrated(&client, definition).await;
    for (before, after) in before.iter().zip(&list().await) {
        assert_eq!((before.uid(), &before.data), (after.uid(), &after.data));
        assert_eq!(before.metadata.generation, after.metadata.generation);
    }
    clear(&client).await;
}
