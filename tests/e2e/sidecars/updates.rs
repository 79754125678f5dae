//! Updates of injected containers in place, on a real kubelet.

use std::collections::BTreeMap;
use std::sync::Arc;

use apis::SidecarSet;
use futures::StreamExt;
use harness::shop::{SET, container, identities, image, is_ready, spec};
use harness::{Shop, Stage, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{NEW, apply, doors, has_agent, pod, ready, sidecar_set, until_injected};

pub(super) const NEW_LOG: &str = "docker.io/local/log:v2";

/// The Pods that the set is for, by name.
async fn all(shop: &Shop) -> Vec<Pod> {
    let selected = ListParams::default().labels(&format!("app in ({SET},bare,deployed)"));
    let mut pods = shop.pods.list(&selected).await.expect("Pods").items;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    pods.sort_by_key(ResourceExt::name_any);
    pods
}

pub(super) async fn change(sets: &Api<SidecarSet>, name: &str, spec: &Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    let params = PatchParams::default();
    sets.patch(name, &params, &patch)
        .await
        .expect("a changed set");
}

/// The spec's part with these images.
fn images(agent: &str, native: &str) -> Value {
    json!({
        "containers": [{"name": "agent", "image": agent, "imagePullPolicy": "IfNotPresent",
            "volumeMounts": [{"name": "buffer", "mountPath": "/buffer"}]}],
        "initContainers": [{"name": "native", "image": native,
            "imagePullPolicy": "IfNotPresent", "restartPolicy": "Always"}]})
}

/// Waits until the status speaks of the newest spec and of so many matched and updated Pods.
pub(super) async fn counts(
    sets: &Api<SidecarSet>,
    name: &str,
    matched: i32,
    updated: i32,
) -> SidecarSet {
    eventually("the SidecarSet's counts", async || {
        let set = sets.get(name).await.map_err(|error| error.to_string())?;
        let status = set.status.clone().unwrap_or_default();
        let is_fresh = status.observed_generation == set.metadata.generation;
        let seen = [
            status.matched_pods,
            status.updated_pods,
            status.updated_ready_pods,
            status.ready_pods,
        ];
        let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
        let is_ready = ready.is_some_and(|c| c.status == "True");
        if is_fresh && is_ready && seen == [matched, updated, updated, matched] {
            Ok(set)
        } else {
            Err(format!("{status:#?}"))
        }
    })
    .await
}

/// Of every container of `pod`, which one it is and since when it runs.
pub(super) fn lives(pod: &Pod, names: &[&str]) -> BTreeMap<String, String> {
    let life = |name: &&str| {
        let status = container(pod, name);
        let state = status.state.and_then(|state| state.running);
        let text = format!("{:?} since {:?}", status.container_id, state);
        ((*name).to_owned(), text)
    };
    names.iter().map(life).collect()
}

/// Asserts that in each Pod `changed` has restarted with `to`, and nothing else has.
fn only(before: &[Pod], after: &[Pod], changed: &str, to: &str) {
    assert_eq!(identities(after), identities(before));
    let others: Vec<&str> = ["main", "log", "agent", "native"]
        .into_iter()
        .filter(|name| *name != changed)
        .collect();
    for (before, after) in before.iter().zip(after) {
        let name = after.name_any();
        assert_eq!(image(after, changed), to, "{name}");
        assert_ne!(
            lives(before, &[changed]),
            lives(after, &[changed]),
            "{name}"
        );
        assert_eq!(lives(before, &others), lives(after, &others), "{name}");
        assert_eq!(container(after, changed).restart_count, 1, "{name}");
    }
}

async fn deploy(client: &Client, shop: &Shop) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &shop.namespace);
    let template = &spec(1)["template"]["spec"];
    let object = json!({"metadata": {"name": "deployed"}, "spec": {"replicas": 2,
        "selector": {"matchLabels": {"app": "deployed"}},
        "template": {"metadata": {"labels": {"app": "deployed"}}, "spec": template}}});
    let object = serde_json::from_value(object).expect("a Deployment");
    let created = deployments.create(&PostParams::default(), &object).await;
    created.expect("a created Deployment");
}

/// A canary by number, and one by label. All have the new image, and have the old one in the end.
async fn canaries(shop: &Shop, sets: &Api<SidecarSet>) {
    let (name, old) = (&*shop.namespace, "docker.io/local/log:v1");
    let strategy = json!({"updateStrategy": {"partition": 4}});
    change(sets, name, &strategy).await;
    change(sets, name, &images(old, NEW_LOG)).await;
    counts(sets, name, 5, 1).await;
    let label = json!({"metadata": {"labels": {"canary": "yes"}}});
    let old_ones = all(shop).await.into_iter();
    let still: Vec<String> = old_ones
        .filter(|pod| image(pod, "agent") == NEW_LOG)
        .map(|pod| pod.name_any())
        .collect();
    assert_eq!(still.len(), 4);
    let params = PatchParams::default();
    let labelled = shop
        .pods
        .patch(&still[0], &params, &Patch::Merge(label))
        .await;
    labelled.expect("a labelled Pod");
    let selector = json!({"updateStrategy":
        {"partition": null, "selector": {"matchLabels": {"canary": "yes"}}}});
    change(sets, name, &selector).await;
    counts(sets, name, 5, 2).await;
    let chosen = shop.pods.get(&still[0]).await.expect("the Pod");
    assert_eq!(image(&chosen, "agent"), old);
    change(sets, name, &json!({"updateStrategy": null})).await;
    counts(sets, name, 5, 5).await;
}

/// The condition of the gate and that of readiness.
fn gate_and_ready(pod: &Pod) -> (Option<String>, bool) {
    let conditions = pod.status.clone().unwrap_or_default().conditions;
    let mut all = conditions.into_iter().flatten();
    let gate = all.find(|c| c.type_ == "InPlaceUpdateReady");
    (gate.and_then(|gate| gate.message), is_ready(pod))
}

/// Pods of the CloneSet leave their Services before their sidecar restarts: nobody ever sees one that is
/// Ready with a container that is not the image's any more. Those of others have no gate.
async fn drained(shop: &Shop, sets: &Api<SidecarSet>) {
    let (name, old) = (&*shop.namespace, "docker.io/local/log:v1");
    let before = all(shop).await;
    let ids: BTreeMap<String, Option<String>> = before
        .iter()
        .map(|pod| (pod.name_any(), container(pod, "agent").container_id))
        .collect();
    let seen = Arc::new(Mutex::new((0, 0, 0)));
    let (counted, pods, set) = (Arc::clone(&seen), shop.pods.clone(), name.to_owned());
    let watch = tokio::spawn(async move {
        let config = watcher::Config::default().labels(&format!("app={SET}"));
        let mut events = std::pin::pin!(watcher::watcher(pods, config));
        while let Some(event) = events.next().await {
            let Ok(Event::Apply(pod) | Event::InitApply(pod)) = event else {
                continue;
            };
            let (closer, is_ready) = gate_and_ready(&pod);
            let is_old = ids.get(&pod.name_any()) == Some(&container(&pod, "agent").container_id);
            let mut counted = counted.lock();
            counted.0 += 1;
            counted.1 += usize::from(closer == Some(format!("SidecarSet {set}")));
            counted.2 += usize::from(image(&pod, "agent") == old && is_old && is_ready);
        }
    });
    eventually("the watch sees the Pods", async || {
        (seen.lock().0 > 1)
            .then_some(())
            .ok_or_else(|| "not yet".to_owned())
    })
    .await;
    let strategy = json!({"updateStrategy": {"markPodNotReady": true}});
    change(sets, name, &strategy).await;
    change(sets, name, &images(old, old)).await;
    counts(sets, name, 5, 5).await;
    let (events, closed, harms) = *seen.lock();
    watch.abort();
    assert!(
        closed >= 2,
        "{closed} of {events} events with a closed gate"
    );
    assert_eq!(harms, 0, "of {events} events");
    let after = all(shop).await;
    assert_eq!(identities(&after), identities(&before));
    for pod in &after {
        assert_eq!(gate_and_ready(pod), (None, true));
    }
}

/// A Pod that slips in while the door is closed is counted and named.
async fn slips_in(stage: &Stage, shop: &Shop, sets: &Api<SidecarSet>) {
    let name = &*shop.namespace;
    doors(stage, &shop.client, 0).await;
    until_injected(shop, false).await;
    let made = shop
        .pods
        .create(&PostParams::default(), &pod("without"))
        .await;
    assert!(!has_agent(&made.expect("a Pod")));
    ready(shop, "without").await;
    eventually("the Pod is counted", async || {
        let set = sets.get(name).await.map_err(|error| error.to_string())?;
        let status = set.status.unwrap_or_default();
        (status.uninjected_pods == Some(1))
            .then_some(())
            .ok_or_else(|| format!("{status:?}"))
    })
    .await;
    eventually("an Event names it", async || {
        let args = ["get", "events", "-n", "default", "-o", "json"];
        let events = stage.cluster.kubectl(&args).map_err(|e| e.to_string())?;
        let named = format!("{name}/without");
        (events.contains("NotInjected") && events.contains(&named))
            .then_some(())
            .ok_or(events)
    })
    .await;
    doors(stage, &shop.client, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sidecars_change_in_place_in_pods_of_every_workload() {
    let (stage, client, shop) = crate::shop("updates").await;
    let _alone = stage.alone().await;
    let name = shop.namespace.clone();
    let sets: Api<SidecarSet> = Api::all(client.clone());
    apply(stage, &sidecar_set(&shop));
    until_injected(&shop, true).await;
    shop.create_ready(spec(2)).await;
    deploy(&client, &shop).await;
    let made = shop.pods.create(&PostParams::default(), &pod("bare")).await;
    assert!(has_agent(&made.expect("a Pod")));
    counts(&sets, &name, 5, 5).await;
    let before = all(&shop).await;
    assert_eq!(before.len(), 5);

    let old = "docker.io/local/log:v1";
    change(&sets, &name, &images(NEW_LOG, old)).await;
    let set = counts(&sets, &name, 5, 5).await;
    let after = all(&shop).await;
    only(&before, &after, "agent", NEW_LOG);

    change(&sets, &name, &images(NEW_LOG, NEW_LOG)).await;
    let newer = counts(&sets, &name, 5, 5).await;
    only(&after, &all(&shop).await, "native", NEW_LOG);
    let revision = |set: SidecarSet| set.status.and_then(|status| status.latest_revision);
    let (first, second) = (revision(set), revision(newer));
    assert!(first.is_some() && first != second, "{first:?}, {second:?}");

    canaries(&shop, &sets).await;

    // Both hands at work: the app and its sidecar change at the same time.
    let before = all(&shop).await;
    change(&sets, &name, &images(NEW_LOG, old)).await;
    shop.image(NEW).await;
    shop.ready().await;
    counts(&sets, &name, 5, 5).await;
    let after = all(&shop).await;
    assert_eq!(identities(&after), identities(&before));
    assert!(after.iter().all(|pod| image(pod, "agent") == NEW_LOG));

    drained(&shop, &sets).await;
    slips_in(stage, &shop, &sets).await;
    let delete = ["delete", "sidecarset", &name];
    stage.cluster.kubectl(&delete).expect("a deleted set");
    shop.close().await;
}
