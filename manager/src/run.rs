//! Starts everything and stops it in order; the only place that spawns tasks for the whole process.

use std::{future::Future, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use process::{
    bind,
    client::{self, Clients, find_cluster},
    endpoints::Endpoints,
    health::Check,
    shutdown,
};

use crate::{
    USER_AGENT,
    args::Args,
    lease::{self, Held, Lease},
    metrics::Metrics,
};

#[cfg(test)]
mod tests;

/// For how long workers may finish their passes; below the 30 s that Kubernetes grants a Pod.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(20);
/// For how long watches and servers may close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Why the process ends before it was told to, or cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No way to the API server.
    #[error("failed to connect to a cluster")]
    Client(#[from] client::Error),
    /// An address is taken.
    #[error("failed to serve probes or metrics")]
    Listen(#[from] bind::Error),
    /// The timings of the lease are wrong.
    #[error("failed to take part in the leader election")]
    Lease(#[from] lease::Error),
    /// Another replica may act now. A restart makes this one a candidate again.
    #[error("lost the lease: another replica may act, so this one ends")]
    LeaseLost,
    /// The workers ended although nobody told them to.
    #[error("the workers ended by themselves")]
    WorkersEnded,
    /// Signals cannot be received.
    #[error(transparent)]
    Signals(#[from] shutdown::Error),
}

/// What a controller gets to work with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Two ways to the API server.
    pub clients: Clients,
    /// Where numbers go.
    pub metrics: Metrics,
    /// Cancelled at the very end: watches and tickers stop then, workers stop earlier.
    pub shutdown: CancellationToken,
    /// Spawn watches and tickers here; they must end on `shutdown`.
    pub tracker: TaskTracker,
    /// The command line.
    pub args: Arc<Args>,
}

/// What runs inside the manager.
pub trait Controllers: Send + 'static {
    /// Questions for /readyz: are the caches filled? Standby replicas are asked, too.
    fn ready_checks(&self) -> Vec<Check>;

    /// Questions for /healthz: do the workers move? Must hold on replicas that never lead, too.
    fn live_checks(&self) -> Vec<Check>;

    /// Acts on the cluster: only on the leader, from the first list of every cache until
    /// `stop`; then no further key is begun, passes in flight are finished, and the future ends.
    /// Dropping the future must end all work, so its tasks belong in a `JoinSet`.
    fn work(self, stop: CancellationToken) -> impl Future<Output = ()> + Send;
}

/// Runs until SIGTERM or SIGINT. `start` begins the watches of the controllers, on every replica,
/// by spawning on [`Parts::tracker`].
///
/// # Errors
/// See [`Error`].
pub async fn run<C: Controllers>(args: Args, start: impl FnOnce(&Parts) -> C) -> Result<(), Error> {
    // Before anything else, so that no signal meets the default handler.
    let signal = shutdown::stop_signal()?;
    let config = find_cluster(args.kubeconfig()).await?;
    tracing::info!(server = %config.cluster_url, version = env!("CARGO_PKG_VERSION"), "starting");
    let parts = Parts {
        clients: Clients::new(config, args.max_concurrent_writes, USER_AGENT)?,
        metrics: Metrics::new(),
        shutdown: CancellationToken::new(),
        tracker: TaskTracker::new(),
        args: Arc::new(args),
    };
    let lease = candidate(&parts)?;
    let controllers = start(&parts);
    serve(&parts, &controllers).await?;
    let result = lead(&parts, lease, controllers, signal).await;
    parts.shutdown.cancel();
    parts.tracker.close();
    if tokio::time::timeout(CLOSE_WITHIN, parts.tracker.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            tasks = parts.tracker.len(),
            "some tasks did not end in time"
        );
    }
    tracing::info!("stopped");
    result
}

/// Waits for the lease, works, and gives it back.
async fn lead<C: Controllers>(
    parts: &Parts,
    lease: Option<Lease>,
    controllers: C,
    signal: CancellationToken,
) -> Result<(), Error> {
    let held = match lease {
        None => None,
        Some(lease) => match lease.acquire(&signal).await {
            Ok(held) => Some(held),
            Err(lease::Error::Stopped) => return Ok(()),
            Err(error) => return Err(error.into()),
        },
    };
    let leader = parts.metrics.leader();
    leader.set(1);
    let lost = held
        .as_ref()
        .map_or_else(CancellationToken::new, |held| held.lost.clone());
    let outcome = work(controllers, &signal, &lost).await;
    leader.set(0);
    match outcome {
        Outcome::Drained => {
            if let Some(held) = held {
                Held::release(held).await;
            }
            Ok(())
        }
        // A write may still be under way: the lease has to expire by itself.
        Outcome::DrainTimeout => Ok(()),
        Outcome::Lost => Err(Error::LeaseLost),
        Outcome::Ended => Err(Error::WorkersEnded),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Drained,
    DrainTimeout,
    Lost,
    Ended,
}

/// Works until the signal, then drains; drops all work the moment the lease is lost.
async fn work<C: Controllers>(
    controllers: C,
    signal: &CancellationToken,
    lost: &CancellationToken,
) -> Outcome {
    let stop = signal.child_token();
    let work = controllers.work(stop);
    tokio::pin!(work);
    tokio::select! {
        biased;
        () = lost.cancelled() => return Outcome::Lost,
        () = signal.cancelled() => tracing::info!("stopping: passes in flight are finished"),
        () = &mut work => return if signal.is_cancelled() { Outcome::Drained } else { Outcome::Ended },
    }
    tokio::select! {
        biased;
        () = lost.cancelled() => Outcome::Lost,
        () = work => Outcome::Drained,
        () = tokio::time::sleep(DRAIN_WITHIN) => {
            tracing::warn!(after = ?DRAIN_WITHIN, "some passes did not end in time");
            Outcome::DrainTimeout
        }
    }
}

fn candidate(parts: &Parts) -> Result<Option<Lease>, Error> {
    let args = &parts.args;
    if !args.leader_elect {
        return Ok(None);
    }
    let (namespace, name) = (&args.leader_election_namespace, &args.leader_election_id);
    let client = parts.clients.watches.clone();
    Ok(Some(Lease::new(
        client,
        namespace,
        name,
        &identity(),
        args.timings(),
    )?))
}

/// Different for every process: the Pod's name and the moment of its start.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let started = jiff::Timestamp::now().as_nanosecond();
    format!("{}_{:x}-{started:x}", host.trim(), std::process::id())
}

async fn serve(parts: &Parts, controllers: &impl Controllers) -> Result<(), Error> {
    let endpoints = Endpoints {
        probes: parts.args.health_probe_bind_address,
        metrics: parts.args.metrics_bind_address,
        live: controllers.live_checks(),
        ready: controllers.ready_checks(),
    };
    let metrics = parts.metrics.clone();
    let encode = move || metrics.encode();
    endpoints
        .serve(encode, &parts.tracker, &parts.shutdown)
        .await?;
    Ok(())
}
