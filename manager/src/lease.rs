//! Which replica acts: leader election on a Lease.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease as LeaseObject, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::FIELD_MANAGER;
use process::client::{CallError, call};

mod judge;
#[cfg(test)]
mod tests;

pub use judge::{Observed, Verdict, judge};

/// How long things take. The renew deadline must be shorter than the duration, and the retry
/// period shorter than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// For how long a silent holder keeps the lease.
    pub duration: Duration,
    /// After how long without a renewal the holder stops acting.
    pub renew_deadline: Duration,
    /// The pause between two tries to get or to renew the lease.
    pub retry_period: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two holders at once would be possible.
    #[error(
        "failed to accept the lease timings: the retry period must be shorter than the renew \
         deadline, and that shorter than the lease duration of at least one second"
    )]
    Timings,
    /// The process is to stop before it became the leader.
    #[error("stopped while waiting for the lease")]
    Stopped,
}

/// A lease that may become ours.
#[derive(Clone)]
pub struct Lease {
    api: Api<LeaseObject>,
    name: String,
    identity: String,
    timings: Timings,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.name)
            .field("identity", &self.identity)
            .field("timings", &self.timings)
            .finish_non_exhaustive()
    }
}

/// The lease is ours until `lost` says otherwise.
#[derive(Debug)]
pub struct Held {
    /// Cancelled when the lease is lost (and by [`release`](Self::release)): whoever acts must
    /// stop at once.
    pub lost: CancellationToken,
    lease: Lease,
    /// Dropping it ends the renewals, so a forgotten `Held` does not hold for ever.
    stop: DropGuard,
    renewing: JoinHandle<Option<LeaseObject>>,
}

impl Lease {
    /// A candidate for the lease `namespace/name`. `identity` must differ between processes, also
    /// between two lives of one Pod.
    ///
    /// # Errors
    /// [`Error::Timings`].
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        timings: Timings,
    ) -> Result<Self, Error> {
        let Timings {
            duration,
            renew_deadline,
            retry_period,
        } = timings;
        if retry_period.is_zero()
            || retry_period >= renew_deadline
            || renew_deadline >= duration
            || duration < Duration::from_secs(1)
        {
            return Err(Error::Timings);
        }
        let api = Api::namespaced(client, namespace);
        Ok(Self {
            api,
            name: name.to_owned(),
            identity: identity.to_owned(),
            timings,
        })
    }

    /// Waits until the lease is ours, and keeps it renewed from then on.
    ///
    /// # Errors
    /// [`Error::Stopped`] when `shutdown` came first. Errors of the API server are logged and
    /// retried.
    pub async fn acquire(&self, shutdown: &CancellationToken) -> Result<Held, Error> {
        let acquiring = self.wait_for_turn();
        let (object, since) = shutdown
            .run_until_cancelled(acquiring)
            .await
            .ok_or(Error::Stopped)?;
        tracing::info!(lease = %self.name, identity = %self.identity, "became the leader");
        let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
        let renewing = tokio::spawn({
            let (lease, lost, stop) = (self.clone(), lost.clone(), stop.clone());
            async move {
                // Also when this task panics or is dropped: no renewal, no leader.
                let _lost_at_end = lost.drop_guard();
                lease.renew_until(object, since, &stop).await
            }
        });
        Ok(Held {
            lost,
            lease: self.clone(),
            stop: stop.drop_guard(),
            renewing,
        })
    }

    /// Returns the lease as written, and a time before that.
    async fn wait_for_turn(&self) -> (LeaseObject, Instant) {
        let mut observed: Option<Observed> = None;
        loop {
            let asked_at = Instant::now();
            match self.try_acquire(&mut observed).await {
                Ok(Some(object)) => return (object, asked_at),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(lease = %self.name, %error, "failed to acquire the lease");
                }
            }
            // A released lease is seen at the next look; an expired one at its end.
            let until_expiry = observed
                .as_ref()
                .map(|seen| seen.expires_in(Instant::now()));
            let pause = until_expiry
                .filter(|pause| !pause.is_zero())
                .unwrap_or(Duration::MAX);
            tokio::time::sleep(pause.min(self.timings.retry_period)).await;
        }
    }

    async fn try_acquire(
        &self,
        observed: &mut Option<Observed>,
    ) -> Result<Option<LeaseObject>, CallError> {
        let Some(current) = call(self.api.get_opt(&self.name)).await? else {
            let first = LeaseObject {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.claim(None)),
            };
            return won(call(self.api.create(&post_params(), &first)).await);
        };
        let now = Instant::now();
        let seen = Observed::update(observed, &current, now);
        match judge(seen, &self.identity, now) {
            Verdict::Taken => Ok(None),
            Verdict::Free | Verdict::Expired | Verdict::Ours => {
                let mut next = current;
                next.spec = Some(self.claim(next.spec.take()));
                // The resourceVersion in `next` lets only one candidate win.
                won(call(self.api.replace(&self.name, &post_params(), &next)).await)
            }
        }
    }

    /// The lease in our hands, `before` being what it was.
    fn claim(&self, before: Option<LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let is_first = before.is_none();
        let before = before.unwrap_or_default();
        let is_ours = before.holder_identity.as_deref() == Some(&self.identity);
        let changes_hands = !is_ours && !is_first;
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(whole_seconds(self.timings.duration)),
            acquire_time: before
                .acquire_time
                .filter(|_| is_ours)
                .or(Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(
                before.lease_transitions.unwrap_or(0) + i32::from(changes_hands),
            ),
            ..before
        }
    }

    /// Renews until told to stop (returns the lease as it is) or until it is lost (`None`).
    async fn renew_until(
        &self,
        mut object: LeaseObject,
        mut renewed_at: Instant,
        stop: &CancellationToken,
    ) -> Option<LeaseObject> {
        let is_told = |pause| stop.run_until_cancelled(tokio::time::sleep(pause));
        loop {
            // Counted from before the request: others count from when it was written, later.
            let deadline = renewed_at + self.timings.renew_deadline;
            let pause = self.timings.retry_period.min(deadline - Instant::now());
            if is_told(pause).await.is_none() {
                return Some(object);
            }
            let asked_at = Instant::now();
            let renewal = tokio::time::timeout_at(deadline, self.renew(&object));
            match renewal.await {
                Ok(Ok(Renewal::Done(renewed))) => (object, renewed_at) = (*renewed, asked_at),
                Ok(Ok(Renewal::Taken { by })) => {
                    tracing::error!(lease = %self.name, by, "lost the lease to another replica");
                    return None;
                }
                Ok(Err(error)) => {
                    tracing::warn!(lease = %self.name, %error, "failed to renew the lease");
                }
                Err(_elapsed) => {}
            }
            if Instant::now() >= renewed_at + self.timings.renew_deadline {
                tracing::error!(lease = %self.name, "lost the lease: no renewal in time");
                return None;
            }
        }
    }

    async fn renew(&self, held: &LeaseObject) -> Result<Renewal, CallError> {
        let mut next = held.clone();
        next.spec = Some(self.claim(next.spec.take()));
        match self.replace_within_period(&next).await {
            Ok(renewed) => return Ok(Renewal::Done(Box::new(renewed))),
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        // Either somebody took it, or an earlier renewal of ours arrived without our knowing.
        let Some(mut current) = call(self.api.get_opt(&self.name)).await? else {
            return Ok(Renewal::Taken {
                by: String::from("(deleted)"),
            });
        };
        let holder = current
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.clone());
        if holder.as_deref() != Some(&self.identity) {
            return Ok(Renewal::Taken {
                by: holder.unwrap_or_default(),
            });
        }
        current.spec = Some(self.claim(current.spec.take()));
        Ok(Renewal::Done(Box::new(
            self.replace_within_period(&current).await?,
        )))
    }

    /// A call that hangs must leave time for another try.
    async fn replace_within_period(&self, next: &LeaseObject) -> Result<LeaseObject, CallError> {
        let params = post_params();
        let replacing = call(self.api.replace(&self.name, &params, next));
        match tokio::time::timeout(self.timings.retry_period * 2, replacing).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(CallError::Deadline),
        }
    }
}

enum Renewal {
    Done(Box<LeaseObject>),
    Taken { by: String },
}

impl Held {
    /// Gives the lease back, so that another replica need not wait for its end. Call it only
    /// after the last write. Failing to do so is logged: the lease then expires.
    pub async fn release(self) {
        drop(self.stop);
        let Ok(Some(mut object)) = self.renewing.await else {
            return;
        };
        let now = MicroTime(Timestamp::now());
        let spec = object.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(now.clone());
        spec.acquire_time = Some(now);
        let lease = &self.lease;
        match call(lease.api.replace(&lease.name, &post_params(), &object)).await {
            Ok(_) => tracing::info!(lease = %lease.name, "released the lease"),
            Err(error) => {
                tracing::warn!(lease = %lease.name, %error, "failed to release the lease");
            }
        }
    }
}

/// To come second is no error.
fn won(answer: Result<LeaseObject, CallError>) -> Result<Option<LeaseObject>, CallError> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_conflict() || error.is_already_exists() => Ok(None),
        Err(error) => Err(error),
    }
}

fn post_params() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// Rounded up: others must not think that it ended before we do.
fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}
