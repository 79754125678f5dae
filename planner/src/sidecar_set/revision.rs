//! Revisions of a SidecarSet: what it gave to Pods at other times. OpenKruise's data and labels, so
//! that sets that are pinned to one find it, whoever wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apis::names;
use apis::sidecar_set::REVISION_FIELDS;
use apis::validation::sidecar_set::PinnedTo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Snapshot;
use crate::effect::{Effect, Target};
use crate::revision::{self, Owner, Recorded, Wanted, written};
use crate::template::canonical;

/// A `ControllerRevision` of a SidecarSet, decoded together with what it stores.
#[derive(kube::Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[resource(inherit = k8s_openapi::api::apps::v1::ControllerRevision)]
#[serde(from = "Wire", into = "Wire")]
pub struct Revision {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Rises with every change; what returns is given a new number.
    pub number: i64,
    /// What is stored.
    pub stored: Value,
    /// The same in canonical form: what equality is judged by.
    pub canonical: Value,
    /// Images by the names of their containers.
    pub images: BTreeMap<String, String>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Wire {
    #[serde(deserialize_with = "crate::metadata::slim")]
    metadata: ObjectMeta,
    #[serde(default)]
    revision: i64,
    #[serde(default)]
    data: Value,
}

impl From<Wire> for Revision {
    fn from(mut wire: Wire) -> Self {
        let stored = wire.data.get_mut("spec").map(Value::take);
        Self::new(wire.metadata, wire.revision, &stored.unwrap_or_default())
    }
}

impl From<Revision> for Wire {
    fn from(revision: Revision) -> Self {
        let data = data(&revision.stored);
        Self {
            metadata: revision.metadata,
            revision: revision.number,
            data,
        }
    }
}

impl Revision {
    /// A revision that holds what is stored of `spec`.
    pub fn new(metadata: ObjectMeta, number: i64, spec: &Value) -> Self {
        let stored = stored(spec);
        Self {
            metadata,
            number,
            canonical: canonical(&stored),
            images: images(&stored),
            stored,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Name of the set it belongs to.
    pub fn set(&self) -> Option<&str> {
        self.label(names::SIDECAR_SET_LABEL)
    }

    /// The hash of its containers, if it says so.
    pub(super) fn hash(&self) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref();
        let hash = annotations.and_then(|all| all.get(names::SIDECAR_HASH_ANNOTATION));
        hash.map(String::as_str)
    }

    fn label(&self, key: &str) -> Option<&str> {
        let labels = self.metadata.labels.as_ref();
        labels.and_then(|all| all.get(key)).map(String::as_str)
    }
}

/// What is stored of `spec`. What is empty is left out.
fn stored(spec: &Value) -> Value {
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let fields = REVISION_FIELDS.into_iter().filter_map(|field| {
        let value = spec.get(field).filter(|value| !is_empty(value))?;
        Some((field.to_owned(), value.clone()))
    });
    Value::Object(fields.collect())
}

fn images(stored: &Value) -> BTreeMap<String, String> {
    let lists = ["containers", "initContainers"].map(|list| stored.get(list));
    let containers = lists.into_iter().flatten().filter_map(Value::as_array);
    let text = |container: &Value, key: &str| Some(container.get(key)?.as_str()?.to_owned());
    containers
        .flatten()
        .filter_map(|container| Some((text(container, "name")?, text(container, "image")?)))
        .collect()
}

fn data(stored: &Value) -> Value {
    let mut spec = Map::from_iter([("$patch".to_owned(), json!("replace"))]);
    // All of them are said: who restores a revision takes away what it does not have.
    for field in REVISION_FIELDS {
        let value = stored.get(field).cloned();
        spec.insert(field.to_owned(), value.unwrap_or_default());
    }
    json!({"spec": spec})
}

impl Recorded for Revision {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn number(&self) -> i64 {
        self.number
    }

    fn canonical(&self) -> &Value {
        &self.canonical
    }
}

/// Finds the revision of the spec, or says how to make it.
pub(super) fn wanted(s: &Snapshot) -> Wanted<Revision> {
    // Texts, numbers and lists can always be written.
    let spec = serde_json::to_value(&s.set.object().spec).unwrap_or_default();
    let stored = stored(&spec);
    let owner = Owner {
        uid: s.uid(),
        generation: s.generation(),
        name: &s.set.name,
        collisions: s.old_status().collision_count.unwrap_or_default(),
    };
    let target = canonical(&stored);
    revision::find(&owner, &s.revisions, &target, |name, number| {
        body(s, name, number, &stored)
    })
}

fn body(s: &Snapshot, name: &str, number: i64, stored: &Value) -> Value {
    let metadata = &s.set.object().metadata;
    let mut labels = metadata.labels.clone().unwrap_or_default();
    let hash = name.rsplit('-').next().unwrap_or_default();
    labels.insert(names::SIDECAR_SET_LABEL.into(), s.set.name.clone());
    labels.insert(names::REVISION_HASH_LABEL.into(), hash.into());
    match &s.set.custom_version {
        Some(version) => labels.insert(names::CUSTOM_VERSION_LABEL.into(), version.clone()),
        None => labels.remove(names::CUSTOM_VERSION_LABEL),
    };
    json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": s.revision_namespace,
            "labels": labels,
            "annotations": {
                names::WRITTEN_FOR_ANNOTATION: written(s.uid(), s.generation()),
                names::SIDECAR_HASH_ANNOTATION: s.set.hash,
                names::SIDECAR_HASH_WITHOUT_IMAGE_ANNOTATION: s.set.hash_without_image,
            },
            "ownerReferences": [{
                "apiVersion": "apps.kruise.io/v1beta1",
                "kind": "SidecarSet",
                "name": s.set.name,
                "uid": s.uid(),
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "revision": number,
        "data": data(stored),
    })
}

/// Has `newest` carry the name that the spec gives it.
pub(super) fn name(s: &Snapshot, newest: &Revision) -> Option<Effect> {
    let version = s.set.custom_version.as_deref();
    let has = newest.label(names::CUSTOM_VERSION_LABEL);
    (version.is_some() && version != has).then(|| Effect::NameRevision {
        target: Target::of(&newest.metadata),
        version: version.unwrap_or_default().to_owned(),
    })
}

/// Deletes the oldest revisions that nobody uses beyond `revisionHistoryLimit`. `in_use` finds those
/// that Pods remember: it reads all of their records, and mostly there is nothing to forget.
pub(super) fn forget(
    s: &Snapshot,
    newest: &str,
    in_use: impl FnOnce() -> BTreeSet<String>,
) -> Vec<Effect> {
    let pinned = pinned(s);
    let is_unused = |r: &&Arc<Revision>| r.name() != newest && pinned != Some(r.name());
    let going = |r: &&Arc<Revision>| r.metadata.deletion_timestamp.is_none();
    let mut unused: Vec<_> = s.revisions.iter().filter(is_unused).filter(going).collect();
    if unused.len() <= s.set.revision_history_limit {
        return Vec::new();
    }
    let in_use = in_use();
    unused.retain(|r| !in_use.contains(r.name()));
    revision::oldest(unused, s.set.revision_history_limit)
}

/// The revision that new Pods are given.
fn pinned(s: &Snapshot) -> Option<&str> {
    let mut all = s.revisions.iter();
    let found = match &s.set.pinned.as_ref()?.revision {
        PinnedTo::Name(name) => all.find(|r| r.name() == name),
        PinnedTo::CustomVersion(version) => all
            .filter(|r| r.label(names::CUSTOM_VERSION_LABEL) == Some(version))
            .max_by_key(|r| r.number),
    };
    found.map(|r| r.name())
}
