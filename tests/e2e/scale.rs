//! How many Pods there are.

use harness::shop::{condition, container, identities, spec};
use harness::{Shop, eventually};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_scale_adds_and_removes_pods() {
    let (stage, _client, shop) = crate::shop("scale").await;
    let _quiet = stage.share().await;
    shop.create_ready(spec(5)).await;
    for replicas in [8, 3] {
        let count = format!("--replicas={replicas}");
        let args = [
            "-n",
            &shop.namespace,
            "scale",
            "clonesets.apps.kruise.io/web",
            &count,
        ];
        tokio::task::block_in_place(|| stage.cluster.kubectl(&args)).expect("kubectl scale");
        let status = shop.ready().await;
        assert_eq!(status.replicas, replicas);
        has_pods(&shop, usize::try_from(replicas).expect("a count")).await;
    }
    shop.close().await;
}

#[tokio::test]
async fn an_autoscaler_reads_replicas_and_selector_from_the_scale_subresource() {
    let (stage, _client, shop) = crate::shop("hpa").await;
    let _quiet = stage.share().await;
    shop.create_ready(spec(2)).await;
    let scale = shop.sets.get_scale("web").await.expect("/scale");
    assert_eq!(scale.spec.and_then(|s| s.replicas), Some(2));
    let status = scale.status.expect("a status");
    assert_eq!(
        (status.replicas, status.selector.as_deref()),
        (2, Some("app=web"))
    );
    shop.close().await;
}

/// Outside its bounds an autoscaler acts without any metrics.
#[tokio::test]
async fn an_autoscaler_holds_the_set_within_its_bounds() {
    let (stage, client, shop) = crate::shop("autoscaler").await;
    let _quiet = stage.share().await;
    shop.create_ready(spec(1)).await;
    let scalers: Api<HorizontalPodAutoscaler> = Api::namespaced(client, &shop.namespace);
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {"minReplicas": 2, "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 50}}}]}});
    let scaler = serde_json::from_value(scaler).expect("an autoscaler");
    let done = scalers.create(&PostParams::default(), &scaler).await;
    done.expect("a created autoscaler");
    has_pods(&shop, 2).await;
    let bounds = Patch::Merge(json!({"spec": {"minReplicas": 1, "maxReplicas": 1}}));
    let done = scalers.patch("web", &PatchParams::default(), &bounds).await;
    done.expect("a patched autoscaler");
    has_pods(&shop, 1).await;
    shop.close().await;
}

async fn has_pods(shop: &Shop, wanted: usize) {
    eventually("as many Pods as asked", async || {
        let pods = shop.pods().await.len();
        if pods == wanted {
            Ok(())
        } else {
            Err(format!("{pods}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_deleted_pod_comes_back_and_a_deleted_set_takes_its_pods_along() {
    let (stage, _client, shop) = crate::shop("delete").await;
    let _quiet = stage.share().await;
    let before = shop.create_ready(spec(3)).await;
    let victim = before[0].clone();
    shop.pods
        .delete(&victim.name_any(), &DeleteParams::default())
        .await
        .expect("a deletion");
    eventually("another Pod takes its place", async || {
        let pods = shop.pods().await;
        let replaced = pods.len() == 3 && pods.iter().all(|p| p.uid() != victim.uid());
        if replaced && pods.iter().all(harness::shop::is_ready) {
            Ok(())
        } else {
            Err(String::new())
        }
    })
    .await;

    shop.sets
        .delete("web", &DeleteParams::foreground())
        .await
        .expect("a deletion");
    let revisions: kube::Api<k8s_openapi::api::apps::v1::ControllerRevision> =
        kube::Api::namespaced(shop.client.clone(), &shop.namespace);
    eventually("set, Pods and revisions are gone", async || {
        let set = shop
            .sets
            .get_opt("web")
            .await
            .map_err(|e| e.to_string())?
            .is_some();
        let pods = shop
            .pods
            .list(&ListParams::default())
            .await
            .map_err(|e| e.to_string())?;
        let left = revisions
            .list(&ListParams::default())
            .await
            .map_err(|e| e.to_string())?;
        if !set && pods.items.is_empty() && left.items.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "set {set}, {} Pods, {} revisions",
                pods.items.len(),
                left.items.len()
            ))
        }
    })
    .await;
    shop.close().await;
}

#[tokio::test]
async fn pods_without_an_owner_are_adopted_and_pods_that_left_the_selector_released() {
    let (stage, _client, shop) = crate::shop("adopt").await;
    let _quiet = stage.share().await;
    let before = shop.create_ready(spec(2)).await;
    let name = before[0].name_any();
    let patch = kube::api::Patch::Merge(json!({"metadata": {"labels": {"app": "debug"}}}));
    shop.pods
        .patch(&name, &PatchParams::default(), &patch)
        .await
        .expect("a patch");
    eventually("the Pod is released and replaced", async || {
        let pod = shop.pods.get(&name).await.map_err(|e| e.to_string())?;
        let free = pod.owner_references().is_empty();
        let others = shop.pods().await.len();
        if free && others == 2 {
            Ok(())
        } else {
            Err(format!("free {free}, others {others}"))
        }
    })
    .await;
    shop.ready().await;
    let patch = kube::api::Patch::Merge(json!({"metadata": {"labels": {"app": "web"}}}));
    shop.pods
        .patch(&name, &PatchParams::default(), &patch)
        .await
        .expect("a patch");
    eventually("the Pod is adopted, and one too many deleted", async || {
        let pods = shop.pods().await;
        let owned = pods
            .iter()
            .all(|p| p.owner_references().iter().any(|o| o.kind == "CloneSet"));
        if owned && pods.len() == 2 {
            Ok(())
        } else {
            Err(format!("{owned} {}", pods.len()))
        }
    })
    .await;
    shop.close().await;
}

#[tokio::test]
async fn a_spec_that_got_past_the_webhook_is_refused_with_its_path_and_nothing_is_done() {
    let (stage, _client, shop) = crate::shop("refused").await;
    let _alone = stage.alone().await;
    crate::door::unregister(stage);
    let mut bad = spec(2);
    // The schema cannot look into the template, nor compare the items of a list.
    bad["template"]["spec"]["restartPolicy"] = json!("Never");
    let pair = json!({"key": "zone", "value": "a"});
    bad["updateStrategy"]["rollingUpdate"]["scatterStrategy"] = json!([pair, pair]);
    shop.create(bad).await;
    let status = shop
        .status("stalled", |s| condition(s, "Stalled").0 == "True")
        .await;
    let (_, reason, message) = condition(&status, "Stalled");
    assert_eq!(reason, "InvalidSpec");
    for path in [
        "spec.template.spec.restartPolicy",
        "spec.updateStrategy.rollingUpdate.scatterStrategy[1]",
    ] {
        assert!(message.contains(path), "{message}");
    }
    assert!(shop.pods().await.is_empty(), "nothing is done for it");
    shop.template("/spec/restartPolicy", json!("Always")).await;
    shop.rolling("scatterStrategy", json!([pair])).await;
    shop.ready().await;
    assert_eq!(shop.pods().await.len(), 2);
    crate::door::register(stage);
    crate::door::open_again(&shop, "the configuration was applied again").await;
    shop.close().await;
}

#[tokio::test]
async fn a_set_deleted_with_orphan_leaves_its_pods_and_one_made_again_adopts_them() {
    let (stage, _client, shop) = crate::shop("orphan").await;
    let _quiet = stage.share().await;
    let before = shop.create_ready(spec(2)).await;
    shop.sets
        .delete("web", &DeleteParams::orphan())
        .await
        .expect("a deletion");
    eventually("the Pods have no owner", async || {
        let owned = shop
            .pods()
            .await
            .iter()
            .filter(|p| !p.owner_references().is_empty())
            .count();
        let gone = shop
            .sets
            .get_opt("web")
            .await
            .map_err(|e| e.to_string())?
            .is_none();
        (gone && owned == 0)
            .then_some(())
            .ok_or_else(|| format!("{owned} have one"))
    })
    .await;
    shop.create_ready(spec(2)).await;
    let after = shop.pods().await;
    assert_eq!(identities(&after), identities(&before));
    assert!(
        after
            .iter()
            .all(|p| container(p, "main").restart_count == 0)
    );
    assert!(after.iter().all(|p| p.owner_references().len() == 1));

    shop.sets
        .delete("web", &DeleteParams::background())
        .await
        .expect("a deletion");
    eventually("its Pods go with it", async || {
        let left = shop.pods().await.len();
        (left == 0)
            .then_some(())
            .ok_or_else(|| format!("{left} are left"))
    })
    .await;
    shop.close().await;
}
