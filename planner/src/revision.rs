//! Revisions: which templates there have been, which one is wanted, which ones may be forgotten.
//!
//! Data has OpenKruise's shape, and equality is semantic, so that sets made by it are taken over
//! without a restart (its hash depends on Go's serializer, ours need not match it).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apis::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::snapshot::Snapshot;
use crate::template::{TemplateView, canonical};
use crate::{Effect, effect};

/// A `ControllerRevision`, decoded together with the template in it.
#[derive(kube::Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[resource(inherit = k8s_openapi::api::apps::v1::ControllerRevision)]
#[serde(from = "Wire", into = "Wire")]
pub struct Revision {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Rises with every change of the template; a template that returns is given a new number.
    pub number: i64,
    /// The raw Pod template.
    pub template: Value,
    /// The same in canonical form: what equality is judged by.
    pub canonical: Value,
    /// What decisions read of it.
    pub view: TemplateView,
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
    fn from(wire: Wire) -> Self {
        let mut data = wire.data;
        let mut template = data
            .pointer_mut("/spec/template")
            .map(Value::take)
            .unwrap_or_default();
        if let Some(map) = template.as_object_mut() {
            map.remove("$patch");
        }
        Self::new(wire.metadata, wire.revision, template)
    }
}

impl From<Revision> for Wire {
    fn from(revision: Revision) -> Self {
        let data = data(&revision.template);
        Self {
            metadata: revision.metadata,
            revision: revision.number,
            data,
        }
    }
}

/// The `data` of a `ControllerRevision` that holds `template`.
fn data(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(map) = template.as_object_mut() {
        map.insert("$patch".into(), "replace".into());
    }
    json!({"spec": {"template": template}})
}

impl Revision {
    /// A revision that holds `template`.
    pub fn new(metadata: ObjectMeta, number: i64, template: Value) -> Self {
        let canonical = canonical(&template);
        let view = TemplateView::new(&template);
        Self {
            metadata,
            number,
            template,
            canonical,
            view,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The last `-` token of its name: what Pods are compared by.
    pub fn hash(&self) -> &str {
        self.name().rsplit('-').next().unwrap_or_default()
    }
}

/// A `ControllerRevision`, whatever it stores.
pub(crate) trait Recorded {
    fn metadata(&self) -> &ObjectMeta;
    fn number(&self) -> i64;
    /// What equality is judged by.
    fn canonical(&self) -> &Value;
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

/// Which revision is wanted.
#[derive(Debug)]
pub(crate) enum Wanted<R = Revision> {
    /// This one, and it has the highest number.
    Is(Arc<R>),
    /// It has to be written first.
    Write {
        effect: Effect,
        /// How often a hash has been taken by something else, this time included.
        collisions: i32,
    },
    /// Another process has seen a later spec than this one, and recorded it.
    Later,
}

/// The set that revisions are of, as far as it is known.
pub(crate) struct Owner<'a> {
    pub(crate) uid: &'a str,
    pub(crate) generation: i64,
    pub(crate) name: &'a str,
    /// Hash collisions recorded so far.
    pub(crate) collisions: i32,
}

/// Finds the revision of the template in the spec, or says how to make it.
///
/// `target` is its canonical form.
pub(crate) fn wanted(s: &Snapshot, target: &Value) -> Wanted {
    let owner = Owner {
        uid: s.uid(),
        generation: s.generation(),
        name: s.name(),
        collisions: collision_count(s),
    };
    find(&owner, &s.revisions, target, |name, number| {
        body(s, name, number)
    })
}

/// Finds the revision of `owner` with the canonical form `target`, or says how to make it: `body`
/// gives the object of a name and a number.
pub(crate) fn find<R: Recorded>(
    owner: &Owner<'_>,
    revisions: &[Arc<R>],
    target: &Value,
    body: impl FnOnce(&str, i64) -> Value,
) -> Wanted<R> {
    let later = |r: &Arc<R>| is_later(r.metadata(), owner.uid, owner.generation);
    if revisions.iter().any(later) {
        return Wanted::Later;
    }
    let newest = revisions.iter().map(|r| r.number()).max();
    let newest = newest.unwrap_or_default();
    let equal = revisions.iter().filter(|r| r.canonical() == target);
    let mut collisions = owner.collisions;
    match equal.max_by_key(|r| r.number()) {
        Some(revision) if revision.number() == newest => Wanted::Is(Arc::clone(revision)),
        Some(revision) => Wanted::Write {
            effect: Effect::RenumberRevision {
                target: effect::Target::of(revision.metadata()),
                number: newest + 1,
                written_for: written(owner.uid, owner.generation),
            },
            collisions,
        },
        None => {
            let names = revisions.iter().map(|r| r.metadata().name.as_deref());
            let taken: BTreeSet<&str> = names.flatten().collect();
            let name = loop {
                let name = format!("{}-{}", cut(owner.name), hash(target, collisions));
                if !taken.contains(name.as_str()) {
                    break name;
                }
                collisions += 1;
            };
            let effect = Effect::CreateRevision {
                body: body(&name, newest + 1),
                name,
            };
            Wanted::Write { effect, collisions }
        }
    }
}

/// Which spec a revision is written for, as it says of itself. Generations of one set only rise, so
/// whoever reads a later one than they know of is behind: two processes may both act for a
/// moment, and the one that is behind must not take the template back or forget its record.
pub(crate) fn written(uid: &str, generation: i64) -> String {
    format!("{uid}/{generation}")
}

/// Whether a revision with `metadata` was written for a later spec than `generation` of the set
/// `uid`.
fn is_later(metadata: &ObjectMeta, uid: &str, generation: i64) -> bool {
    let annotations = metadata.annotations.as_ref();
    let said = annotations.and_then(|all| all.get(names::WRITTEN_FOR_ANNOTATION));
    let of_set = said.and_then(|said| said.strip_prefix(uid)?.strip_prefix('/'));
    let written = of_set.and_then(|generation| generation.parse::<i64>().ok());
    written.is_some_and(|written| written > generation)
}

/// Hash collisions recorded so far.
fn collision_count(s: &Snapshot) -> i32 {
    s.set
        .object()
        .status
        .as_ref()
        .and_then(|status| status.collision_count)
        .unwrap_or_default()
}

/// Room for `-<hash>` within the 253 bytes of a name.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(223);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

fn body(s: &Snapshot, name: &str, number: i64) -> Value {
    let mut labels: BTreeMap<String, String> = TemplateView::new(&s.set.template).labels;
    let hash = name.rsplit('-').next().unwrap_or_default();
    labels.insert(names::REVISION_HASH_LABEL.into(), hash.into());
    json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": s.namespace(),
            "labels": labels,
            "annotations": {names::WRITTEN_FOR_ANNOTATION: written(s.uid(), s.generation())},
            "ownerReferences": [crate::ownership::owner_reference(s)],
        },
        "revision": number,
        "data": data(&s.set.template),
    })
}

/// Letters and digits in which no word offends and none is mistaken for another.
pub(crate) const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// 32 bits of FNV-1a over the canonical template and the collision count, in [`ALPHABET`].
fn hash(canonical: &Value, collisions: i32) -> String {
    let text = canonical.to_string();
    let count = if collisions == 0 {
        String::new()
    } else {
        collisions.to_string()
    };
    encode(fnv1a(FNV_SEED, text.bytes().chain(count.bytes())), 7)
}

/// The hash of nothing.
pub(crate) const FNV_SEED: u32 = 0x811c_9dc5;

/// FNV-1a, 32 bits: the hash of what has the hash `so_far`, followed by `bytes`.
pub(crate) fn fnv1a(so_far: u32, bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(so_far, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

/// `number` in [`ALPHABET`], `digits` long, lowest digit first.
pub(crate) fn encode(mut number: u32, digits: usize) -> String {
    (0..digits)
        .map(|_| {
            let digit = ALPHABET[(number % 27) as usize];
            number /= 27;
            char::from(digit)
        })
        .collect()
}

/// Deletes the oldest revisions that nobody uses beyond `revisionHistoryLimit`.
pub(crate) fn forget(s: &Snapshot, current: &str, update: &str) -> Vec<Effect> {
    let mut unused: Vec<_> = s
        .revisions
        .iter()
        .filter(|r| r.name() != current && r.name() != update)
        .filter(|r| r.metadata.deletion_timestamp.is_none())
        .collect();
    if unused.len() <= s.set.revision_history_limit {
        return Vec::new();
    }
    let in_use: BTreeSet<&str> = s.pods.iter().filter_map(|p| p.revision_hash()).collect();
    unused.retain(|r| !in_use.contains(r.hash()));
    oldest(unused, s.set.revision_history_limit)
}

/// Deletes the oldest of the `unused` revisions beyond `limit`.
pub(crate) fn oldest<R: Recorded>(mut unused: Vec<&Arc<R>>, limit: usize) -> Vec<Effect> {
    unused.sort_by_key(|r| r.number());
    let surplus = unused.len().saturating_sub(limit);
    let oldest = unused.into_iter().take(surplus);
    oldest
        .map(|r| Effect::DeleteRevision {
            target: effect::Target::of(r.metadata()),
        })
        .collect()
}
