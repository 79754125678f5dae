//! What goes wrong stops within the budget, says why, and heals in place.

use harness::shop::{SELECTOR, condition, container, identities, image, spec};
use harness::{Recorder, Stage};
use kube::ResourceExt;
use serde_json::json;

fn events(stage: &Stage, namespace: &str) -> String {
    let args = [
        "-n",
        namespace,
        "get",
        "events",
        "-o",
        "custom-columns=R:.reason,M:.message",
    ];
    stage.cluster.kubectl(&args).expect("events")
}

#[tokio::test]
async fn a_bad_image_stops_within_the_budget_says_why_and_heals_in_place() {
    let (stage, _client, shop) = crate::shop("bad-image").await;
    let _quiet = stage.share().await;
    let before = shop.create_ready(spec(5)).await;
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;

    shop.image("docker.io/local/app:missing").await;
    let stalled = |s: &apis::CloneSetStatus| condition(s, "Stalled").0 == "True";
    let status = shop
        .status("the set says that it is stalled", stalled)
        .await;
    let (_, reason, message) = condition(&status, "Stalled");
    assert_eq!(reason, "ImagePull");
    assert!(
        message.contains("main") && message.contains("app:missing"),
        "{message}"
    );
    assert_eq!((status.updated_replicas, status.ready_replicas), (1, 4));
    assert_eq!(condition(&status, "Ready").0, "False");
    let told = harness::eventually("an Event tells of it", async || {
        let told = events(stage, &shop.namespace);
        if told.contains("ImagePull") {
            Ok(told)
        } else {
            Err(told)
        }
    });
    told.await;

    shop.image("docker.io/local/app:v1").await;
    let status = shop.ready().await;
    assert_eq!(condition(&status, "Stalled").0, "False");
    assert_eq!(
        identities(&shop.pods().await),
        identities(&before),
        "healed in place"
    );
    assert_eq!(recorder.unavailable_max(5), 1, "the budget was held");
    shop.close().await;
}

#[tokio::test]
async fn a_crashing_image_stops_within_the_budget_and_says_why() {
    let (stage, _client, shop) = crate::shop("crash-loop").await;
    let _quiet = stage.share().await;
    // An app that passes its probe before it dies is available until it does; minReadySeconds is
    // the API's answer to that.
    let mut first = spec(3);
    first["minReadySeconds"] = json!(3);
    let before = shop.create_ready(first).await;
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;
    shop.image("docker.io/local/app:crash").await;
    let stalled = |s: &apis::CloneSetStatus| condition(s, "Stalled").1 == "CrashLoop";
    shop.status("the set says that a container crashes", stalled)
        .await;
    shop.image("docker.io/local/app:v2").await;
    shop.ready().await;
    assert_eq!(identities(&shop.pods().await), identities(&before));
    assert_eq!(recorder.unavailable_max(3), 1);
    shop.close().await;
}

#[tokio::test]
async fn another_tag_of_the_same_digest_completes() {
    let (stage, _client, shop) = crate::shop("same-digest").await;
    let _quiet = stage.share().await;
    let mut first = spec(2);
    first["template"]["spec"]["containers"][0]["image"] = json!("docker.io/local/app:v3");
    let before = shop.create_ready(first).await;
    shop.image("docker.io/local/app:v3b").await;
    shop.ready().await;
    let after = shop.pods().await;
    assert_eq!(identities(&after), identities(&before));
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(image(new, "main"), "docker.io/local/app:v3b");
        assert_eq!(
            container(new, "main").image_id,
            container(old, "main").image_id
        );
        assert_ne!(
            container(new, "main").container_id,
            container(old, "main").container_id
        );
    }
    shop.close().await;
}

#[tokio::test]
async fn in_place_only_refuses_a_changed_env_and_names_the_field() {
    let (stage, _client, shop) = crate::shop("only").await;
    let _quiet = stage.share().await;
    // The webhook lets no such change in; who turns to InPlaceOnly in the middle of one gets here.
    let policy = async |policy: &str, partition: i32| {
        let rolling = json!({"podUpdatePolicy": policy, "partition": partition});
        let change = json!({"updateStrategy": {"rollingUpdate": rolling}});
        shop.change(change).await;
    };
    let before = shop.create_ready(spec(2)).await;
    policy("InPlaceIfPossible", 2).await;
    let env = json!([{"name": "K", "value": "1"}]);
    shop.template("/spec/containers/0/env", env).await;
    policy("InPlaceOnly", 0).await;
    let refused = |s: &apis::CloneSetStatus| condition(s, "Stalled").0 == "True";
    let status = shop.status("the set is stalled", refused).await;
    let (_, reason, message) = condition(&status, "Stalled");
    assert_eq!(reason, "NeedsRecreate");
    assert!(
        message.contains("spec.template.spec.containers[0].env"),
        "{message}"
    );
    assert_eq!(
        identities(&shop.pods().await),
        identities(&before),
        "no Pod was touched"
    );
    policy("InPlaceIfPossible", 2).await;
    shop.template("/spec/containers/0/env", json!([])).await;
    policy("InPlaceOnly", 0).await;
    let status = shop.ready().await;
    assert_eq!(
        condition(&status, "Stalled").0,
        "False",
        "taking the change back heals it"
    );
    assert_eq!(
        identities(&shop.pods().await),
        identities(&before),
        "nor was one then"
    );
    shop.close().await;
}

#[tokio::test]
async fn in_place_if_possible_recreates_for_a_changed_env_and_says_why() {
    let (stage, _client, shop) = crate::shop("possible").await;
    let _quiet = stage.share().await;
    let before = shop.create_ready(spec(2)).await;
    let recorder = Recorder::start(shop.pods.clone(), SELECTOR).await;
    shop.template(
        "/spec/containers/0/env",
        json!([{"name": "K", "value": "1"}]),
    )
    .await;
    shop.ready().await;
    let after = shop.pods().await;
    let old: Vec<_> = before.iter().filter_map(ResourceExt::uid).collect();
    assert!(
        after
            .iter()
            .filter_map(ResourceExt::uid)
            .all(|uid| !old.contains(&uid))
    );
    assert_eq!(recorder.unavailable_max(2), 1, "one at a time");
    harness::eventually("an Event says why", async || {
        let told = events(stage, &shop.namespace);
        let why = "spec.template.spec.containers[0].env cannot change in place";
        if told.contains(why) {
            Ok(())
        } else {
            Err(told)
        }
    })
    .await;
    shop.close().await;
}
