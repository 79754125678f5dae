//! Whatever is taken away comes back, once.

use std::time::Duration;

use harness::door::{CONFIGURATION, NAMESPACE};
use harness::holds_for;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use webhook::certs::Lifetimes;

use crate::stage::{Replica, SECRET, Stage, all_believed, secret};

/// So many replicas at once: more than anybody runs.
const REPLICAS: usize = 4;

fn replicas(client: &Client) -> Vec<Replica> {
    let start = || Replica::start(client, Lifetimes::default());
    std::iter::repeat_with(start).take(REPLICAS).collect()
}

fn secrets(client: &Client) -> Api<Secret> {
    Api::namespaced(client.clone(), NAMESPACE)
}

fn configurations(client: &Client) -> Api<ValidatingWebhookConfiguration> {
    Api::all(client.clone())
}

/// The configuration without what the webhook fills in, and without the API server's notes.
fn without_bundles(configuration: &ValidatingWebhookConfiguration) -> Value {
    let mut value = serde_json::to_value(configuration).expect("JSON");
    value["metadata"] = json!({"labels": value["metadata"]["labels"]});
    for webhook in value["webhooks"].as_array_mut().expect("webhooks") {
        let config = webhook["clientConfig"].as_object_mut().expect("a config");
        config.remove("caBundle");
    }
    value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_at_once_agree_on_one_certificate_and_rest() {
    let (stage, client, _turn) = Stage::turn().await;
    let shipped = configurations(&client).get(CONFIGURATION).await.unwrap();
    let offset = stage.cluster.audit().map(|audit| audit.offset());
    let replicas = replicas(&client);
    all_believed(&client, &replicas).await;
    let first = secret(&client).await.unwrap();
    let published = configurations(&client).get(CONFIGURATION).await.unwrap();
    assert_eq!(without_bundles(&published), without_bundles(&shipped));
    let versions = async || {
        let secret = secret(&client).await.and_then(|s| s.resource_version());
        let configuration = configurations(&client).get(CONFIGURATION).await;
        (secret, configuration.map(|c| c.resource_version()).ok())
    };
    let before = versions().await;
    holds_for("nothing is written", Duration::from_secs(5), async || {
        let now = versions().await;
        if now == before {
            Ok(())
        } else {
            Err(format!("{before:?} became {now:?}"))
        }
    })
    .await;
    assert_eq!(
        first.metadata.uid,
        secret(&client).await.unwrap().metadata.uid
    );
    let Ok(offset) = offset else { return };
    let requests = stage.cluster.audit().unwrap().requests_since(offset);
    let created = requests.unwrap().into_iter();
    let created = created.filter(|r| r.resource == "secrets" && r.verb == "create");
    let made = created.filter(|r| r.code == 201).count();
    assert_eq!(made, 1, "one Secret is made, by one replica");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_secret_is_made_anew_and_everybody_is_believed_again() {
    let (_stage, client, _turn) = Stage::turn().await;
    let replicas = replicas(&client);
    let before = all_believed(&client, &replicas).await;
    secrets(&client)
        .delete(SECRET, &DeleteParams::default())
        .await
        .expect("a deletion");
    crate::stage::until_other(&client, &before).await;
    let after = all_believed(&client, &replicas).await;
    assert_ne!(before, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_damaged_in_the_secret_is_mended() {
    let (_stage, client, _turn) = Stage::turn().await;
    let replicas = replicas(&client);
    for key in ["tls.key", "ca.crt", "tls.crt", "ca.key"] {
        all_believed(&client, &replicas).await;
        let mut damaged = secret(&client).await.expect("a Secret");
        let data = damaged.data.as_mut().expect("data");
        data.insert(key.to_owned(), ByteString(b"nonsense".to_vec()));
        let damaged = secrets(&client)
            .replace(SECRET, &PostParams::default(), &damaged)
            .await
            .expect("a damaged Secret");
        crate::stage::rewritten(&client, &damaged).await;
    }
    all_believed(&client, &replicas).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_bundle_is_filled_again() {
    let (_stage, client, _turn) = Stage::turn().await;
    let replicas = replicas(&client);
    let leaf = all_believed(&client, &replicas).await;
    let empty = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]);
    let empty: Patch<Value> = Patch::Json(serde_json::from_value(empty).unwrap());
    configurations(&client)
        .patch(CONFIGURATION, &PatchParams::default(), &empty)
        .await
        .expect("an emptied bundle");
    assert_eq!(all_believed(&client, &replicas).await, leaf, "it was good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_is_deleted_and_applied_again_is_filled() {
    let (stage, client, _turn) = Stage::turn().await;
    let replicas = replicas(&client);
    let leaf = all_believed(&client, &replicas).await;
    configurations(&client)
        .delete(CONFIGURATION, &DeleteParams::default())
        .await
        .expect("a deletion");
    stage.register();
    assert_eq!(all_believed(&client, &replicas).await, leaf, "it was good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apply_of_what_is_shipped_leaves_the_bundle_alone() {
    let (stage, client, _turn) = Stage::turn().await;
    let replicas = replicas(&client);
    all_believed(&client, &replicas).await;
    let before = configurations(&client).get(CONFIGURATION).await.unwrap();
    stage.register();
    let after = configurations(&client).get(CONFIGURATION).await.unwrap();
    assert_eq!(before.webhooks, after.webhooks);
}
