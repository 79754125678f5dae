//! Lists of thousands are converted in one piece, and what is stored in the old version is stored
//! anew without a loss.

use futures::{StreamExt, TryStreamExt, stream};
use harness::{door, eventually};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use webhook::migration::{migrate, read};

use crate::migration::{stored_versions, until_stored};
use crate::served::{Served, clear, minimal, object, sets};
use crate::stage::Stage;

const MANY: usize = 3000;
/// Requests at a time.
const AT_ONCE: usize = 32;

/// As large as those of real programs.
fn large(n: usize) -> Value {
    let mut spec = minimal();
    let variable = |i| json!({"name": format!("VARIABLE_{i}"), "value": format!("{n}-{i:040}")});
    let env: Vec<_> = (0..40).map(variable).collect();
    spec["replicas"] = 1.into();
    spec["template"]["spec"]["containers"][0]["env"] = env.into();
    spec["updateStrategy"]["partition"] = (n % 7).into();
    spec["scaleStrategy"]["disablePVCReuse"] = n.is_multiple_of(2).into();
    spec
}

async fn create(client: &Client, count: usize) {
    let all = sets(client, "v1alpha1");
    stream::iter(0..count)
        .map(|n| {
            let all = all.clone();
            async move {
                let set = object("v1alpha1", &format!("web-{n}"), &large(n));
                all.create(&PostParams::default(), &set).await
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(async |_| Ok(()))
        .await
        .expect("many sets");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_thousands_is_converted() {
    let (stage, client, _turn) = Stage::turn().await;
    let _served = Served::start(stage, &client).await;
    create(&client, MANY).await;
    // Whole, and in pages as kubectl asks for it.
    for page in [None, Some(500)] {
        let mut params = ListParams {
            limit: page,
            ..ListParams::default()
        };
        let mut seen = 0;
        loop {
            let list = sets(&client, "v1alpha1").list(&params).await;
            let list = list.expect("a converted list");
            for set in &list.items {
                let n: usize = set.name_any().trim_start_matches("web-").parse().unwrap();
                assert_eq!(set.data["spec"], large(n), "{n}");
            }
            seen += list.items.len();
            params.continue_token = list.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                break;
            }
        }
        assert_eq!(seen, MANY);
    }
    clear(&client).await;
}

/// Has the API server store `version` of what `name` defines.
pub(crate) async fn store(client: &Client, name: &str, version: &str) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = definitions.get(name).await.expect("it");
    let versions = definition.spec.versions.iter().enumerate();
    let patch: Vec<_> = versions
        .map(|(n, v)| {
            json!({"op": "replace", "path": format!("/spec/versions/{n}/storage"),
            "value": v.name == version})
        })
        .collect();
    let patch = serde_json::from_value(patch.into()).expect("a patch");
    definitions
        .patch(name, &PatchParams::default(), &Patch::<()>::Json(patch))
        .await
        .expect("another stored version");
    until_stored(&definitions, name, version).await;
}

/// Has everything that `name` defines stored in the present version.
pub(crate) async fn migrated(client: &Client, name: &str) {
    eventually("everything is stored in the present version", async || {
        let due = read(client, name).await;
        match due.map_err(|error| error.to_string())? {
            None => Ok(()),
            Some(due) => {
                let migrated = migrate(client, name, &due).await;
                migrated.map_err(|error| error.to_string())?;
                Err(format!("{due:?}"))
            }
        }
    })
    .await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = definitions.get(name).await.expect("it");
    assert_eq!(stored_versions(&definition), ["v1beta1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sets_that_an_old_cluster_stored_are_stored_anew_as_they_were() {
    let (stage, client, _turn) = Stage::turn().await;
    let _served = Served::start(stage, &client).await;
    store(&client, door::DEFINITION, "v1alpha1").await;
    create(&client, 20).await;
    store(&client, door::DEFINITION, "v1beta1").await;
    let before = sets(&client, "v1beta1").list(&ListParams::default()).await;
    let before = before.expect("sets").items;
    assert_eq!(before.len(), 20);

    migrated(&client, door::DEFINITION).await;
    let after = sets(&client, "v1beta1").list(&ListParams::default()).await;
    for (before, after) in before.iter().zip(&after.expect("sets").items) {
        assert_eq!((before.uid(), &before.data), (after.uid(), &after.data));
        assert_eq!(before.metadata.generation, after.metadata.generation);
    }
    clear(&client).await;
}
