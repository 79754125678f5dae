//! What Prometheus sees of the door.

use std::{fmt, sync::Arc};

use process::metrics::{Buckets, Histograms};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};

use crate::tls::Identity;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    path: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PathLabel {
    path: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    end: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// From a small object to thousands of them.
const ANSWER: Buckets = Buckets(&[
    0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.5, 5.0,
    10.0, 30.0,
]);

/// All metrics of the process. Clones share the values.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    duration: Histograms<PathLabel>,
    open: Gauge,
    connections: Family<EndLabel, Counter>,
    rotations: Family<ReasonLabel, Counter>,
    failures: Counter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// A fresh registry with every metric in it, that of the certificate of `identity` included.
    pub fn new(identity: Arc<Identity>) -> Self {
        let mut inner = Inner {
            registry: process::metrics::registry(),
            requests: Family::default(),
            duration: Family::new_with_constructor(ANSWER),
            open: Gauge::default(),
            connections: Family::default(),
            rotations: Family::default(),
            failures: Counter::default(),
        };
        inner.register(identity);
        Self(Arc::new(inner))
    }

    /// The text that a scrape gets.
    ///
    /// # Errors
    /// Only when a label cannot be written, which is a bug.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        process::metrics::encode(&self.0.registry)
    }

    /// Counts a request to `path` that was answered after `seconds`.
    pub fn answered(&self, path: &'static str, outcome: &'static str, seconds: f64) {
        let labels = RequestLabels { path, outcome };
        self.0.requests.get_or_create(&labels).inc();
        let duration = self.0.duration.get_or_create(&PathLabel { path });
        duration.observe(seconds);
    }

    /// The gauge of open connections.
    pub fn open(&self) -> &Gauge {
        &self.0.open
    }

    /// Counts a connection by how it ended.
    pub fn ended(&self, end: &'static str) {
        self.0.connections.get_or_create(&EndLabel { end }).inc();
    }

    /// Counts certificates that this process has made.
    pub fn rotated(&self, reason: &'static str) {
        self.0
            .rotations
            .get_or_create(&ReasonLabel { reason })
            .inc();
    }

    /// Counts a certificate that could not be used: the one before it is shown on.
    pub fn certificate_failed(&self) {
        self.0.failures.inc();
    }
}

impl Inner {
    fn register(&mut self, identity: Arc<Identity>) {
        let r = &mut self.registry;
        r.register(
            "insitu_webhook_requests",
            "Requests by what they were answered",
            self.requests.clone(),
        );
        r.register(
            "insitu_webhook_request_duration_seconds",
            "From the head of a request to its answer",
            self.duration.clone(),
        );
        r.register(
            "insitu_webhook_open_connections",
            "Connections that are open",
            self.open.clone(),
        );
        r.register(
            "insitu_webhook_connections",
            "Connections by how they ended",
            self.connections.clone(),
        );
        r.register(
            "insitu_webhook_certificate_rotations",
            "Certificates made by this process, by what was due",
            self.rotations.clone(),
        );
        r.register(
            "insitu_webhook_certificate_failures",
            "Certificates that could not be used",
            self.failures.clone(),
        );
        r.register_collector(Box::new(Shown(identity)));
    }
}

/// What is shown at the moment of the scrape.
#[derive(Debug)]
struct Shown(Arc<Identity>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        if let Some(leaf) = self.0.leaf() {
            let name = "insitu_webhook_certificate_expiration_timestamp_seconds";
            let help = "When the certificate shown expires";
            let out = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(leaf.ends.as_second()).encode(out)?;
        }
        let name = "insitu_webhook_certificate_loads";
        let help = "Certificates shown since the start, one after the other";
        let out = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(self.0.changes()).encode(out)
    }
}
