//! May this lease be taken? A decision without clocks and calls.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use tokio::time::Instant;

/// A lease as last seen. Time counts from when we saw it change: the clocks of other machines
/// are not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Who holds it; empty when it was released.
    pub holder: String,
    /// For how long it holds without a renewal.
    pub duration: Duration,
    /// Any write changes this.
    pub resource_version: String,
    /// When we first saw this resource version.
    pub since: Instant,
}

/// What a candidate makes of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has our name on it already: an earlier answer was lost.
    Ours,
    /// Nobody holds it.
    Free,
    /// Its holder has been silent for too long.
    Expired,
    /// Somebody else holds it.
    Taken,
}

impl Observed {
    /// Notes what a look at the lease showed at `now`; time goes on if it did not change.
    pub fn update<'a>(
        observed: &'a mut Option<Self>,
        lease: &LeaseObject,
        now: Instant,
    ) -> &'a Self {
        let resource_version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = match observed.take() {
            Some(before) if before.resource_version == resource_version => before.since,
            Some(_) | None => now,
        };
        let spec = lease.spec.as_ref();
        let seconds = spec
            .and_then(|spec| spec.lease_duration_seconds)
            .unwrap_or(0);
        observed.insert(Self {
            holder: spec
                .and_then(|spec| spec.holder_identity.clone())
                .unwrap_or_default(),
            duration: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
            resource_version,
            since,
        })
    }

    /// How long it holds from `now` on, if nobody renews it.
    pub fn expires_in(&self, now: Instant) -> Duration {
        (self.since + self.duration).saturating_duration_since(now)
    }
}

/// Whether `identity` may take the lease at `now`.
pub fn judge(observed: &Observed, identity: &str, now: Instant) -> Verdict {
    if observed.holder.is_empty() {
        Verdict::Free
    } else if observed.holder == identity {
        Verdict::Ours
    } else if observed.expires_in(now).is_zero() {
        Verdict::Expired
    } else {
        Verdict::Taken
    }
}
