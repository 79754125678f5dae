//! The loop of a controller: a key from the queue, a pass over it, and when it comes again.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cache::Key;
use crate::metrics::Metrics;
use crate::queue::Queue;

/// A pass that took long leaves others this many times as long before it comes again: watch events
/// arrive by the thousand, and one pass over the newest view serves them all.
const REST_FACTOR: u32 = 10;
const REST_MAX: Duration = Duration::from_millis(200);
/// A view that proved old is looked at again then, even if no event comes.
pub(crate) const STALE_AGAIN: Duration = Duration::from_secs(1);

/// How long it is until then.
pub(crate) fn until(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO)
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Nothing more to do until something changes, or until then.
    Settled(Option<Duration>),
    /// The view was old.
    Stale,
    /// Something failed; the whole set backs off.
    Failed,
}

/// Whoever brings one set a step further.
pub(crate) trait Reconciler: Send + Sync + 'static {
    /// Its label in metrics.
    const NAME: &'static str;

    /// Sets that are to be looked at.
    fn queue(&self) -> &Queue<Key>;

    /// Where numbers go.
    fn metrics(&self) -> &Metrics;

    /// One pass over the set `key`. Also tells how long the thinking took.
    fn reconcile(self: &Arc<Self>, key: &Key) -> impl Future<Output = (Pass, Duration)> + Send;
}

/// Begins to work on `workers` sets at a time, until the queue is closed. Dropping the set of tasks
/// ends the work.
pub(crate) fn start<R: Reconciler>(this: &Arc<R>, workers: usize) -> JoinSet<()> {
    this.metrics().set_max_workers(R::NAME, workers);
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let this = Arc::clone(this);
        tasks.spawn(async move { work(&this).await });
    }
    tasks
}

async fn work<R: Reconciler>(this: &Arc<R>) {
    let active = this.metrics().active_workers(R::NAME);
    while let Some(key) = this.queue().get().await {
        active.inc();
        let rest = pass(this, &key).await;
        active.dec();
        this.queue().done(&key, rest);
    }
}

/// One pass over `key`; returns how long it rests afterwards.
async fn pass<R: Reconciler>(this: &Arc<R>, key: &Key) -> Duration {
    let started = Instant::now();
    // One set that trips over a bug must not take the manager down with it.
    let pass = AssertUnwindSafe(this.reconcile(key)).catch_unwind().await;
    let (pass, thought) = pass.unwrap_or_else(|_panic| {
        tracing::error!(%key, "a pass panicked: this is a bug, the set backs off");
        (Pass::Failed, Duration::ZERO)
    });
    let queue = this.queue();
    let result = match pass {
        Pass::Settled(wake) => {
            queue.forget(key);
            if let Some(after) = wake {
                queue.add_after(key.clone(), after);
            }
            if wake.is_some() {
                "requeue_after"
            } else {
                "success"
            }
        }
        Pass::Stale => {
            queue.add_after(key.clone(), STALE_AGAIN);
            "requeue"
        }
        Pass::Failed => {
            queue.add_failed(key.clone());
            "error"
        }
    };
    let took = started.elapsed();
    this.metrics()
        .reconciled(R::NAME, result, took.as_secs_f64());
    // While its writes were under way the set has rested already.
    (thought * REST_FACTOR).min(REST_MAX).saturating_sub(took)
}
