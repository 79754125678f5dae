//! People who take away what Pods stand on: owners, claims, records.

use fastrand::Rng;
use model::kubelet::is_warmer;
use model::server::claims_of;
use planner::effect::{Request, Resource, Verb};
use serde_json::{Value, json};

use crate::judge::is_ours;
use crate::world::World;

/// Somebody takes an owner away, as deleting a set with `--cascade=orphan` does.
pub(crate) fn disown(world: &mut World, rng: &mut Rng) {
    let server = &mut world.server;
    let (resource, objects) = if rng.u32(..3) == 0 {
        (Resource::ControllerRevisions, &server.revisions)
    } else {
        (Resource::Pods, &server.pods)
    };
    let ours = objects.iter().filter(|(_, o)| is_ours(o) && !is_warmer(o));
    let ours: Vec<&String> = ours.map(|(name, _)| name).collect();
    if ours.is_empty() {
        return;
    }
    let name = ours[rng.usize(..ours.len())].clone();
    let request = Request {
        verb: Verb::JsonPatch,
        resource,
        body: json!([{"op": "remove", "path": "/metadata/ownerReferences"}]),
        name: name.clone(),
    };
    let done = server.perform(&request).is_ok();
    world.absorb();
    world.tell(|| format!("OTHERS {name} orphaned by hand: {done}"));
}

/// Somebody deletes a claim, or makes one of a name that we are about to use (one of `due`), or
/// that a Pod waits for.
pub(crate) fn disturb_claims(world: &mut World, due: &[String], rng: &mut Rng) {
    let server = &mut world.server;
    let is_foreign = |claim: &Value| claim["metadata"]["labels"]["foreign"].is_string();
    if rng.u32(..3) > 0 {
        let ours = server.claims.iter().filter(|(_, claim)| !is_foreign(claim));
        let ours: Vec<String> = ours.map(|(name, _)| name.clone()).collect();
        let Some(name) = ours.get(rng.usize(..=ours.len())) else {
            return;
        };
        world.judge.taken.insert(name.clone());
        server.delete_claim(name);
        world.absorb();
        world.tell(|| format!("OTHERS {name} deleted by somebody"));
        return;
    }
    let awaited = server.pods.values().flat_map(|pod| claims_of(pod));
    let names = awaited.chain(due.iter().map(String::as_str));
    let free: Vec<&str> = names
        .filter(|name| !server.claims.contains_key(*name))
        .collect();
    let Some(name) = free.get(rng.usize(..=free.len())) else {
        return;
    };
    let name = (*name).to_owned();
    let body = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "shop", "labels": {"foreign": "yes"}}});
    let request = Request {
        verb: Verb::Create,
        resource: Resource::Claims,
        name: name.clone(),
        body,
    };
    if let Ok(Some(claim)) = server.perform(&request) {
        world.judge.foreign.push(claim);
        // A Pod may be made for a claim that was there when we looked.
        world.judge.taken.insert(name.clone());
    }
    world.absorb();
    world.tell(|| format!("OTHERS {name} is a claim of somebody else"));
}

/// Somebody deletes the record of a template.
pub(crate) fn disturb_records(world: &mut World, rng: &mut Rng) {
    let names: Vec<String> = world.server.revisions.keys().cloned().collect();
    let Some(name) = names.get(rng.usize(..=names.len())) else {
        return;
    };
    world.server.remove(Resource::ControllerRevisions, name);
    world.absorb();
    world.tell(|| format!("OTHERS {name} forgotten by somebody"));
}
