//! A new Pod: its name and its body.

use std::collections::BTreeSet;

use apis::names;
use serde_json::{Map, Value, json};

use crate::lifecycle::Hooks;
use crate::revision::{encode, fnv1a};
use crate::{Revision, Snapshot, ownership};

/// Instance ids that no Pod of the set has.
///
/// Derived from the set's UID and the UIDs of the Pods that were seen: deciding twice from one
/// view gives the same names, so a create whose reply was lost meets "already exists" when it is
/// repeated; and once anything was seen to change, names are fresh, so that a new Pod does not go
/// by the name of one that was deleted.
pub(super) struct Ids {
    seed: String,
    taken: BTreeSet<String>,
    count: u32,
}

impl Ids {
    pub(super) fn new(s: &Snapshot) -> Self {
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
            seed: format!("{}/{}", s.uid(), uids.join("/")),
            taken,
            count: 0,
        }
        .within(s.name())
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
        loop {
            let count = self.count.to_string();
            self.count += 1;
            let id = encode(fnv1a(self.seed.bytes().chain(count.bytes())), 5);
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
