//! What Prometheus sees: controller-runtime's names where they exist, `insitu_*` for the rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use parking_lot::Mutex;
use process::metrics::{Buckets, Histograms};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

#[cfg(test)]
mod tests;

/// Labels of `controller_runtime_*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabel {
    controller: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    verb: &'static str,
    resource: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    namespace: String,
    name: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// From a quick pass to one that waits for many API calls.
const WORK: Buckets = Buckets(&[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
]);
/// From a pause of one container to a slow image pull.
const UPDATE: Buckets = Buckets(&[
    0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
]);

type Hook = Box<dyn Fn(&Metrics) + Send + Sync>;

/// All metrics of the process. Clones share the values.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    hooks: Mutex<Vec<Hook>>,
    reconciles: Family<ResultLabels, Counter>,
    reconcile_time: Histograms<ControllerLabel>,
    active_workers: Family<ControllerLabel, Gauge>,
    max_workers: Family<ControllerLabel, Gauge>,
    depth: Family<QueueLabel, Gauge>,
    adds: Family<QueueLabel, Counter>,
    retries: Family<QueueLabel, Counter>,
    queue_duration: Histograms<QueueLabel>,
    work_duration: Histograms<QueueLabel>,
    writes: Family<WriteLabels, Counter>,
    pods: Family<ReasonLabels, Gauge>,
    /// Which reasons each set shows, so that those which are over can be removed.
    shown: Mutex<BTreeMap<(String, String), BTreeSet<&'static str>>>,
    updates: Histograms<PhaseLabel>,
    leader: Gauge,
    cache_objects: Family<KindLabel, Gauge>,
    watch_restarts: Family<KindLabel, Counter>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The metrics of one work queue; plain handles, cheap to clone.
#[derive(Debug, Clone)]
pub struct QueueMetrics {
    /// Keys that could be handed out now.
    pub depth: Gauge,
    /// Adds that were not folded into a waiting one.
    pub adds: Counter,
    /// Adds after a failure.
    pub retries: Counter,
    /// Seconds from the add to the pass.
    pub queue_duration: Histogram,
    /// Seconds that a pass took.
    pub work_duration: Histogram,
}

impl Metrics {
    /// A fresh registry with every metric in it.
    pub fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::default(),
            hooks: Mutex::default(),
            reconciles: Family::default(),
            reconcile_time: Family::new_with_constructor(WORK),
            active_workers: Family::default(),
            max_workers: Family::default(),
            depth: Family::default(),
            adds: Family::default(),
            retries: Family::default(),
            queue_duration: Family::new_with_constructor(WORK),
            work_duration: Family::new_with_constructor(WORK),
            writes: Family::default(),
            pods: Family::default(),
            shown: Mutex::default(),
            updates: Family::new_with_constructor(UPDATE),
            leader: Gauge::default(),
            cache_objects: Family::default(),
            watch_restarts: Family::default(),
        };
        inner.register();
        Self(Arc::new(inner))
    }

    /// The text that a scrape gets, in the `OpenMetrics` format.
    ///
    /// # Errors
    /// Only when a label cannot be written, which is a bug.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        for hook in self.0.hooks.lock().iter() {
            hook(self);
        }
        process::metrics::encode(&self.0.registry)
    }

    /// Runs `hook` before every scrape; for values that are cheaper to ask for than to follow.
    pub fn on_scrape(&self, hook: impl Fn(&Metrics) + Send + Sync + 'static) {
        self.0.hooks.lock().push(Box::new(hook));
    }

    /// Counts a finished pass of `controller` that took `seconds` (`result`: `success`, `error`,
    /// `requeue`, `requeue_after`).
    pub fn reconciled(&self, controller: &'static str, result: &'static str, seconds: f64) {
        self.0
            .reconciles
            .get_or_create(&ResultLabels { controller, result })
            .inc();
        self.0
            .reconcile_time
            .get_or_create(&ControllerLabel { controller })
            .observe(seconds);
    }

    /// The gauge of workers of `controller` that are in a pass.
    pub fn active_workers(&self, controller: &'static str) -> Gauge {
        self.0
            .active_workers
            .get_or_create_owned(&ControllerLabel { controller })
    }

    /// Says how many workers `controller` has.
    pub fn set_max_workers(&self, controller: &'static str, workers: usize) {
        set(
            &self
                .0
                .max_workers
                .get_or_create(&ControllerLabel { controller }),
            workers,
        );
    }

    /// The handles for the work queue `name`.
    pub fn queue(&self, name: &'static str) -> QueueMetrics {
        let label = QueueLabel { name };
        QueueMetrics {
            depth: self.0.depth.get_or_create_owned(&label),
            adds: self.0.adds.get_or_create_owned(&label),
            retries: self.0.retries.get_or_create_owned(&label),
            queue_duration: self.0.queue_duration.get_or_create_owned(&label),
            work_duration: self.0.work_duration.get_or_create_owned(&label),
        }
    }

    /// Counts one write to the API server; `result` is `ok` or an error's metric label.
    pub fn wrote(&self, verb: &'static str, resource: &'static str, result: &'static str) {
        self.0
            .writes
            .get_or_create(&WriteLabels {
                verb,
                resource,
                result,
            })
            .inc();
    }

    /// Shows how many Pods of the set are where; reasons that are not given are removed.
    pub fn set_pods_by_reason(&self, namespace: &str, name: &str, pods: &[(&'static str, usize)]) {
        let labels = |reason| ReasonLabels {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            reason,
        };
        let mut shown = self.0.shown.lock();
        let now: BTreeSet<_> = pods.iter().map(|(reason, _)| *reason).collect();
        let before = if now.is_empty() {
            shown.remove(&(namespace.to_owned(), name.to_owned()))
        } else {
            shown.insert((namespace.to_owned(), name.to_owned()), now.clone())
        };
        for over in before.unwrap_or_default().difference(&now) {
            self.0.pods.remove(&labels(over));
        }
        for (reason, count) in pods {
            set(&self.0.pods.get_or_create(&labels(reason)), *count);
        }
    }

    /// Removes what [`set_pods_by_reason`](Self::set_pods_by_reason) showed: the set is gone.
    pub fn forget_set(&self, namespace: &str, name: &str) {
        self.set_pods_by_reason(namespace, name, &[]);
    }

    /// Records that one Pod spent `seconds` in `phase` of an in-place update.
    pub fn updated_in_place(&self, phase: &'static str, seconds: f64) {
        self.0
            .updates
            .get_or_create(&PhaseLabel { phase })
            .observe(seconds);
    }

    /// The gauge that is 1 on the replica that acts.
    pub fn leader(&self) -> Gauge {
        self.0.leader.clone()
    }

    /// Says how many objects of `kind` are cached.
    pub fn set_cache_objects(&self, kind: &'static str, objects: usize) {
        set(
            &self.0.cache_objects.get_or_create(&KindLabel { kind }),
            objects,
        );
    }

    /// The counter of broken watches of `kind`.
    pub fn watch_restarts(&self, kind: &'static str) -> Counter {
        self.0
            .watch_restarts
            .get_or_create_owned(&KindLabel { kind })
    }
}

impl Inner {
    fn register(&mut self) {
        let mut registry = process::metrics::registry();
        self.register_common(&mut registry);
        self.register_ours(&mut registry);
        self.registry = registry;
    }

    /// Counters get their `_total` from the encoder.
    fn register_common(&self, r: &mut Registry) {
        let prefix = "controller_runtime_";
        let help = "Finished passes by result";
        r.register(format!("{prefix}reconcile"), help, self.reconciles.clone());
        let name = format!("{prefix}reconcile_time_seconds");
        r.register(name, "Length of a pass", self.reconcile_time.clone());
        let name = format!("{prefix}active_workers");
        r.register(name, "Workers in a pass", self.active_workers.clone());
        let name = format!("{prefix}max_concurrent_reconciles");
        r.register(name, "Workers", self.max_workers.clone());
        r.register(
            "workqueue_depth",
            "Keys that could be handed out",
            self.depth.clone(),
        );
        r.register("workqueue_adds", "Keys added", self.adds.clone());
        r.register(
            "workqueue_retries",
            "Keys added after a failure",
            self.retries.clone(),
        );
        let name = "workqueue_queue_duration_seconds";
        r.register(
            name,
            "Wait of a key before its pass",
            self.queue_duration.clone(),
        );
        let name = "workqueue_work_duration_seconds";
        r.register(name, "Time a worker held a key", self.work_duration.clone());
    }

    fn register_ours(&self, r: &mut Registry) {
        r.register(
            "insitu_api_writes",
            "Writes to the API server",
            self.writes.clone(),
        );
        r.register(
            "insitu_pods_by_reason",
            "Pods by what they wait for",
            self.pods.clone(),
        );
        let help = "Time a Pod spent in a phase of an in-place update";
        r.register(
            "insitu_inplace_update_duration_seconds",
            help,
            self.updates.clone(),
        );
        r.register(
            "insitu_leader",
            "1 on the replica that acts",
            self.leader.clone(),
        );
        r.register(
            "insitu_cache_objects",
            "Cached objects",
            self.cache_objects.clone(),
        );
        r.register(
            "insitu_watch_restarts",
            "Watches that broke",
            self.watch_restarts.clone(),
        );
    }
}

fn set(gauge: &Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
