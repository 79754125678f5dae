//! The SidecarSet controller with its caches and watches. It shares the cache of Pods.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use planner::sidecar_set::Revision;
use planner::{Claim, DisruptionBudget, Pod};
use tokio_util::sync::CancellationToken;

use super::{EFFECTS_PER_WRITE, feed, feed_some};
use crate::cache::{Cache, WatchConfig, settle_overdue, without_managed_fields};
use crate::events::Events;
use crate::executor::Executor;
use crate::run::Parts;
use crate::sidecar_set::{self, CachedSet, Controller};

/// Name of the ConfigMap that holds the white list.
const WHITE_LIST: &str = "kruise-configuration";

/// Everything about SidecarSets.
pub(super) struct SidecarSets {
    controller: Arc<Controller>,
    sets: Arc<Cache<CachedSet>>,
    pods: Arc<Cache<Pod>>,
    namespaces: Arc<Cache<Namespace>>,
    disruption_budgets: Arc<Cache<DisruptionBudget>>,
    revisions: Arc<Cache<Revision>>,
    white_list: Arc<Cache<ConfigMap>>,
}

impl SidecarSets {
    /// Begins the watches and wires the controller to them, and to the caches that it shares.
    pub(super) fn start(
        parts: &Parts,
        pods: &Arc<Cache<Pod>>,
        claims: &Arc<Cache<Claim>>,
        events: Events,
    ) -> Self {
        let sets: Arc<Cache<CachedSet>> = Arc::new(Cache::new(without_managed_fields));
        let namespaces: Arc<Cache<Namespace>> = Arc::new(Cache::new(labels_only));
        let disruption_budgets: Arc<Cache<DisruptionBudget>> =
            Arc::new(Cache::new(without_managed_fields));
        let revisions: Arc<Cache<Revision>> = Arc::new(Cache::new(without_managed_fields));
        let white_list: Arc<Cache<ConfigMap>> = Arc::new(Cache::new(without_managed_fields));
        let (client, metrics) = (parts.clients.calls.clone(), parts.metrics.clone());
        let executor = Executor::new(
            client.clone(),
            Arc::clone(pods),
            Arc::clone(claims),
            Arc::clone(&revisions),
            metrics.clone(),
        );
        // Where the manager itself runs: the webhook looks for them there.
        let namespace = parts.args.leader_election_namespace.clone();
        let controller = Controller::new(sidecar_set::Parts {
            sets: Arc::clone(&sets),
            pods: Arc::clone(pods),
            namespaces: Arc::clone(&namespaces),
            disruption_budgets: Arc::clone(&disruption_budgets),
            revisions: Arc::clone(&revisions),
            white_list: Arc::clone(&white_list),
            namespace: namespace.clone(),
            client,
            executor,
            events,
            metrics,
            effects_max: parts.args.max_concurrent_writes * EFFECTS_PER_WRITE,
        });
        let watches = || parts.clients.watches.clone();
        feed(parts, "SidecarSet", Api::all(watches()), &sets);
        feed(parts, "Namespace", Api::all(watches()), &namespaces);
        let api = Api::all(watches());
        feed(parts, "PodDisruptionBudget", api, &disruption_budgets);
        let labelled = WatchConfig {
            label_selector: Some(apis::names::SIDECAR_SET_LABEL.to_owned()),
            ..WatchConfig::default()
        };
        let api = Api::namespaced(watches(), &namespace);
        feed_some(parts, "SidecarSetRevision", labelled, (api, &revisions));
        let named = WatchConfig {
            field_selector: Some(format!("metadata.name={WHITE_LIST}")),
            ..WatchConfig::default()
        };
        let api = Api::namespaced(watches(), &namespace);
        feed_some(parts, "ConfigMap", named, (api, &white_list));
        let calls = || parts.clients.calls.clone();
        let overdue = settle_overdue(calls(), Arc::clone(&revisions), parts.shutdown.clone());
        parts.tracker.spawn(overdue);
        Self {
            controller,
            sets,
            pods: Arc::clone(pods),
            namespaces,
            disruption_budgets,
            revisions,
            white_list,
        }
    }

    /// Works until `stop`. CloneSets do not wait for it: where nobody knows the kind, or may read
    /// it, they go on all the same.
    pub(super) async fn work(&self, workers: usize, resync: Duration, stop: CancellationToken) {
        let caches = async {
            self.sets.wait_ready().await;
            self.pods.wait_ready().await;
            self.namespaces.wait_ready().await;
            self.disruption_budgets.wait_ready().await;
            self.revisions.wait_ready().await;
            self.white_list.wait_ready().await;
        };
        if stop.run_until_cancelled(caches).await.is_none() {
            return;
        }
        let resync = async {
            loop {
                tokio::time::sleep(resync).await;
                self.controller.enqueue_all();
            }
        };
        tokio::select! {
            () = Arc::clone(&self.controller).run(workers, stop) => {}
            () = resync => {}
        }
    }
}

/// Of a namespace nobody asks for anything else.
fn labels_only(namespace: &mut Namespace) {
    namespace.metadata.managed_fields = None;
    namespace.metadata.annotations = None;
    namespace.metadata.finalizers = None;
    namespace.spec = None;
    namespace.status = None;
}
