//! The two plain servers of a process: probes and metrics.

use std::{fmt, time::Duration};

use axum::Router;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    bind::{self, Bind},
    health::{self, Check, Heartbeat},
};

const HEARTBEAT: Duration = Duration::from_secs(5);
const HEARTBEAT_MAX_AGE: Duration = Duration::from_secs(30);

/// Where they listen, and what probes ask.
#[derive(Debug)]
pub struct Endpoints {
    /// Of /healthz and /readyz.
    pub probes: Bind,
    /// Of /metrics.
    pub metrics: Bind,
    /// Questions for /healthz, beside whether tasks still run.
    pub live: Vec<Check>,
    /// Questions for /readyz.
    pub ready: Vec<Check>,
}

impl Endpoints {
    /// Listens from now on, and serves on `tracker` until `shutdown`, with metrics as `encode`
    /// writes them.
    ///
    /// # Errors
    /// When an address is taken.
    pub async fn serve(
        self,
        encode: impl Fn() -> Result<String, fmt::Error> + Clone + Send + Sync + 'static,
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Result<(), bind::Error> {
        let mut live = vec![beating(tracker, shutdown.clone())];
        live.extend(self.live);
        let both = [
            (self.probes, health::probes(live, self.ready)),
            (self.metrics, health::metrics(encode)),
        ];
        for (bind, router) in both {
            serve_at(bind, router, tracker, shutdown.clone()).await?;
        }
        Ok(())
    }
}

/// A check that the runtime still comes round to its tasks.
fn beating(tracker: &TaskTracker, shutdown: CancellationToken) -> Check {
    let heart = Heartbeat::default();
    let check = heart.check("runtime", HEARTBEAT_MAX_AGE);
    tracker.spawn(async move {
        let mut ticker = tokio::time::interval(HEARTBEAT);
        while shutdown.run_until_cancelled(ticker.tick()).await.is_some() {
            heart.beat();
        }
    });
    check
}

async fn serve_at(
    bind: Bind,
    router: Router,
    tracker: &TaskTracker,
    shutdown: CancellationToken,
) -> Result<(), bind::Error> {
    if let Some(listener) = bind.listen().await? {
        let serving = health::serve(listener, router, shutdown);
        tracker.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "a server ended");
            }
        });
    }
    Ok(())
}
