//! What was stored in an old version is stored in the present one.

use harness::eventually;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use webhook::migration::{migrate, read};

use crate::stage::Stage;

const NAME: &str = "things.test.insitu";

/// A kind of two versions, of which `stored` is stored.
fn definition(stored: &str) -> Value {
    let version = |name: &str| {
        json!({"name": name, "served": true, "storage": name == stored, "schema": {
            "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {"group": "test.insitu", "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things"},
            "versions": [version("v1beta1"), version("v1alpha1")]},
    })
}

async fn apply(client: &Client, stored: &str) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PatchParams::apply("test").force();
    definitions
        .patch(NAME, &params, &Patch::Apply(definition(stored)))
        .await
        .expect("a definition");
    until_stored(&definitions, NAME, stored).await;
}

/// Waits until the API server says that there may be objects stored as `version`.
pub(crate) async fn until_stored(
    definitions: &Api<CustomResourceDefinition>,
    name: &str,
    version: &str,
) {
    eventually("the version is stored", async || {
        let definition = definitions.get(name).await.map_err(|e| e.to_string())?;
        let versions = stored_versions(&definition);
        let is_stored = versions.iter().any(|stored| stored == version);
        is_stored
            .then_some(())
            .ok_or_else(|| format!("{versions:?}"))
    })
    .await;
}

pub(crate) fn stored_versions(definition: &CustomResourceDefinition) -> Vec<String> {
    let status = definition.status.clone().unwrap_or_default();
    status.stored_versions.unwrap_or_default()
}

fn things(client: &Client, version: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("test.insitu", version, "Thing");
    let resource = ApiResource::from_gvk_with_plural(&kind, "things");
    Api::default_namespaced_with(client.clone(), &resource)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_the_old_version_are_written_once_more() {
    let (_stage, client, _turn) = Stage::turn().await;
    apply(&client, "v1alpha1").await;
    let old = things(&client, "v1alpha1");
    eventually("things are served", async || {
        old.list(&ListParams::default())
            .await
            .map_err(|e| e.to_string())
    })
    .await;
    for n in 0..3 {
        let name = format!("thing-{n}");
        let resource = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("test.insitu", "v1alpha1", "Thing"),
            "things",
        );
        let thing = DynamicObject::new(&name, &resource).data(json!({"spec": {"n": n}}));
        old.create(&PostParams::default(), &thing)
            .await
            .expect("a thing");
    }
    apply(&client, "v1beta1").await;
    let new = things(&client, "v1beta1");
    let before = new
        .list(&ListParams::default())
        .await
        .expect("things")
        .items;

    until_stored_anew(&new, &before[0]).await;
    let due = read(&client, NAME).await.expect("an answer");
    let due = due.expect("some are stored in the old version");
    migrate(&client, NAME, &due).await.expect("a migration");
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = definitions.get(NAME).await.expect("the definition");
    assert_eq!(stored_versions(&definition), ["v1beta1"]);
    let after = new
        .list(&ListParams::default())
        .await
        .expect("things")
        .items;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.uid(), &before.data), (after.uid(), &after.data));
        assert_ne!(before.resource_version(), after.resource_version());
    }
    let due = read(&client, NAME).await.expect("an answer");
    assert!(due.is_none(), "once");
}

/// An API server takes a moment to store what the definition says.
async fn until_stored_anew(things: &Api<DynamicObject>, thing: &DynamicObject) {
    let (name, before) = (thing.name_any(), thing.resource_version());
    eventually("the present version is stored", async || {
        let nothing = Patch::Merge(json!({}));
        let params = PatchParams::default();
        let after = things.patch(&name, &params, &nothing).await;
        let after = after.map_err(|e| e.to_string())?;
        let is_new = after.resource_version() != before;
        is_new.then_some(()).ok_or_else(|| "it is not".to_owned())
    })
    .await;
}
