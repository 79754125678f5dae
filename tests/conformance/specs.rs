//! What the CRD's schema refuses is what the checks in Rust refuse, in the same words.

use apis::{CloneSet, Valid};
use harness::eventually;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::ApiResource;
use kube::{Client, CustomResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};

const NEVER: i32 = i32::MAX;

/// Specs that only a rule over several fields can judge; `null` is as good as nothing.
fn specs() -> Vec<Value> {
    let surge = |policy: &str, surge: Value| {
        let rolling = json!({"podUpdatePolicy": policy, "maxSurge": surge});
        json!({"updateStrategy": {"rollingUpdate": rolling}})
    };
    let deadline = |deadline: Value, ready: Value| json!({"progressDeadlineSeconds": deadline, "minReadySeconds": ready});
    let rollback = |on: Value, deadline: Value| {
        let rolling = json!({"rollbackOnDeadline": on});
        json!({"progressDeadlineSeconds": deadline, "updateStrategy": {"rollingUpdate": rolling}})
    };
    let mut specs = vec![
        json!({"updateStrategy": null}),
        json!({"updateStrategy": {"type": null, "rollingUpdate": {"podUpdatePolicy": null}}}),
    ];
    for amount in [json!(0), json!("00%"), json!(null), json!(1), json!("10%")] {
        specs.push(surge("InPlaceOnly", amount.clone()));
        specs.push(surge("ReCreate", amount));
    }
    for (after, ready) in [(5, 4), (5, 5), (0, 0), (NEVER, NEVER)] {
        specs.push(deadline(json!(after), json!(ready)));
    }
    specs.push(deadline(json!(0), json!(null)));
    specs.push(deadline(json!(1), json!(null)));
    specs.push(deadline(json!(null), json!(5)));
    for on in [json!(true), json!(false), json!(null)] {
        for after in [json!(60), json!(NEVER), json!(null)] {
            specs.push(rollback(on.clone(), after));
        }
    }
    specs
}

/// What the checks say: each refused field with its message.
fn refused(object: &Value) -> Vec<(String, String)> {
    let set = CloneSet::deserialize(object).expect("a spec that parses");
    let errors = Valid::new(set).err().map(|(_, errors)| errors);
    let errors = errors.unwrap_or_default().into_iter();
    errors.map(|e| (e.path, e.message)).collect()
}

/// CloneSets, once the API server has them.
pub(crate) async fn served(client: Client) -> Api<DynamicObject> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    match crds.create(&PostParams::default(), &CloneSet::crd()).await {
        Ok(_) => {}
        // Another test was first.
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => panic!("the CRD: {error}"),
    }
    let resource = ApiResource::erase::<CloneSet>(&());
    let sets: Api<DynamicObject> = Api::default_namespaced_with(client, &resource);
    eventually("CloneSets are served", async || {
        sets.list(&kube::api::ListParams::default())
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    sets
}

pub(crate) async fn compare(client: Client) {
    let sets = served(client).await;
    let dry = PostParams {
        dry_run: true,
        ..Default::default()
    };
    let mut verdicts = [0, 0];
    for spec in specs() {
        let mut object = json!({
            "apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
            "metadata": {"name": "web"},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "main", "image": "app:1"}]},
                },
            },
        });
        for (key, value) in spec.as_object().into_iter().flatten() {
            object["spec"][key] = value.clone();
        }
        let sent = serde_json::from_value(object.clone()).expect("an object");
        let told = match sets.create(&dry, &sent).await {
            Ok(_) => Vec::new(),
            Err(kube::Error::Api(status)) => {
                let causes = status.details.into_iter().flat_map(|d| d.causes);
                let cause = |c: kube::core::response::StatusCause| {
                    (c.field, c.message.replace("Invalid value: ", ""))
                };
                causes.map(cause).collect()
            }
            Err(error) => panic!("{spec}: {error}"),
        };
        verdicts[usize::from(told.is_empty())] += 1;
        assert_eq!(told, refused(&object), "{spec}");
    }
    assert!(verdicts.iter().all(|count| *count > 5), "{verdicts:?}");
}
