//! What the manager asked of the API server, from the API server's own audit log.

use std::collections::BTreeMap;

use cluster::{AuditLog, Cluster, Request};

const READS: [&str; 3] = ["get", "list", "watch"];

/// Counts the manager's writes from a point in time on.
pub struct Writes {
    audit: AuditLog,
    offset: u64,
}

impl Writes {
    /// From now on. None where the cluster keeps no audit log for us.
    pub fn from_now(cluster: &Cluster) -> Option<Self> {
        let audit = cluster.audit().ok()?;
        let offset = audit.offset();
        Some(Self { audit, offset })
    }

    /// How many Events the manager wrote in `namespace`.
    ///
    /// # Panics
    /// When the audit log cannot be read.
    pub fn events_of_manager(&self, namespace: &str) -> usize {
        let written = self.written(namespace).into_iter();
        written.filter(|r| r.resource == "events").count()
    }

    /// The manager's writes in `namespace`, by `verb resource/subresource`, Events left out.
    ///
    /// # Panics
    /// When the audit log cannot be read.
    pub fn of_manager(&self, namespace: &str) -> BTreeMap<String, usize> {
        let written = self.written(namespace).into_iter();
        let mut counts = BTreeMap::new();
        for request in written.filter(|r| r.resource != "events") {
            let kind = match request.subresource.as_str() {
                "" => format!("{} {}", request.verb, request.resource),
                sub => format!("{} {}/{sub}", request.verb, request.resource),
            };
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// How many of the manager's writes to Pods in `namespace` were refused because its view was
    /// old. They are among [`Self::of_manager`].
    ///
    /// # Panics
    /// When the audit log cannot be read.
    pub fn refused_of_manager(&self, namespace: &str) -> usize {
        let is_refused = |r: &Request| r.resource == "pods" && matches!(r.code, 409 | 422);
        let written = self.written(namespace).into_iter();
        written.filter(is_refused).count()
    }

    /// All that the manager wrote in `namespace`, Events included.
    fn written(&self, namespace: &str) -> Vec<Request> {
        let requests = self.audit.requests_since(self.offset);
        let mut requests = requests.expect("the audit log");
        requests.retain(|r| is_of_manager(r) && r.namespace == namespace);
        requests
    }
}

fn is_of_manager(request: &Request) -> bool {
    request.agent.starts_with("insitu-manager") && !READS.contains(&request.verb.as_str())
}
