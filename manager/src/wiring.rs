//! The controllers with their caches and watches, as `run` wants them.

use std::sync::Arc;

use kube::Api;
use parking_lot::Mutex;
use planner::pod::Kins;
use planner::{Claim, Node, Pod, Revision};
use sidecar_sets::SidecarSets;
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, WatchConfig, run_watch, settle_overdue, without_managed_fields};
use crate::controller::{self, CachedSet, Controller};
use crate::events::Events;
use crate::run::{Controllers, Parts};
use process::health::Check;

mod sidecar_sets;

/// Effects per pass for each write that may be in flight: the slowest of a pass should not leave
/// the others idle, and the last of a pass should not be decided on old facts.
const EFFECTS_PER_WRITE: usize = 2;

/// Everything about CloneSets, and SidecarSets beside them.
pub struct CloneSets {
    controller: Arc<Controller>,
    sets: Arc<Cache<CachedSet>>,
    pods: Arc<Cache<Pod>>,
    claims: Arc<Cache<Claim>>,
    revisions: Arc<Cache<Revision>>,
    /// None where one namespace only is looked at: SidecarSets are in none.
    sidecar_sets: Option<SidecarSets>,
    workers: usize,
    resync: std::time::Duration,
}

/// Begins the watches and wires the controller to them.
pub fn start(parts: &Parts) -> CloneSets {
    let sets: Arc<Cache<CachedSet>> = Arc::new(Cache::new(without_managed_fields));
    let kins = Mutex::new(Kins::default());
    let pods: Arc<Cache<Pod>> = Arc::new(Cache::new(move |pod: &mut Pod| {
        without_managed_fields(pod);
        kins.lock().introduce(pod);
    }));
    let claims: Arc<Cache<Claim>> = Arc::new(Cache::new(without_managed_fields));
    let revisions: Arc<Cache<Revision>> = Arc::new(Cache::new(without_managed_fields));
    let (events, publish) = Events::new(parts.clients.calls.clone(), parts.shutdown.clone());
    parts.tracker.spawn(publish);
    let controller = Controller::new(controller::Parts {
        sets: Arc::clone(&sets),
        pods: Arc::clone(&pods),
        claims: Arc::clone(&claims),
        nodes: nodes(parts),
        revisions: Arc::clone(&revisions),
        client: parts.clients.calls.clone(),
        events: events.clone(),
        metrics: parts.metrics.clone(),
        effects_max: parts.args.max_concurrent_writes * EFFECTS_PER_WRITE,
    });
    let all_namespaces = parts.args.only_namespace().is_none();
    let sidecar_sets = all_namespaces.then(|| SidecarSets::start(parts, &pods, &claims, events));
    watch(parts, "CloneSet", &sets);
    watch(parts, "Pod", &pods);
    watch(parts, "PersistentVolumeClaim", &claims);
    watch(parts, "ControllerRevision", &revisions);
    CloneSets {
        controller,
        sets,
        pods,
        claims,
        revisions,
        sidecar_sets,
        workers: parts.args.workers,
        resync: parts.args.resync,
    }
}

/// The nodes, for what their labels say about where they stand. Who may look into one namespace
/// only does not see them; then every node counts as a place of its own.
fn nodes(parts: &Parts) -> Arc<Cache<Node>> {
    let cache: Arc<Cache<Node>> = Arc::new(Cache::new(labels_only));
    if parts.args.only_namespace().is_none() {
        let api = Api::all(parts.clients.watches.clone());
        feed(parts, "Node", api, &cache);
    }
    cache
}

/// A node's annotations can be long, and nobody asks for them.
fn labels_only(node: &mut Node) {
    node.metadata.annotations = None;
    node.metadata.owner_references = None;
    node.metadata.finalizers = None;
}

fn watch<K>(parts: &Parts, kind: &'static str, cache: &Arc<Cache<K>>)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let client = parts.clients.watches.clone();
    let api: Api<K> = match parts.args.only_namespace() {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    feed(parts, kind, api, cache);
    let calls = parts.clients.calls.clone();
    let overdue = settle_overdue(calls, Arc::clone(cache), parts.shutdown.clone());
    parts.tracker.spawn(overdue);
}

fn feed<K>(parts: &Parts, kind: &'static str, api: Api<K>, cache: &Arc<Cache<K>>)
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    feed_some(parts, kind, WatchConfig::default(), (api, cache));
}

fn feed_some<K>(
    parts: &Parts,
    kind: &'static str,
    config: WatchConfig,
    (api, cache): (Api<K>, &Arc<Cache<K>>),
) where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let restarts = parts.metrics.watch_restarts(kind);
    let shutdown = parts.shutdown.clone();
    let watch = run_watch(api, Arc::clone(cache), config, restarts, shutdown);
    parts.tracker.spawn(watch);
    let cache = Arc::clone(cache);
    parts
        .metrics
        .on_scrape(move |metrics| metrics.set_cache_objects(kind, cache.len()));
}

impl Controllers for CloneSets {
    fn ready_checks(&self) -> Vec<Check> {
        let (sets, pods, claims, revisions) = (
            Arc::clone(&self.sets),
            Arc::clone(&self.pods),
            Arc::clone(&self.claims),
            Arc::clone(&self.revisions),
        );
        vec![
            filled("clonesets", move || sets.ready()),
            filled("pods", move || pods.ready()),
            filled("persistentvolumeclaims", move || claims.ready()),
            filled("controllerrevisions", move || revisions.ready()),
        ]
    }

    fn live_checks(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn work(self, stop: CancellationToken) {
        let Self {
            sidecar_sets,
            resync,
            workers,
            ..
        } = &self;
        let sidecar_sets = async {
            if let Some(sets) = sidecar_sets {
                sets.work(*workers, *resync, stop.clone()).await;
                stop.cancel();
            }
        };
        let clone_sets = async {
            self.work_on_clone_sets(stop.clone()).await;
            // One that ends by itself does not leave the other one alone at work.
            stop.cancel();
        };
        tokio::join!(clone_sets, sidecar_sets);
    }
}

impl CloneSets {
    async fn work_on_clone_sets(&self, stop: CancellationToken) {
        let caches = async {
            self.sets.wait_ready().await;
            self.pods.wait_ready().await;
            self.claims.wait_ready().await;
            self.revisions.wait_ready().await;
        };
        if stop.run_until_cancelled(caches).await.is_none() {
            return;
        }
        tracing::info!(
            sets = self.sets.len(),
            pods = self.pods.len(),
            "caches are filled"
        );
        let resync = async {
            loop {
                tokio::time::sleep(self.resync).await;
                self.controller.enqueue_all();
            }
        };
        tokio::select! {
            () = Arc::clone(&self.controller).run(self.workers, stop) => {}
            () = resync => {}
        }
    }
}

fn filled(name: &'static str, ready: impl Fn() -> bool + Send + Sync + 'static) -> Check {
    Check::new(name, move || {
        if ready() {
            Ok(())
        } else {
            Err("the first list is not complete".to_owned())
        }
    })
}
