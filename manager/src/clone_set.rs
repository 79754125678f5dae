//! One pass over one CloneSet: snapshot, plan, perform, report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use apis::{CloneSetStatus, FieldError};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Api, Resource, ResourceExt};
use planner::status::{self as report, Outcome};
use planner::{Claim, Effect, Node, Plan, Pod, Snapshot};
use tokio::time::Instant;

use crate::cache::Key;
use crate::checked::checked;
use crate::controller::{CachedSet, Controller};
use crate::holds::CREATION;
use crate::worker::{Pass, until};

mod writes;

impl Controller {
    /// Brings the set `key` one step further. Also tells how long the thinking took.
    pub(crate) async fn pass(self: &Arc<Self>, key: &Key) -> (Pass, Duration) {
        let mut thought = Duration::ZERO;
        loop {
            let Some(set) = self.sets.get(&key.namespace, &key.name) else {
                self.forget(key);
                return (Pass::Settled(None), thought);
            };
            let started = Instant::now();
            let old = set
                .0
                .as_ref()
                .ok()
                .and_then(|set| set.status.clone())
                .unwrap_or_default();
            let snapshot = match self.snapshot(key, &set) {
                Ok(snapshot) => snapshot,
                Err(errors) => {
                    return (self.refuse(key, &set, &old, &errors).await, thought);
                }
            };
            let plan = self.plan(key, &snapshot);
            thought += started.elapsed();
            if let Err(error) = plan.check() {
                tracing::error!(%key, %error, "the planner broke its budget: this is a bug");
                return (Pass::Failed, thought);
            }
            if snapshot.in_flight.is_empty() || plan.effects.iter().all(Effect::is_step) {
                return (
                    self.carry_out(key, (&set, &old), &snapshot, plan).await,
                    thought,
                );
            }
            // Something is to be made or removed: that is decided from a view with no gaps in it.
            // Only this pass begins writes of the set, so the next round finds none under way.
            self.flights.at_most(key, 0).await;
        }
    }

    fn forget(&self, key: &Key) {
        self.holds.lock().forget(key);
        self.reporter.forget(key);
        self.memos.lock().remove(key);
        self.metrics.forget_set(&key.namespace, &key.name);
    }

    /// Decides, or remembers what was decided. A key is worked on by one worker at a time, so
    /// nobody else asks for its memo meanwhile.
    fn plan(&self, key: &Key, snapshot: &Snapshot) -> Arc<Plan> {
        let mut memo = self.memos.lock().remove(key).unwrap_or_default();
        let plan = memo.plan(snapshot);
        self.memos.lock().insert(key.clone(), memo);
        plan
    }

    /// Everything a decision may look at, read once.
    fn snapshot(&self, key: &Key, set: &CachedSet) -> Result<Snapshot, Vec<FieldError>> {
        let set = checked(set)?;
        let uid = set.object().uid().unwrap_or_default();
        // Before the caches: what ends in between is in them already.
        let in_flight = self.flights.of(key);
        let pods = self.pods.owned(&uid);
        Ok(Snapshot {
            now: Timestamp::now(),
            nodes: self.nodes_of(&set.template, &pods),
            claims: self.claims_of(key, &uid, &pods),
            set,
            pods,
            orphans: self.pods.orphans(&key.namespace),
            revisions: self.revisions.owned(&uid),
            orphan_revisions: self.revisions.orphans(&key.namespace),
            held: self.holds.lock().held(key).0,
            effects_max: self.effects_max.saturating_sub(in_flight.len()),
            in_flight,
        })
    }

    /// The claims of the set, those that its Pods were given, and those of other people that its
    /// Pods wait for.
    fn claims_of(&self, key: &Key, set: &str, pods: &[Arc<Pod>]) -> Vec<Arc<Claim>> {
        if self.claims.is_empty() {
            return Vec::new();
        }
        let owners = std::iter::once(set).chain(pods.iter().map(|pod| pod.uid()));
        let mut claims = self.claims.owned_by_any(owners);
        let awaited = pods.iter().flat_map(|pod| pod.awaited_claims());
        let awaited: Vec<_> = awaited
            .filter_map(|(_, name)| self.claims.get(&key.namespace, name))
            .collect();
        if !awaited.is_empty() {
            claims.extend(awaited);
            claims.sort_unstable_by(|a, b| a.name().cmp(b.name()));
            claims.dedup_by(|a, b| a.name() == b.name());
        }
        claims
    }

    /// The nodes of `pods`, where it matters what is known of them.
    fn nodes_of(&self, template: &serde_json::Value, pods: &[Arc<Pod>]) -> Vec<Arc<Node>> {
        if !planner::order::spread::needs_nodes(template) {
            return Vec::new();
        }
        let names = pods.iter().filter_map(|p| p.spec.node_name.as_deref());
        let names: BTreeSet<&str> = names.collect();
        let known = names.iter().filter_map(|name| self.nodes.get("", name));
        known.collect()
    }

    /// The spec makes no sense: nothing is done, and the status says what to mend.
    async fn refuse(
        &self,
        key: &Key,
        set: &CachedSet,
        old: &CloneSetStatus,
        errors: &[FieldError],
    ) -> Pass {
        let generation = set.meta().generation.unwrap_or_default();
        let status = report::invalid(old, generation, errors, Timestamp::now());
        if *old != status {
            tracing::warn!(%key, error = %errors[0], count = errors.len(), "the spec is refused");
        }
        self.report(key, set, old, &status).await
    }

    async fn carry_out(
        self: &Arc<Self>,
        key: &Key,
        (set, old): (&CachedSet, &CloneSetStatus),
        snapshot: &Snapshot,
        mut plan: Arc<Plan>,
    ) -> Pass {
        // A plan that is remembered, and so shared, has no effects.
        let effects = Arc::get_mut(&mut plan).map(|plan| std::mem::take(&mut plan.effects));
        let effects = effects.unwrap_or_default();
        let Plan {
            status,
            wake_at,
            pods,
            ..
        } = &*plan;
        self.count_reasons(key, pods.iter().map(|(_, reason)| reason.as_str()));
        for (place, reason) in pods {
            let pod = &snapshot.pods[*place];
            tracing::debug!(%key, pod = pod.name(), reason = reason.as_str(), detail = %reason, "Pod");
        }
        let effects = self.allowed(key, effects);
        let is_stale = if effects.iter().all(Effect::is_step) {
            self.launch(key, set, effects);
            self.wait_for_half(key).await;
            false
        } else {
            self.perform(key, set, effects).await
        };
        let generation = set.meta().generation.unwrap_or_default();
        let outcome = self.outcome(key);
        let status = report::with_outcome(status.clone(), &outcome, generation, Timestamp::now());
        let reported = self.report(key, set, old, &status).await;
        let wake = wake_at
            .map(until)
            .into_iter()
            .chain(self.holds.lock().held(key).1)
            .min();
        match reported {
            Pass::Settled(_) if is_stale => Pass::Stale,
            Pass::Settled(again) => Pass::Settled([wake, again].into_iter().flatten().min()),
            other => other,
        }
    }

    /// Leaves out creations while the server refuses them: a quota is not a reason to ask again
    /// with every event.
    fn allowed(&self, key: &Key, mut effects: Vec<Effect>) -> Vec<Effect> {
        if self.holds.lock().held(key).0.contains_key(CREATION) {
            effects.retain(|effect| !effect.is_creation());
        }
        effects
    }

    /// What is held was not tried in this pass, and has not succeeded either.
    fn outcome(&self, key: &Key) -> Outcome {
        Outcome::of(self.holds.lock().held(key).0)
    }

    async fn report(
        &self,
        key: &Key,
        set: &CachedSet,
        old: &CloneSetStatus,
        status: &CloneSetStatus,
    ) -> Pass {
        let api: Api<CachedSet> = Api::namespaced(self.client.clone(), &key.namespace);
        let statuses = (old, status);
        self.reporter.report(key, (&api, set), statuses).await
    }

    fn count_reasons(&self, key: &Key, reasons: impl Iterator<Item = &'static str>) {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for reason in reasons {
            *counts.entry(reason).or_default() += 1;
        }
        let counts: Vec<_> = counts.into_iter().collect();
        self.metrics
            .set_pods_by_reason(&key.namespace, &key.name, &counts);
    }
}

pub(crate) fn about(set: &CachedSet) -> ObjectReference {
    ObjectReference {
        api_version: Some("apps.kruise.io/v1beta1".into()),
        kind: Some("CloneSet".into()),
        name: set.meta().name.clone(),
        namespace: set.meta().namespace.clone(),
        uid: set.meta().uid.clone(),
        resource_version: set.meta().resource_version.clone(),
        ..ObjectReference::default()
    }
}
