//! The controller of SidecarSets: which sets to look at, and one pass over one of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use apis::sidecar_set::white_list::{KEY, WhiteList};
use apis::{FieldError, SidecarSet, SidecarSetStatus, Valid};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ObjectReference};
use kube::core::DeserializeGuard;
use kube::{Api, Resource, ResourceExt};
use parking_lot::Mutex;
use planner::sidecar_set::{self as planner_of, Revision, Snapshot};
use planner::{Effect, Pod};
use sidecar_injector::Prepared;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Change, Key};
use crate::events::{Events, Note, Tone};
use crate::executor::{Done, Executor};
use crate::holds::Holds;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::status::Reporter;
use crate::worker::{Pass, Reconciler, until};
use crate::{story, worker};

mod injected;

use injected::Injected;

/// Changes of sets and namespaces are gathered for so long before all Pods are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// So many Pods are looked at between two chances for others.
const AT_ONCE: usize = 200;

/// SidecarSets as cached: one that does not parse is still an object, with a status to write.
pub(crate) type CachedSet = DeserializeGuard<SidecarSet>;

/// What the controller is made of.
pub(crate) struct Parts {
    pub(crate) sets: Arc<Cache<CachedSet>>,
    pub(crate) pods: Arc<Cache<Pod>>,
    pub(crate) namespaces: Arc<Cache<Namespace>>,
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
        let revisions = &this.parts.revisions;
        revisions.subscribe(move |change| of.on_revision(change));
        this
    }

    fn on_set(&self, change: &Change) {
        let name = &change.key.name;
        let set = self.parts.sets.get("", name);
        let object = set.as_ref().and_then(|set| set.0.as_ref().ok());
        let generation = object.and_then(|set| set.metadata.generation);
        let known = match generation {
            Some(generation) => self.seen.lock().insert(name.clone(), generation),
            None => self.seen.lock().remove(name),
        };
        if change.deleted {
            self.by_uid.lock().remove(&change.uid);
        } else {
            let (uid, key) = (change.uid.clone(), change.key.clone());
            self.by_uid.lock().insert(uid, key);
        }
        if known != generation || generation.is_none() {
            let prepared = object.and_then(|set| Prepared::new(set.clone(), &[]).ok());
            let mut injected = self.injected.lock();
            match prepared {
                Some(set) => injected.put_set(set),
                None => injected.remove_set(name),
            }
            drop(injected);
            self.changed.notify_one();
        }
        self.queue.add(change.key.clone());
    }

    fn on_pod(&self, change: &Change) {
        let Key { namespace, name } = &change.key;
        let pod = self.parts.pods.get(namespace, name);
        let labels = self.labels(namespace);
        let concerned = self
            .injected
            .lock()
            .look(&change.key, pod.as_deref(), &labels);
        self.wake(concerned);
    }

    fn on_revision(&self, change: &Change) {
        let owner = change.owner_uid.as_ref();
        let key = owner.and_then(|uid| self.by_uid.lock().get(uid).cloned());
        if let Some(key) = key {
            self.queue.add(key);
        }
    }

    fn wake(&self, names: BTreeSet<Box<str>>) {
        for name in names {
            self.queue.add(key_of(&name));
        }
    }

    /// Labels of a namespace.
    fn labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let known = self.parts.namespaces.get("", namespace);
        known
            .map(|known| known.labels().clone())
            .unwrap_or_default()
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

    /// Keeps what is known of Pods right while sets and namespaces change.
    async fn look_again(&self) {
        loop {
            self.changed.notified().await;
            tokio::time::sleep(LOOK_AGAIN).await;
            self.look_at_all().await;
            // Pods that remember a set count no more, or again, with the labels of their namespace.
            self.enqueue_all();
        }
    }

    async fn look_at_all(&self) {
        let mut labels: HashMap<Box<str>, BTreeMap<String, String>> = HashMap::new();
        for keys in self.parts.pods.keys().chunks(AT_ONCE) {
            for key in keys {
                let pod = self.parts.pods.get(&key.namespace, &key.name);
                let labels = labels.entry(key.namespace.clone());
                let labels = labels.or_insert_with(|| self.labels(&key.namespace));
                let mut injected = self.injected.lock();
                let concerned = injected.look_again(key, pod.as_deref(), labels);
                drop(injected);
                self.wake(concerned);
            }
            tokio::task::yield_now().await;
        }
    }

    fn forget(&self, key: &Key) {
        self.holds.lock().forget(key);
        self.reporter.forget(key);
        self.told.lock().remove(key);
        self.parts.metrics.forget_set("", &key.name);
    }

    /// Everything a decision may look at, read once.
    fn snapshot(&self, key: &Key, set: &CachedSet) -> Result<Snapshot, Vec<FieldError>> {
        let object = match &set.0 {
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
        let known = self.injected.lock().of(&key.name);
        let all = |keys: &BTreeSet<Key>| -> Vec<Arc<Pod>> {
            let pods = keys.iter();
            pods.filter_map(|key| self.parts.pods.get(&key.namespace, &key.name))
                .collect()
        };
        let (pods, without) = (all(&known.with), all(&known.without));
        let named: BTreeSet<&str> = pods
            .iter()
            .filter_map(|pod| pod.metadata.namespace.as_deref())
            .collect();
        let namespaces = named.into_iter();
        let namespaces = namespaces.map(|name| (name.to_owned(), self.labels(name)));
        let revisions = &self.parts.revisions;
        let mut of_set = revisions.owned(&set.object().uid().unwrap_or_default());
        let orphans = revisions.orphans(&self.parts.namespace).into_iter();
        of_set.extend(orphans.filter(|revision| revision.set() == Some(&*key.name)));
        Ok(Snapshot {
            now: Timestamp::now(),
            namespaces: namespaces.collect(),
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

    /// Writes `effects` and waits for every answer. Tells whether the view proved old.
    async fn perform(
        &self,
        key: &Key,
        about: &ObjectReference,
        effects: Vec<(String, Effect)>,
    ) -> bool {
        let mut writes: FuturesUnordered<_> = effects
            .into_iter()
            .map(|(namespace, effect)| async move {
                let done = self.parts.executor.write(&namespace, &effect).await;
                (namespace, effect, done)
            })
            .collect();
        let mut is_stale = false;
        while let Some((namespace, effect, done)) = writes.next().await {
            if let Some(note) = story::of_sidecars(about, (&namespace, &effect), &done) {
                self.parts.events.tell(note);
            }
            let (name, held_as) = (effect.name(), effect.held_as());
            match &done {
                Done::Written => {
                    tracing::info!(%key, namespace, name, "done");
                    self.holds.lock().succeeded(key, &held_as);
                }
                Done::Stale => is_stale = true,
                Done::Failed(error) => {
                    tracing::warn!(%key, namespace, name, %error, "failed");
                    let (text, asked) = (format!("{name}: {error}"), error.retry_after());
                    self.holds.lock().failed(key, &held_as, &text, asked);
                }
            }
        }
        is_stale
    }

    /// Names Pods that do without the containers, each once.
    fn tell_of(&self, key: &Key, about: &ObjectReference, pods: &[&Arc<Pod>]) {
        let mut told = self.told.lock();
        if pods.is_empty() {
            told.remove(key);
            return;
        }
        let before = told.entry(key.clone()).or_default();
        let now: BTreeSet<String> = pods.iter().map(|pod| pod.uid().to_owned()).collect();
        for pod in pods.iter().filter(|pod| !before.contains(pod.uid())) {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            self.parts.events.tell(Note {
                about: about.clone(),
                tone: Tone::Warning,
                reason: "NotInjected",
                text: "made without the containers of the set".into(),
                pod: Some(format!("{namespace}/{}", pod.name())),
            });
        }
        *before = now;
    }

    async fn report(
        &self,
        key: &Key,
        set: &CachedSet,
        old: &SidecarSetStatus,
        status: &SidecarSetStatus,
    ) -> Pass {
        let api: Api<CachedSet> = Api::all(self.parts.client.clone());
        let statuses = (old, status);
        self.reporter.report(key, (&api, set), statuses).await
    }

    async fn carry_out(
        &self,
        key: &Key,
        (set, old): (&CachedSet, &SidecarSetStatus),
        snapshot: &Snapshot,
        plan: planner_of::Plan,
    ) -> Pass {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for (place, reason) in &plan.pods {
            *counts.entry(reason.as_str()).or_default() += 1;
            if let Some(pod) = snapshot.pods.get(*place) {
                tracing::debug!(%key, pod = pod.name(), reason = reason.as_str(), detail = %reason, "Pod");
            }
        }
        let counts: Vec<_> = counts.into_iter().collect();
        let metrics = &self.parts.metrics;
        metrics.set_pods_by_reason("", &key.name, &counts);
        let about = about(set);
        let missed = plan.uninjected.iter();
        let missed: Vec<_> = missed.filter_map(|i| snapshot.without.get(*i)).collect();
        self.tell_of(key, &about, &missed);
        let is_stale = self.perform(key, &about, plan.effects).await;
        let reported = self.report(key, set, old, &plan.status).await;
        let wake = plan.wake_at.map(until).into_iter();
        let wake = wake.chain(self.holds.lock().held(key).1).min();
        match reported {
            Pass::Settled(_) if is_stale => Pass::Stale,
            Pass::Settled(again) => Pass::Settled([wake, again].into_iter().flatten().min()),
            other => other,
        }
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
            self.forget(key);
            return (Pass::Settled(None), Duration::ZERO);
        };
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
                let pass = self.report(key, &set, &old, &status).await;
                return (pass, started.elapsed());
            }
        };
        let plan = planner_of::plan(&snapshot);
        let thought = started.elapsed();
        if let Err(error) = plan.check() {
            tracing::error!(%key, %error, "the planner broke its budget: this is a bug");
            return (Pass::Failed, thought);
        }
        let pass = self.carry_out(key, (&set, &old), &snapshot, plan).await;
        (pass, thought)
    }
}

fn about(set: &CachedSet) -> ObjectReference {
    ObjectReference {
        api_version: Some("apps.kruise.io/v1beta1".into()),
        kind: Some("SidecarSet".into()),
        name: set.meta().name.clone(),
        uid: set.meta().uid.clone(),
        resource_version: set.meta().resource_version.clone(),
        ..ObjectReference::default()
    }
}
