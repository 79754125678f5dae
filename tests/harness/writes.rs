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
        let requests = self
            .audit
            .requests_since(self.offset)
            .expect("the audit log");
        let is_event = |r: &&Request| r.resource == "events" && r.namespace == namespace;
        requests
            .iter()
            .filter(is_event)
            .filter(|r| is_of_manager(r))
            .count()
    }

    /// The manager's writes in `namespace`, by `verb resource/subresource`, Events left out.
    ///
    /// # Panics
    /// When the audit log cannot be read.
    pub fn of_manager(&self, namespace: &str) -> BTreeMap<String, usize> {
        let requests = self
            .audit
            .requests_since(self.offset)
            .expect("the audit log");
        let mut counts = BTreeMap::new();
        for request in requests
            .iter()
            .filter(|r| is_write(r) && r.namespace == namespace)
        {
            let kind = match request.subresource.as_str() {
                "" => format!("{} {}", request.verb, request.resource),
                sub => format!("{} {}/{sub}", request.verb, request.resource),
            };
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }
}

impl Writes {
    /// How many of the manager's writes to Pods in `namespace` were refused because its view was
    /// old. They are among [`Self::of_manager`].
    ///
    /// # Panics
    /// When the audit log cannot be read.
    pub fn refused_of_manager(&self, namespace: &str) -> usize {
        let requests = self.audit.requests_since(self.offset);
        let requests = requests.expect("the audit log");
        let is_refused = |r: &&Request| {
            is_write(r)
                && r.namespace == namespace
                && r.resource == "pods"
                && matches!(r.code, 409 | 422)
        };
        requests.iter().filter(is_refused).count()
    }
}

fn is_write(request: &Request) -> bool {
    is_of_manager(request) && request.resource != "events"
}

fn is_of_manager(request: &Request) -> bool {
    request.agent.starts_with("insitu-manager") && !READS.contains(&request.verb.as_str())
}
