//! A new Pod: its name and its body.

use std::collections::{BTreeSet, VecDeque};

use apis::names;
use apis::validation::clone_set::ClaimTemplate;
use serde_json::{Map, Value, json};

use super::claims::Claims;
use crate::lifecycle::Hooks;
use crate::revision::{FNV_SEED, encode, fnv1a};
use crate::{Revision, Snapshot, ownership};

/// Instance ids that no Pod of the set has.
///
/// Derived from the set's UID and the UIDs of the Pods that were seen: deciding twice from one
/// view gives the same names, so a create whose reply was lost meets "already exists" when it is
/// repeated; and once anything was seen to change, names are fresh, so that a new Pod does not go
/// by the name of one that was deleted.
pub(super) struct Ids {
    /// Hash of those UIDs.
    seed: u32,
    taken: BTreeSet<String>,
    /// Ids whose claims have no Pod: used before new ones are drawn.
    free: VecDeque<String>,
    count: u32,
}

impl Ids {
    pub(super) fn new(s: &Snapshot, claims: &Claims<'_>) -> Self {
        let mut uids: Vec<_> = s.pods.iter().map(|p| p.uid()).collect();
        uids.sort_unstable();
        let taken = s
            .pods
            .iter()
            .chain(&s.orphans)
            .map(|p| p.name().to_owned())
            // A name that is listed for deletion would be deleted as soon as it is made.
            .chain(s.set.pods_to_delete.iter().cloned())
            .collect();
        Self {
            seed: fnv1a(FNV_SEED, format!("{}/{}", s.uid(), uids.join("/")).bytes()),
            taken,
            free: VecDeque::new(),
            count: 0,
        }
        .within(s.name())
        .with_claims(claims)
    }

    /// Ids with claims are used up first, and never drawn anew.
    fn with_claims(mut self, claims: &Claims<'_>) -> Self {
        let free = claims.free().map(|(id, _)| id);
        let free = free.filter(|id| !self.taken.contains(*id));
        self.free = free.map(str::to_owned).collect();
        self.taken.extend(claims.ids().map(str::to_owned));
        self
    }

    /// Keeps only the ids of names of this set.
    fn within(mut self, set: &str) -> Self {
        let prefix = format!("{set}-");
        self.taken = self
            .taken
            .iter()
            .filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned))
            .collect();
        self
    }

    pub(super) fn next_id(&mut self) -> String {
        if let Some(id) = self.free.pop_front() {
            return id;
        }
        loop {
            let count = self.count.to_string();
            self.count += 1;
            let id = encode(fnv1a(self.seed, count.bytes()), 5);
            if self.taken.insert(id.clone()) {
                return id;
            }
        }
    }
}

/// Name and body of a Pod of `revision` with instance id `id`: the raw template, our labels, our
/// owner reference and our readiness gate.
pub(super) fn pod_body(s: &Snapshot, revision: &Revision, id: &str) -> (String, Value) {
    let name = format!("{}-{id}", s.name());
    let template = &revision.template;
    let mut metadata = template
        .get("metadata")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    metadata.retain(|key, _| ["labels", "annotations", "finalizers"].contains(&key.as_str()));
    metadata.insert("name".into(), name.clone().into());
    metadata.insert("namespace".into(), s.namespace().into());
    metadata.insert(
        "ownerReferences".into(),
        json!([ownership::owner_reference(s)]),
    );
    let labels = metadata
        .entry("labels")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert(names::REVISION_LABEL.into(), revision.name().into());
        labels.insert(names::TEMPLATE_HASH_LABEL.into(), revision.hash().into());
        labels.insert(names::INSTANCE_ID_LABEL.into(), id.into());
        let state = Hooks::of(&s.set.lifecycle).first_state();
        labels.insert(names::LIFECYCLE_STATE_LABEL.into(), state.as_str().into());
    }
    let mut spec = template.get("spec").cloned().unwrap_or_default();
    add_gate(&mut spec);
    mount_claims(s, &mut spec, id);
    let body = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    (name, body)
}

fn add_gate(spec: &mut Value) {
    let Some(spec) = spec.as_object_mut() else {
        return;
    };
    let gates = spec.entry("readinessGates").or_insert(Value::Null);
    if gates.is_null() {
        *gates = json!([]);
    }
    let Some(gates) = gates.as_array_mut() else {
        return;
    };
    let gate = json!({"conditionType": names::IN_PLACE_READY_CONDITION});
    if !gates.contains(&gate) {
        gates.push(gate);
    }
}

/// The claims that instance `id` needs: name and body of each.
pub(super) fn claim_bodies(s: &Snapshot, id: &str) -> Vec<(String, Value)> {
    let body = |template| (claim_name(s, template, id), claim_body(s, template, id));
    s.set.claims.iter().map(body).collect()
}

/// The claim of instance `id` by `template`.
pub(super) fn claim_body(s: &Snapshot, template: &ClaimTemplate, id: &str) -> Value {
    let given = template.body.get("metadata");
    let given = given.and_then(Value::as_object).cloned();
    let mut metadata = given.unwrap_or_default();
    metadata.retain(|key, _| ["labels", "annotations"].contains(&key.as_str()));
    metadata.insert("name".into(), claim_name(s, template, id).into());
    metadata.insert("namespace".into(), s.namespace().into());
    let owner = json!([ownership::owner_reference(s)]);
    metadata.insert("ownerReferences".into(), owner);
    let labels = metadata
        .entry("labels")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(labels) = labels.as_object_mut() {
        let selector = &s.set.object().spec.selector.match_labels;
        for (key, value) in selector.iter().flatten() {
            labels.insert(key.clone(), value.clone().into());
        }
        labels.insert(names::INSTANCE_ID_LABEL.into(), id.into());
    }
    let spec = template.body.get("spec").cloned().unwrap_or_default();
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
}

pub(super) fn claim_name(s: &Snapshot, template: &ClaimTemplate, id: &str) -> String {
    format!("{}-{}-{id}", template.name, s.name())
}

/// Every claim is the volume of its template's name, whatever the Pod template says of that.
fn mount_claims(s: &Snapshot, spec: &mut Value, id: &str) {
    let Some(spec) = spec.as_object_mut().filter(|_| !s.set.claims.is_empty()) else {
        return;
    };
    let volumes = spec.entry("volumes").or_insert(Value::Null);
    if volumes.is_null() {
        *volumes = json!([]);
    }
    let Some(volumes) = volumes.as_array_mut() else {
        return;
    };
    for template in &s.set.claims {
        volumes.retain(|volume| volume.get("name").and_then(Value::as_str) != Some(&template.name));
        let claim = json!({"claimName": claim_name(s, template, id)});
        volumes.push(json!({"name": template.name, "persistentVolumeClaim": claim}));
    }
}
