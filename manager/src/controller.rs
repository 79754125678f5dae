//! The pipeline: a key from the queue, a snapshot, a plan, its effects, the status.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use apis::CloneSet;
use kube::core::DeserializeGuard;
use parking_lot::{Mutex, RwLock};
use planner::{Claim, Memo, Node, Pod, Revision, claim};
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Change, Key};
use crate::clone_set::about;
use crate::events::Events;
use crate::executor::Executor;
use crate::flights::Flights;
use crate::holds::Holds;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::status::Reporter;
use crate::tasks::Tasks;
use crate::worker::{self, Pass, Reconciler};

/// CloneSets as cached: one that does not parse is still an object, with a status to write.
pub type CachedSet = DeserializeGuard<CloneSet>;

/// Everything the controller reads and writes.
pub struct Controller {
    pub(crate) sets: Arc<Cache<CachedSet>>,
    pub(crate) pods: Arc<Cache<Pod>>,
    pub(crate) claims: Arc<Cache<Claim>>,
    pub(crate) nodes: Arc<Cache<Node>>,
    pub(crate) revisions: Arc<Cache<Revision>>,
    pub(crate) client: kube::Client,
    pub(crate) executor: Executor,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
    pub(crate) holds: Mutex<Holds>,
    pub(crate) reporter: Reporter<CachedSet>,
    pub(crate) memos: Mutex<HashMap<Key, Memo>>,
    pub(crate) effects_max: usize,
    pub(crate) queue: Arc<Queue<Key>>,
    pub(crate) flights: Arc<Flights>,
    /// Writes that may outlive the pass that began them.
    pub(crate) tasks: Tasks,
    /// Sets by UID: owner references name UIDs, the queue names.
    by_uid: RwLock<HashMap<String, Key>>,
}

/// What a controller is made of.
pub struct Parts {
    /// CloneSets.
    pub sets: Arc<Cache<CachedSet>>,
    /// Pods.
    pub pods: Arc<Cache<Pod>>,
    /// Claims.
    pub claims: Arc<Cache<Claim>>,
    /// Nodes; empty where they are not watched.
    pub nodes: Arc<Cache<Node>>,
    /// Revisions.
    pub revisions: Arc<Cache<Revision>>,
    /// For status; effects have the same.
    pub client: kube::Client,
    /// Where Events go.
    pub events: Events,
    /// Where numbers go.
    pub metrics: Metrics,
    /// Writes at once, and effects per pass.
    pub effects_max: usize,
}

impl Controller {
    /// Wires a controller to its caches; before their watches start.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            sets,
            pods,
            claims,
            nodes,
            revisions,
            client,
            events,
            metrics,
            effects_max,
        } = parts;
        let executor = Executor::new(
            client.clone(),
            Arc::clone(&pods),
            Arc::clone(&claims),
            Arc::clone(&revisions),
            metrics.clone(),
        );
        let reporter = Reporter::new(&sets, ("clonesets/status", about), (&events, &metrics));
        let controller = Arc::new(Self {
            queue: Arc::new(Queue::new(metrics.queue(Self::NAME))),
            sets,
            pods,
            claims,
            nodes,
            revisions,
            client,
            executor,
            events,
            metrics,
            holds: Mutex::default(),
            reporter,
            memos: Mutex::default(),
            effects_max,
            flights: Arc::default(),
            tasks: Tasks::default(),
            by_uid: RwLock::default(),
        });
        controller.subscribe();
        controller
    }

    fn subscribe(self: &Arc<Self>) {
        let this = Arc::clone(self);
        self.sets.subscribe(move |change| this.on_set(change));
        let this = Arc::clone(self);
        self.pods
            .subscribe(move |change| this.on_owned_or_orphan(change));
        let this = Arc::clone(self);
        self.claims.subscribe(move |change| this.on_claim(change));
        let this = Arc::clone(self);
        self.revisions
            .subscribe(move |change| this.on_owned_or_orphan(change));
    }

    fn on_set(&self, change: &Change) {
        if change.deleted {
            self.by_uid.write().remove(&change.uid);
        } else {
            self.by_uid
                .write()
                .insert(change.uid.clone(), change.key.clone());
        }
        self.queue.add(change.key.clone());
    }

    fn on_owned(&self, change: &Change) {
        let owners = [&change.owner_uid, &change.old_owner_uid];
        self.wake(owners.into_iter().flatten());
    }

    /// Has a look at the sets among `owners`, which are UIDs.
    fn wake<'a>(&self, owners: impl Iterator<Item = &'a String>) {
        let by_uid = self.by_uid.read();
        for key in owners.filter_map(|owner| by_uid.get(owner)) {
            self.queue.add(key.clone());
        }
    }

    /// A claim that is gone may be missed by a Pod of its name, whosever it was.
    fn on_claim(&self, change: &Change) {
        self.on_owned(change);
        if !change.deleted {
            return;
        }
        for name in claim::namesakes(&change.key.name) {
            let pod = self.pods.get(&change.key.namespace, name);
            let owners = pod.iter().flat_map(|pod| &pod.metadata.owner_references);
            self.wake(owners.flatten().map(|owner| &owner.uid));
        }
    }

    /// Of the kinds that are adopted: an object without a controller may match the selector of any
    /// set beside it. One that is gone may have been a Pod that kept a claim of such a set in use.
    fn on_owned_or_orphan(&self, change: &Change) {
        self.on_owned(change);
        if change.owner_uid.is_none() {
            let by_uid = self.by_uid.read();
            for key in by_uid
                .values()
                .filter(|key| key.namespace == change.key.namespace)
            {
                self.queue.add(key.clone());
            }
        }
    }

    /// Asks for a pass over every set: after winning the lease, and now and then.
    pub fn enqueue_all(&self) {
        for key in self.sets.keys() {
            self.queue.add(key);
        }
    }

    /// Works until `shutdown`, with `workers` sets at a time. What has begun is finished.
    pub async fn run(self: Arc<Self>, workers: usize, shutdown: CancellationToken) {
        self.enqueue_all();
        // Dropping both ends the workers and their writes: when the lease is lost nothing may go on.
        let writes = self.tasks.open();
        let mut tasks = worker::start(&self, workers);
        shutdown.cancelled().await;
        self.queue.close();
        while tasks.join_next().await.is_some() {}
        writes.finish().await;
    }
}

impl Reconciler for Controller {
    const NAME: &'static str = "cloneset";

    fn queue(&self) -> &Queue<Key> {
        &self.queue
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    async fn reconcile(self: &Arc<Self>, key: &Key) -> (Pass, Duration) {
        self.pass(key).await
    }
}
