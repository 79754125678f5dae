//! One pass over one CloneSet: snapshot, plan, perform, report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use apis::{CloneSet, CloneSetStatus, FieldError, Valid};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use planner::pod::Gate;
use planner::status::{self as report, Outcome};
use planner::{Effect, Node, Plan, Pod, Snapshot};
use tokio::time::Instant;

use crate::cache::Key;
use crate::controller::{CachedSet, Controller, Pass};
use crate::executor::Done;
use crate::holds::CREATION;
use crate::{status, story};

/// Pods by name.
type Before = BTreeMap<String, Arc<Pod>>;

/// Counters alone are written no more often than this; what programs wait for is written at once.
const STATUS_PAUSE: Duration = Duration::from_millis(500);

impl Controller {
    /// Brings the set `key` one step further. Also tells how long the thinking took.
    pub(crate) async fn reconcile(&self, key: &Key) -> (Pass, Duration) {
        let Some(set) = self.sets.get(&key.namespace, &key.name) else {
            self.forget(key);
            return (Pass::Settled(None), Duration::ZERO);
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
                return (self.refuse(key, &set, &old, &errors).await, Duration::ZERO);
            }
        };
        let plan = planner::clone_set::plan(&snapshot);
        let thought = started.elapsed();
        if let Err(error) = plan.check() {
            tracing::error!(%key, %error, "the planner broke its budget: this is a bug");
            return (Pass::Failed, thought);
        }
        (self.carry_out(key, &set, &old, plan).await, thought)
    }

    fn forget(&self, key: &Key) {
        self.holds.lock().forget(key);
        self.status_written.lock().remove(key);
        self.metrics.forget_set(&key.namespace, &key.name);
    }

    /// Everything a decision may look at, read once.
    fn snapshot(&self, key: &Key, set: &CachedSet) -> Result<Snapshot, Vec<FieldError>> {
        let object: CloneSet = match &set.0 {
            Ok(object) => object.clone(),
            Err(invalid) => {
                return Err(vec![FieldError {
                    path: "spec".into(),
                    message: invalid.error.clone(),
                    kind: apis::validation::FieldErrorKind::Invalid,
                }]);
            }
        };
        let set = Valid::new(object).map_err(|refused| refused.1)?;
        let uid = set.object().uid().unwrap_or_default();
        let pods = self.pods.owned(&uid);
        Ok(Snapshot {
            now: Timestamp::now(),
            nodes: self.nodes_of(&set.template, &pods),
            set,
            pods,
            orphans: self.pods.orphans(&key.namespace),
            claims: self.claims.owned(&uid),
            revisions: self.revisions.owned(&uid),
            orphan_revisions: self.revisions.orphans(&key.namespace),
            held: self.holds.lock().held(key).0,
            effects_max: self.effects_max,
        })
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
        &self,
        key: &Key,
        set: &CachedSet,
        old: &CloneSetStatus,
        plan: Plan,
    ) -> Pass {
        let Plan {
            effects,
            status,
            wake_at,
            pods,
            ..
        } = plan;
        self.count_reasons(key, pods.iter().map(|(_, reason)| reason.as_str()));
        for (pod, reason) in &pods {
            tracing::debug!(%key, pod, reason = reason.as_str(), detail = %reason, "Pod");
        }
        let effects = self.allowed(key, effects);
        let before = self.before(key, &effects);
        let done = self.executor.perform(&key.namespace, effects).await;
        let stale = done.iter().any(|(_, done)| matches!(done, Done::Stale));
        let outcome = self.learn(key, set, &before, done);

        let generation = set.meta().generation.unwrap_or_default();
        let status = report::with_outcome(status, &outcome, generation, Timestamp::now());
        let reported = self.report(key, set, old, &status).await;
        let wake = wake_at
            .map(until)
            .into_iter()
            .chain(self.holds.lock().held(key).1)
            .min();
        match reported {
            Pass::Settled(_) if stale => Pass::Stale,
            Pass::Settled(again) => Pass::Settled([wake, again].into_iter().flatten().min()),
            other => other,
        }
    }

    /// Leaves out creations while the server refuses them: a quota is not a reason to ask again
    /// with every event.
    fn allowed(&self, key: &Key, mut effects: Vec<Effect>) -> Vec<Effect> {
        if self.holds.lock().held(key).0.contains_key(CREATION) {
            effects.retain(|effect| !matches!(effect, Effect::CreatePod { .. }));
        }
        effects
    }

    /// Pods as they are before they are written: afterwards the cache knows newer ones.
    fn before(&self, key: &Key, effects: &[Effect]) -> Before {
        let pod = |effect: &Effect| self.pods.get(&key.namespace, effect.name());
        effects
            .iter()
            .filter_map(|e| Some((e.name().to_owned(), pod(e)?)))
            .collect()
    }

    /// Logs, tells and remembers what became of the effects.
    fn learn(
        &self,
        key: &Key,
        set: &CachedSet,
        before: &Before,
        done: Vec<(Effect, Done)>,
    ) -> Outcome {
        let about = about(set);
        let mut holds = self.holds.lock();
        for (effect, done) in done {
            let name = effect.name();
            let pod = before.get(name).map(AsRef::as_ref);
            if let Some(note) = story::of_effect(&about, &effect, &done, pod) {
                self.events.tell(note);
            }
            // A warmer that is refused keeps no Pod from being made.
            let held_as = if let Effect::CreateWarmer { name, .. } = &effect {
                name
            } else {
                effect.uid().unwrap_or(CREATION)
            };
            match done {
                Done::Written => {
                    self.measure(&effect, pod);
                    tracing::info!(%key, effect = kind(&effect), name, "done");
                    holds.succeeded(key, held_as);
                }
                Done::Stale => {}
                Done::Failed(error) => {
                    tracing::warn!(%key, effect = kind(&effect), name, %error, "failed");
                    let text = format!("{name}: {error}");
                    holds.failed(key, held_as, &text, error.retry_after());
                }
            }
        }
        // What is held was not tried in this pass, and has not succeeded either.
        let mut outcome = Outcome::default();
        for (uid, error) in holds.held(key).0 {
            let failed = match uid.as_str() {
                CREATION => &mut outcome.scale_error,
                _ => &mut outcome.update_error,
            };
            failed.get_or_insert(error);
        }
        outcome
    }

    /// How long a Pod was kept out of its Services by us.
    fn measure(&self, effect: &Effect, before: Option<&Pod>) {
        let Effect::OpenGate {
            at,
            judged: Some(_),
            ..
        } = effect
        else {
            return;
        };
        if let Some(Gate::Closed { since: Some(since) }) = before.map(Pod::gate) {
            self.metrics
                .updated_in_place("drained", at.duration_since(since).as_secs_f64());
        }
    }

    /// Writes the status if it differs; counters alone no more often than [`STATUS_PAUSE`].
    async fn report(
        &self,
        key: &Key,
        set: &CachedSet,
        old: &CloneSetStatus,
        status: &CloneSetStatus,
    ) -> Pass {
        if old == status {
            return Pass::Settled(None);
        }
        let last = self.status_written.lock().get(key).copied();
        let last = last.filter(|_| !status::is_urgent(old, status));
        let rest = last.and_then(|last| STATUS_PAUSE.checked_sub(last.elapsed()));
        if rest.is_some() {
            return Pass::Settled(rest);
        }
        match status::write(&self.client, set, old, status, &self.metrics).await {
            Ok(written) => {
                self.status_written
                    .lock()
                    .insert(key.clone(), Instant::now());
                self.sets.observe_write(written);
                if let Some(note) = story::of_status(&about(set), old, status) {
                    self.events.tell(note);
                }
                Pass::Settled(None)
            }
            Err(error) if error.is_not_found() || error.is_conflict() => Pass::Stale,
            Err(error) => {
                tracing::warn!(%key, %error, "failed to write the status");
                Pass::Failed
            }
        }
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

fn until(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO)
}

fn about(set: &CachedSet) -> ObjectReference {
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

fn kind(effect: &Effect) -> &'static str {
    match effect {
        Effect::CreateRevision { .. } => "CreateRevision",
        Effect::RenumberRevision { .. } => "RenumberRevision",
        Effect::DeleteRevision { .. } => "DeleteRevision",
        Effect::Adopt { .. } => "Adopt",
        Effect::AdoptRevision { .. } => "AdoptRevision",
        Effect::Release { .. } => "Release",
        Effect::CreatePod { .. } => "CreatePod",
        Effect::DeletePod { .. } => "DeletePod",
        Effect::Drain { .. } => "Drain",
        Effect::PatchPod { .. } => "PatchPod",
        Effect::Transition { .. } => "Transition",
        Effect::Resize { .. } => "Resize",
        Effect::CreateClaim { .. } => "CreateClaim",
        Effect::HandClaim { .. } => "HandClaim",
        Effect::DeleteClaim { .. } => "DeleteClaim",
        Effect::KeepClaims { .. } => "KeepClaims",
        Effect::CreateWarmer { .. } => "CreateWarmer",
        Effect::DeleteWarmer { .. } => "DeleteWarmer",
        Effect::OpenGate { .. } => "OpenGate",
    }
}
