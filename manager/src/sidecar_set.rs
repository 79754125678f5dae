//! The controller of SidecarSets: which sets to look at, and one pass over one of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use apis::SidecarSet;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ObjectReference};
use kube::Resource;
use kube::core::DeserializeGuard;
use parking_lot::Mutex;
use planner::sidecar_set::{self as planner_of, Memo, Plan, Revision, Snapshot};
use planner::{DisruptionBudget, Pod, Reason};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Key};
use crate::events::Events;
use crate::executor::Executor;
use crate::holds::Holds;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::status::Reporter;
use crate::worker;
use crate::worker::{Pass, Reconciler};

mod injected;
mod snapshot;
mod watching;
mod writes;

use injected::Injected;

/// SidecarSets as cached: one that does not parse is still an object, with a status to write.
pub(crate) type CachedSet = DeserializeGuard<SidecarSet>;

/// What the controller is made of.
pub(crate) struct Parts {
    pub(crate) sets: Arc<Cache<CachedSet>>,
    pub(crate) pods: Arc<Cache<Pod>>,
    pub(crate) namespaces: Arc<Cache<Namespace>>,
    pub(crate) disruption_budgets: Arc<Cache<DisruptionBudget>>,
    pub(crate) revisions: Arc<Cache<Revision>>,
    /// The ConfigMap that holds the white list.
    pub(crate) white_list: Arc<Cache<ConfigMap>>,
    /// Where revisions are kept.
    pub(crate) namespace: String,
    pub(crate) client: kube::Client,
    pub(crate) executor: Executor<Revision>,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
    pub(crate) effects_max: usize,
}

/// Everything it reads and writes.
pub(crate) struct Controller {
    parts: Parts,
    queue: Queue<Key>,
    holds: Mutex<Holds>,
    reporter: Reporter<CachedSet>,
    /// Pods that somebody was told of: they do without the containers.
    told: Mutex<HashMap<Key, BTreeSet<String>>>,
    injected: Mutex<Injected>,
    /// Generations of the sets by their names, as Pods were looked at.
    seen: Mutex<HashMap<Box<str>, i64>>,
    /// Sets by UID: owner references name UIDs.
    by_uid: Mutex<HashMap<String, Key>>,
    /// What was decided last about each set.
    memos: Mutex<HashMap<Key, Memo>>,
    /// Sets of which Pods may wait for a PodDisruptionBudget.
    limited: Mutex<BTreeSet<Key>>,
    /// Sets, or the labels of namespaces, changed.
    changed: Notify,
}

fn key_of(name: &str) -> Key {
    Key::new("", name)
}

impl Controller {
    /// Wires a controller to its caches; before their watches start.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let reporter = Reporter::new(
            &parts.sets,
            ("sidecarsets/status", about),
            (&parts.events, &parts.metrics),
        );
        let this = Arc::new(Self {
            queue: Queue::new(parts.metrics.queue(Self::NAME)),
            parts,
            holds: Mutex::default(),
            reporter,
            told: Mutex::default(),
            injected: Mutex::default(),
            seen: Mutex::default(),
            by_uid: Mutex::default(),
            memos: Mutex::default(),
            limited: Mutex::default(),
            changed: Notify::new(),
        });
        let of = Arc::clone(&this);
        this.parts.sets.subscribe(move |change| of.on_set(change));
        let of = Arc::clone(&this);
        this.parts.pods.subscribe(move |change| of.on_pod(change));
        let of = Arc::clone(&this);
        let namespaces = &this.parts.namespaces;
        namespaces.subscribe(move |_| of.changed.notify_one());
        let of = Arc::clone(&this);
        let budgets = &this.parts.disruption_budgets;
        budgets.subscribe(move |_| of.on_disruption_budget());
        let of = Arc::clone(&this);
        let revisions = &this.parts.revisions;
        revisions.subscribe(move |change| of.on_revision(change));
        this
    }

    /// Asks for a pass over every set: after winning the lease, and now and then.
    pub(crate) fn enqueue_all(&self) {
        for key in self.parts.sets.keys() {
            self.queue.add(key);
        }
    }

    /// Works until `shutdown`, with `workers` sets at a time. What has begun is finished.
    pub(crate) async fn run(self: Arc<Self>, workers: usize, shutdown: CancellationToken) {
        self.look_at_all().await;
        self.enqueue_all();
        let mut tasks = worker::start(&self, workers);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.look_again() => {}
        }
        self.queue.close();
        while tasks.join_next().await.is_some() {}
    }

    /// Decides by what was decided last. Nobody else decides about the set meanwhile.
    fn plan(&self, key: &Key, snapshot: &Snapshot) -> Arc<Plan> {
        let mut memo = self.memos.lock().remove(key).unwrap_or_default();
        let plan = memo.plan(snapshot);
        self.memos.lock().insert(key.clone(), memo);
        plan
    }

    fn forget(&self, key: &Key) {
        self.holds.lock().forget(key);
        self.reporter.forget(key);
        self.told.lock().remove(key);
        self.memos.lock().remove(key);
        self.limited.lock().remove(key);
        self.parts.metrics.forget_set("", &key.name);
    }
}

impl Reconciler for Controller {
    const NAME: &'static str = "sidecarset";

    fn queue(&self) -> &Queue<Key> {
        &self.queue
    }

    fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    async fn reconcile(self: &Arc<Self>, key: &Key) -> (Pass, Duration) {
        let Some(set) = self.parts.sets.get("", &key.name) else {
            let about = ObjectReference {
                name: Some(key.name.to_string()),
                ..kind()
            };
            let pass = self.release(key, &about).await;
            if pass.is_none() {
                self.forget(key);
            }
            return (pass.unwrap_or(Pass::Settled(None)), Duration::ZERO);
        };
        // Before anything is read: what changes after that asks for another pass.
        self.limited.lock().insert(key.clone());
        let started = Instant::now();
        let object = set.0.as_ref().ok();
        let old = object.and_then(|set| set.status.clone());
        let old = old.unwrap_or_default();
        let snapshot = match self.snapshot(key, &set) {
            Ok(snapshot) => snapshot,
            Err(errors) => {
                let generation = set.meta().generation.unwrap_or_default();
                let status = planner_of::invalid(&old, generation, &errors, Timestamp::now());
                if old != status {
                    let count = errors.len();
                    tracing::warn!(%key, error = %errors[0], count, "the spec is refused");
                }
                let thought = started.elapsed();
                let released = self.release(key, &about(&set)).await;
                let reported = self.report(key, &set, &old, &status).await;
                let pass = match (reported, released) {
                    (Pass::Settled(_), Some(released)) => released,
                    (reported, _) => reported,
                };
                return (pass, thought);
            }
        };
        let plan = self.plan(key, &snapshot);
        let waits = |reason: &Reason| matches!(reason, Reason::WaitingDisruptionBudget { .. });
        if !plan.pods.iter().any(|(_, reason)| waits(reason)) {
            self.limited.lock().remove(key);
        }
        let thought = started.elapsed();
        if let Err(error) = plan.check() {
            tracing::error!(%key, %error, "the planner broke its budget: this is a bug");
            return (Pass::Failed, thought);
        }
        let pass = self.carry_out(key, (&set, &old), &snapshot, &plan).await;
        (pass, thought)
    }
}

fn about(set: &CachedSet) -> ObjectReference {
    ObjectReference {
        name: set.meta().name.clone(),
        uid: set.meta().uid.clone(),
        resource_version: set.meta().resource_version.clone(),
        ..kind()
    }
}

fn kind() -> ObjectReference {
    ObjectReference {
        api_version: Some("apps.kruise.io/v1beta1".into()),
        kind: Some("SidecarSet".into()),
        ..ObjectReference::default()
    }
}
