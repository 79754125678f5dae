//! Claims that others delete or make.

use planner::reason::Reason;
use planner::{Effect, claim};

use super::*;

/// A set whose Pods have a claim `data` each, and no node yet.
fn waiting(replicas: u32) -> World {
    let mut world = World::new(replicas, &json!({}));
    world.edit("claims", |spec| {
        spec["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {}}]);
        // A volume that is a claim of many is nobody's to make.
        spec["template"]["spec"]["volumes"] = json!([
            {"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}}]);
    });
    world.server.claims.insert(
        "shared".into(),
        json!({"metadata": {"name": "shared"}}).into(),
    );
    world.kubelet.is_unschedulable = true;
    world.settle();
    world
}

/// Deletes the claim of the first Pod, and waits until it is gone. Returns its name.
fn lose_claim(world: &mut World) -> String {
    let name = format!("data-{}", names(world)[0]);
    world.server.delete_claim(&name);
    world.tick();
    assert!(!world.server.claims.contains_key(&name));
    name
}

fn written(world: &World) -> Vec<String> {
    let effects = world.plan().effects;
    effects
        .iter()
        .map(|effect| effect.name().to_owned())
        .collect()
}

/// Bug: a claim that was deleted before its Pod had started was never made again, and the Pod waited
/// for ever.
#[test]
fn a_claim_that_is_deleted_before_its_pod_has_started_is_made_again() {
    let mut world = waiting(2);
    let name = lose_claim(&mut world);
    assert_eq!(written(&world), [name.as_str()]);
    assert_eq!(reasons(&world), ["WaitingClaim", "NotReady"]);
    world.settle();
    let claim = &world.server.claims[&name];
    assert_eq!(claim["metadata"]["ownerReferences"][0]["uid"], "set-uid");
    world.kubelet.is_unschedulable = false;
    world.settle();
    assert!(world.is_ready());
    assert_eq!(world.server.claims.len(), 3, "one each, and the shared one");
}

#[test]
fn a_claim_that_is_going_is_made_again_when_it_is_gone() {
    let mut world = waiting(1);
    let name = format!("data-{}", names(&world)[0]);
    world.server.delete_claim(&name);
    assert!(world.server.claims.contains_key(&name), "it is protected");
    assert_eq!(written(&world), Vec::<String>::new());
    world.tick();
    assert_eq!(written(&world), [name]);
}

/// Of a Pod that has started Kubernetes keeps the claim, and nobody looks for it.
#[test]
fn the_claim_of_a_pod_that_has_started_is_not_missed() {
    let mut world = waiting(1);
    world.kubelet.is_unschedulable = false;
    world.settle();
    world.server.claims.clear();
    assert_eq!(written(&world), Vec::<String>::new());
}

/// A claim of somebody else by the name that the Pod waits for is enough for the Pod. Nothing is
/// written to it, and nothing tried again and again.
#[test]
fn a_claim_of_somebody_else_is_as_good_for_a_pod_and_stays_theirs() {
    let mut world = waiting(1);
    let name = lose_claim(&mut world);
    let foreign = json!({"metadata": {"name": name, "uid": "foreign", "labels": {"app": "web"}}});
    world
        .server
        .claims
        .insert(name.clone(), foreign.clone().into());
    assert_eq!(written(&world), Vec::<String>::new());
    world.kubelet.is_unschedulable = false;
    world.settle();
    assert!(world.is_ready());
    world.edit("replicas", |spec| spec["replicas"] = 0.into());
    world.settle();
    assert!(world.server.pods.is_empty());
    assert_eq!(*world.server.claims[&name], foreign);
}

/// A refusal, by a quota say, is the reason of that Pod and holds up no other.
#[test]
fn a_claim_that_is_refused_is_the_reason_of_its_pod_alone() {
    let mut world = waiting(2);
    let name = lose_claim(&mut world);
    let error = "exceeded quota: volumes";
    world.held.insert(claim::held_as(&name), error.into());
    let plan = world.plan();
    assert_eq!(plan.effects, []);
    let Reason::WaitingClaim(lost) = &plan.pods[0].1 else {
        panic!("{:?}", plan.pods);
    };
    assert_eq!(lost.error.as_deref(), Some(error));
    world.edit("replicas", |spec| spec["replicas"] = 3.into());
    let plan = world.plan();
    assert!(matches!(
        &plan.effects[..],
        [Effect::CreateClaim { pod: None, .. }]
    ));
}

/// A Pod that is to go needs nothing.
#[test]
fn a_pod_that_is_to_go_gets_no_claim() {
    let mut world = waiting(1);
    world.edit("a hook, which holds", |spec| {
        spec["lifecycle"] = json!({"preDelete": {"labelsHandler": {"app": "web"}}});
    });
    world.settle();
    world.edit("replicas", |spec| spec["replicas"] = 0.into());
    world.settle();
    assert_eq!(names(&world).len(), 1, "held");
    lose_claim(&mut world);
    assert_eq!(written(&world), Vec::<String>::new());
    assert_eq!(reasons(&world), ["WaitingHook"]);
}
