use door::{
    client::{self, Client, Http},
    reviews,
    serving::Options,
};
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use webhook::sets::Followed;

use crate::{connect, serving};

async fn asked(client: &mut Client, path: &str, review: &Value) -> Value {
    let answer = client.post(path, reviews::bytes(review)).await.unwrap();
    assert_eq!(answer.code, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn both_paths_answer_over_both_versions_of_http() {
    let serving = serving(Options::default()).await;
    let create = reviews::admission("CREATE", &reviews::set("web"), &Value::Null);
    let convert = reviews::conversion("v1beta1", &[reviews::old_set("web")]);
    for http in [Http::One, Http::Two] {
        let mut client = connect(&serving, http).await;
        let admitted = asked(&mut client, "/validate", &create).await;
        assert_eq!(admitted["response"]["allowed"], true, "{admitted}");
        let converted = asked(&mut client, "/convert", &convert).await;
        assert_eq!(converted["response"]["result"]["status"], "Success");
        let object = &converted["response"]["convertedObjects"][0];
        assert_eq!(object["apiVersion"], "apps.kruise.io/v1beta1");
    }
    for (path, outcome) in [("/validate", "allowed"), ("/convert", "converted")] {
        let line = format!(r#"insitu_webhook_requests_total{{path="{path}",outcome="{outcome}"}}"#);
        assert_eq!(serving.metric(&line), 2, "{line}");
    }
}

#[tokio::test]
async fn a_new_pod_is_injected_and_its_patch_is_counted() {
    let serving = serving(Options {
        objects: vec![
            (Followed::SidecarSets, reviews::sidecar_set("log")),
            (Followed::Namespaces, reviews::namespace()),
        ],
        ..Options::default()
    })
    .await;
    let mut client = connect(&serving, Http::Two).await;
    let answer = asked(&mut client, "/inject", &reviews::injection(&reviews::pod())).await;
    assert_eq!(answer["response"]["allowed"], true, "{answer}");
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    let mut other = reviews::pod();
    other["metadata"]["labels"]["app"] = "other".into();
    let answer = asked(&mut client, "/inject", &reviews::injection(&other)).await;
    assert_eq!(answer["response"].get("patch"), None, "{answer}");
    for outcome in ["injected", "unchanged"] {
        let line =
            format!(r#"insitu_webhook_requests_total{{path="/inject",outcome="{outcome}"}}"#);
        assert_eq!(serving.metric(&line), 1, "{line}");
    }
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_the_newer_one_is_preferred() {
    let serving = serving(Options::default()).await;
    let authority = &serving.authority.certificate;
    let offers: [(&[_], _); 3] = [
        (&[&TLS12], TLS12.version),
        (&[&TLS13], TLS13.version),
        (&[&TLS12, &TLS13], TLS13.version),
    ];
    for (offered, expected) in offers {
        let config = client::versions(authority, None, Http::One, offered).unwrap();
        let stream = client::handshake(serving.address, &config.into()).await;
        let spoken = stream.unwrap().get_ref().1.protocol_version();
        assert_eq!(spoken, Some(expected));
    }
}

#[tokio::test]
async fn what_is_wrong_or_of_an_unknown_kind_is_not_admitted() {
    let serving = serving(Options::default()).await;
    let mut client = connect(&serving, Http::One).await;
    let mut wrong = reviews::set("web");
    wrong["spec"]["replicas"] = json!(-1);
    let wrong = reviews::admission("CREATE", &wrong, &Value::Null);
    let answer = asked(&mut client, "/validate", &wrong).await;
    assert_eq!(answer["response"]["allowed"], false);
    assert_eq!(answer["response"]["status"]["code"], 422);
    let mut other = reviews::admission("CREATE", &reviews::set("web"), &Value::Null);
    other["request"]["kind"]["kind"] = "DaemonSet".into();
    let answer = asked(&mut client, "/validate", &other).await;
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("no rules here for DaemonSet"), "{message}");
}

#[tokio::test]
async fn a_thousand_objects_are_converted_in_one_review() {
    let serving = serving(Options::default()).await;
    let sets: Vec<Value> = (0..1000)
        .map(|n| reviews::old_set(&format!("web-{n}")))
        .collect();
    let review = reviews::conversion("v1beta1", &sets);
    for http in [Http::One, Http::Two] {
        let mut client = connect(&serving, http).await;
        let answer = asked(&mut client, "/convert", &review).await;
        let converted = answer["response"]["convertedObjects"].as_array().unwrap();
        assert_eq!(converted.len(), sets.len());
        assert_eq!(converted[999]["metadata"]["name"], "web-999");
    }
}
