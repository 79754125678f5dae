//! Claims: who keeps them, who loses them.

use std::collections::BTreeMap;

use model::object::Object;
use model::world::World;
use serde_json::{Value, json};

use super::compare;

/// A set whose Pods have a claim `data` each.
fn with_claims(replicas: u32, rolling: &Value, reuse: bool) -> World {
    let mut world = World::new(replicas, rolling);
    world.edit("a new set", |spec| {
        spec["volumeClaimTemplates"] = json!([{
            "metadata": {"name": "data", "labels": {"tier": "fast"}},
            "spec": {"resources": {"requests": {"storage": "1Gi"}}},
        }]);
        spec["scaleStrategy"] = json!({"enablePVCReuse": reuse});
    });
    world.settle();
    world.writes.clear();
    world.timeline.begin();
    world
}

/// Claims by name, with their UIDs.
fn claims(world: &World) -> BTreeMap<String, Value> {
    let claims = world.server.claims.iter();
    claims
        .map(|(name, claim)| (name.clone(), claim["metadata"]["uid"].clone()))
        .collect()
}

fn pods(world: &World) -> Vec<String> {
    world.server.pods.keys().cloned().collect()
}

/// Every Pod has the claim of its name, and there are no others.
fn assert_paired(world: &World) {
    let wanted: Vec<String> = pods(world)
        .iter()
        .map(|pod| format!("data-{pod}"))
        .collect();
    assert_eq!(claims(world).into_keys().collect::<Vec<_>>(), wanted);
}

fn kill_all(world: &mut World) {
    for name in pods(world) {
        world.server.terminate(&name);
    }
    world.settle();
}

#[test]
fn claims_come_before_their_pods_and_are_their_volumes() {
    let world = with_claims(2, &json!({}), false);
    assert_paired(&world);
    let (name, pod) = world.server.pods.first_key_value().unwrap();
    let id = &pod["metadata"]["labels"]["apps.kruise.io/cloneset-instance-id"];
    let volume =
        json!({"name": "data", "persistentVolumeClaim": {"claimName": format!("data-{name}")}});
    assert_eq!(pod["spec"]["volumes"], json!([volume]));
    let claim = &world.server.claims[&format!("data-{name}")];
    let labels = json!({"app": "web", "tier": "fast", "apps.kruise.io/cloneset-instance-id": id});
    assert_eq!(claim["metadata"]["labels"], labels);
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
}

#[test]
fn claims_recreate_keeps_volumes() {
    let mut world = with_claims(2, &json!({"maxUnavailable": 1}), false);
    let (before, names) = (claims(&world), pods(&world));
    let uids = world.uids();
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 2]);
    assert_eq!(claims(&world), before, "the very same volumes");
    assert_eq!(pods(&world), names, "instances keep their ids");
    assert!(world.uids().iter().all(|uid| !uids.contains(uid)));
    compare(
        &world,
        "claims-recreate-keeps-volumes",
        "Pods are replaced; their claims wait for the Pods that take their places.",
    );
}

#[test]
fn claims_scale_down() {
    let mut world = with_claims(3, &json!({}), true);
    world.edit("replicas 2", |spec| spec["replicas"] = 2.into());
    world.settle();
    world.tick();
    assert_paired(&world);
    let name = pods(&world).remove(0);
    world.edit("podsToDelete", |spec| {
        spec["scaleStrategy"]["podsToDelete"] = json!([name]);
        spec["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = 1.into();
    });
    world.settle();
    world.tick();
    assert_paired(&world);
    assert!(!pods(&world).contains(&name));
    compare(
        &world,
        "claims-scale-down",
        "A Pod that is one too many, or was named, takes its claim with it, also where claims are\n\
         reused.",
    );
}

#[test]
fn with_reuse_pods_that_others_delete_come_back_to_their_claims() {
    let mut world = with_claims(4, &json!({}), true);
    let (before, names) = (claims(&world), pods(&world));
    kill_all(&mut world);
    assert_eq!((claims(&world), pods(&world)), (before.clone(), names));
    world.edit("no reuse", |spec| spec["scaleStrategy"] = json!({}));
    kill_all(&mut world);
    world.tick();
    assert_paired(&world);
    assert_eq!(claims(&world).len(), 4);
    assert!(claims(&world).keys().all(|name| !before.contains_key(name)));
}

#[test]
fn a_partly_present_instance_gets_the_claims_that_it_lacks() {
    let mut world = with_claims(1, &json!({}), true);
    let before = claims(&world);
    world.edit("another claim", |spec| {
        let log = json!({"metadata": {"name": "log"}, "spec": {}});
        spec["volumeClaimTemplates"]
            .as_array_mut()
            .unwrap()
            .push(log);
    });
    assert_eq!(world.plan().effects, [], "changed claims roll nothing");
    kill_all(&mut world);
    let after = claims(&world);
    assert_eq!(after.len(), 2);
    assert!(
        before
            .iter()
            .all(|(name, uid)| after.get(name) == Some(uid))
    );
}

#[test]
fn claims_of_others_are_left_alone() {
    let mut world = with_claims(1, &json!({}), false);
    let foreign = json!({"metadata": {"name": "data-web-zzzzz", "uid": "foreign",
        "labels": {"app": "web", "apps.kruise.io/cloneset-instance-id": "zzzzz"}}});
    world
        .server
        .claims
        .insert("data-web-zzzzz".into(), foreign.into());
    world.edit("replicas 3", |spec| spec["replicas"] = 3.into());
    world.settle();
    assert!(!pods(&world).contains(&"web-zzzzz".to_owned()));
    assert!(world.server.claims.contains_key("data-web-zzzzz"));
}

#[test]
fn a_claim_whose_name_is_taken_makes_another_instance() {
    let mut world = with_claims(1, &json!({}), false);
    world.edit("replicas 2", |spec| spec["replicas"] = 2.into());
    let wanted = world.plan().effects[0].name().to_owned();
    world
        .held
        .insert(planner::claim::held_as(&wanted), "exists".into());
    let chosen = world.plan().effects[0].name().to_owned();
    assert_ne!(chosen, wanted);
    assert!(chosen.starts_with("data-web-"));
}

#[test]
fn an_instance_whose_claim_is_going_is_not_used() {
    let mut world = with_claims(1, &json!({}), true);
    let (claim, pod) = (
        claims(&world).into_keys().next().unwrap(),
        pods(&world).remove(0),
    );
    let going = world.server.claims.get_mut(&claim).unwrap();
    going["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z".into();
    kill_all(&mut world);
    assert!(!pods(&world).contains(&pod));
    assert_eq!(pods(&world).len(), 1);
}

/// Bug: the claims of a Pod that was to be deleted, and then was spared, stayed the Pod's own, and
/// were lost when it was replaced later.
#[test]
fn a_pod_that_is_spared_gives_its_claims_back() {
    let mut world = with_claims(2, &json!({"maxUnavailable": 1}), false);
    let before = claims(&world);
    let owners = |world: &World| -> Vec<Value> {
        let claims = world.server.claims.values();
        let owner = |c: &Object| c["metadata"]["ownerReferences"][0]["kind"].clone();
        claims.map(owner).collect()
    };
    world.edit("replicas 1", |spec| spec["replicas"] = 1.into());
    world.reconcile();
    assert!(owners(&world).contains(&json!("Pod")), "about to go");
    world.edit("replicas 2", |spec| spec["replicas"] = 2.into());
    world.settle();
    assert_eq!(owners(&world), ["CloneSet"; 2]);
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 2]);
    assert_eq!(claims(&world), before, "the very same volumes");
    assert_eq!(world.plan().effects, []);
}

/// Bug: as above, and the template changed before anything was given back.
#[test]
fn a_pod_that_is_spared_is_replaced_only_after_it_gave_its_claims_back() {
    let mut world = with_claims(2, &json!({"maxUnavailable": 2}), false);
    let before = claims(&world);
    world.edit("replicas 0", |spec| spec["replicas"] = 0.into());
    world.reconcile();
    world.edit("replicas 2, another image", |spec| {
        spec["replicas"] = 2.into();
        spec["template"]["spec"]["containers"][0]["image"] = "web:2".into();
    });
    world.settle();
    assert_eq!(world.images(), ["web:2"; 2]);
    assert_eq!(claims(&world), before, "the very same volumes");
}
