//! What a Pod remembers of its injection, so that a second one changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use apis::names;
use apis::sidecar_set::record::{Entries, Entry, parse, parse_list, write};
use apis::validation::sidecar_set::Effective;

use crate::pod::Pod;

/// What was injected, set by set.
pub(crate) struct Record {
    hashes: Entries,
    hashes_without_image: Entries,
    sets: BTreeSet<String>,
    working_twins: BTreeMap<String, String>,
}

impl Record {
    /// What the Pod says.
    ///
    /// # Errors
    /// The annotation that cannot be read.
    pub(crate) fn read(pod: &Pod<'_>) -> Result<Self, &'static str> {
        let entries = |key: &'static str| {
            let text = pod.annotations.get(key).filter(|text| !text.is_empty());
            text.map_or(Ok(Entries::new()), |text| parse(text))
                .map_err(|_| key)
        };
        let key = names::WORKING_TWIN_ANNOTATION;
        let twins = pod.annotations.get(key).filter(|text| !text.is_empty());
        let twins = twins.map_or(Ok(BTreeMap::new()), |text| serde_json::from_str(text));
        let sets = pod.annotations.get(names::SIDECAR_LIST_ANNOTATION);
        Ok(Self {
            hashes: entries(names::SIDECAR_HASH_ANNOTATION)?,
            hashes_without_image: entries(names::SIDECAR_HASH_WITHOUT_IMAGE_ANNOTATION)?,
            sets: sets
                .into_iter()
                .flat_map(|text| parse_list(text))
                .map(str::to_owned)
                .collect(),
            working_twins: twins.map_err(|_| key)?,
        })
    }

    /// The hash of what `set` injected; None if it did not.
    pub(crate) fn hash_of(&self, set: &str) -> Option<&str> {
        let entry = self.hashes.get(set)?;
        self.sets.contains(set).then_some(entry.hash.as_str())
    }

    /// Whether `set` is remembered in the shape of old, without its containers.
    pub(crate) fn is_of_old(&self, set: &str) -> bool {
        let entry = self.hashes.get(set);
        entry.is_some_and(|entry| entry.update_timestamp.is_empty())
    }

    /// Remembers that `set` is injected now.
    pub(crate) fn add(&mut self, set: &Effective, revision: Option<&str>, now: &str) {
        let natives = set.init_containers.iter().filter(|c| c.is_native);
        let containers = natives.chain(&set.containers).map(|c| c.name.clone());
        let list: BTreeSet<String> = containers.collect();
        let entry = |hash: &str, revision: Option<&str>| Entry {
            update_timestamp: now.to_owned(),
            hash: hash.to_owned(),
            sidecar_set_name: set.name.clone(),
            sidecar_list: list.iter().cloned().collect(),
            controller_revision: revision.map(str::to_owned),
        };
        let (with, without) = (&set.hash, &set.hash_without_image);
        self.hashes.insert(set.name.clone(), entry(with, revision));
        self.hashes_without_image
            .insert(set.name.clone(), entry(without, None));
        self.sets.insert(set.name.clone());
    }

    /// Remembers which of the two twins of `sidecar` works.
    pub(crate) fn add_twin(&mut self, sidecar: &str, working: String) {
        self.working_twins.insert(sidecar.to_owned(), working);
    }

    /// Writes it.
    pub(crate) fn write(&self, annotations: &mut BTreeMap<String, String>) {
        let sets: Vec<&str> = self.sets.iter().map(String::as_str).collect();
        let mut put = |key: &str, value: String| annotations.insert(key.to_owned(), value);
        put(names::SIDECAR_HASH_ANNOTATION, write(&self.hashes));
        put(
            names::SIDECAR_HASH_WITHOUT_IMAGE_ANNOTATION,
            write(&self.hashes_without_image),
        );
        put(names::SIDECAR_LIST_ANNOTATION, sets.join(","));
        if !self.working_twins.is_empty() {
            // Texts can always be written.
            let twins = serde_json::to_string(&self.working_twins).unwrap_or_default();
            put(names::WORKING_TWIN_ANNOTATION, twins);
        }
    }
}
