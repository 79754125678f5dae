//! Everything a decision may look at, read once.

use std::collections::BTreeSet;
use std::sync::Arc;

use apis::FieldError;
use apis::sidecar_set::white_list::{KEY, WhiteList};
use jiff::Timestamp;
use kube::ResourceExt;
use planner::sidecar_set::Snapshot;
use planner::{DisruptionBudget, Pod};

use super::{CachedSet, Controller};
use crate::cache::Key;
use crate::checked::checked;

impl Controller {
    /// Those of `keys` that are known.
    pub(super) fn pods(&self, keys: &BTreeSet<Key>) -> Vec<Arc<Pod>> {
        let pods = keys.iter();
        pods.filter_map(|key| self.parts.pods.get(&key.namespace, &key.name))
            .collect()
    }

    /// Everything a decision may look at, read once.
    pub(super) fn snapshot(&self, key: &Key, set: &CachedSet) -> Result<Snapshot, Vec<FieldError>> {
        let set = checked(set)?;
        let known = self.injected.lock().of(&key.name);
        let (pods, without) = (self.pods(&known.with), self.pods(&known.without));
        let named: BTreeSet<&str> = pods
            .iter()
            .filter_map(|pod| pod.metadata.namespace.as_deref())
            .collect();
        let disruption_budgets = self.disruption_budgets(&named);
        let namespaces = named.into_iter();
        let namespaces = namespaces.map(|name| (name.to_owned(), self.labels(name)));
        let revisions = &self.parts.revisions;
        let mut of_set = revisions.owned(&set.object().uid().unwrap_or_default());
        let orphans = revisions.orphans(&self.parts.namespace).into_iter();
        of_set.extend(orphans.filter(|revision| revision.set() == Some(&*key.name)));
        Ok(Snapshot {
            now: Timestamp::now(),
            namespaces: namespaces.collect(),
            disruption_budgets,
            pods,
            without,
            revisions: of_set,
            revision_namespace: self.parts.namespace.clone(),
            white_list: self.white_list(),
            held: self.holds.lock().held(key).0,
            effects_max: self.parts.effects_max,
            set,
        })
    }

    /// Those of `namespaces`.
    fn disruption_budgets(&self, namespaces: &BTreeSet<&str>) -> Vec<Arc<DisruptionBudget>> {
        let all = &self.parts.disruption_budgets;
        let keys = all.keys().into_iter();
        keys.filter(|key| namespaces.contains(&*key.namespace))
            .filter_map(|key| all.get(&key.namespace, &key.name))
            .collect()
    }

    /// Without one nothing is allowed, and so it is with one that cannot be read: the webhook says so.
    fn white_list(&self) -> WhiteList {
        let maps = &self.parts.white_list;
        let map = maps
            .keys()
            .first()
            .and_then(|k| maps.get(&k.namespace, &k.name));
        let text = map.as_ref().and_then(|map| map.data.as_ref()?.get(KEY));
        let parsed = text.and_then(|text| WhiteList::parse(text).ok());
        parsed.unwrap_or_else(WhiteList::nothing)
    }
}
