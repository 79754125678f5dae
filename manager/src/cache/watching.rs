//! Drives kube's watcher for a cache, whatever the API server does.

use std::{fmt::Debug, pin::pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, future::Either};
use kube::{
    Api, Resource,
    runtime::watcher::{self, Event},
};
use process::pauses::{self, Pauses};
use prometheus_client::metrics::counter::Counter;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::Cache;

const PAGE: u32 = 500;
/// kube resumes at its last resourceVersion for ever: after so many failures start from nothing.
const FAILURES_BEFORE_REBUILD: u32 = 5;
/// An API server that does not know streaming lists opens the watch and then says nothing.
const STREAM_SILENCE_MAX: Duration = Duration::from_secs(30);

/// What to watch.
#[derive(Debug, Clone, Default)]
pub struct WatchConfig {
    /// Only objects with these labels; all by default.
    pub label_selector: Option<String>,
    /// Only objects with these fields; all by default.
    pub field_selector: Option<String>,
    /// Length of one watch request in seconds; 290 by default. Shorter than the idle limit of a
    /// load balancer in between.
    pub timeout_seconds: Option<u32>,
}

/// How the first list is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    /// Least memory on both sides.
    Streaming,
    /// What every API server can do.
    Paged,
}

/// What to do after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaction {
    Resume,
    Rebuild,
    RebuildPaged,
}

/// Feeds `cache` until `shutdown`. Never gives up: errors are logged, counted in `restarts` and
/// retried with a growing pause of at most 30 s.
pub async fn run_watch<K>(
    api: Api<K>,
    cache: Arc<Cache<K>>,
    config: WatchConfig,
    restarts: Counter,
    shutdown: CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let mut strategy = Strategy::Streaming;
    let mut pauses = pauses();
    while !shutdown.is_cancelled() {
        let stream = watcher::watcher(api.clone(), config.for_strategy(strategy));
        let feeding = feed(stream, &cache, strategy, &restarts, &mut pauses);
        let Some(reaction) = shutdown.run_until_cancelled(feeding).await else {
            return;
        };
        if reaction == Reaction::RebuildPaged && strategy == Strategy::Streaming {
            tracing::info!(kind = %K::kind(&()), "no streaming lists here: listing in pages");
            strategy = Strategy::Paged;
        }
    }
}

/// Feeds `cache` from one watcher until it must be built anew.
async fn feed<K>(
    stream: impl Stream<Item = watcher::Result<Event<K>>>,
    cache: &Cache<K>,
    strategy: Strategy,
    restarts: &Counter,
    pauses: &mut Pauses,
) -> Reaction
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let mut stream = pin!(stream);
    let (mut failures, mut is_listing) = (0, true);
    loop {
        let next = match strategy {
            Strategy::Streaming if is_listing => {
                Either::Left(tokio::time::timeout(STREAM_SILENCE_MAX, stream.next()))
            }
            Strategy::Streaming | Strategy::Paged => {
                Either::Right(async { Ok(stream.next().await) })
            }
        };
        let error = match next.await {
            Err(_silence) => return Reaction::RebuildPaged,
            Ok(None) => return Reaction::Rebuild,
            Ok(Some(Ok(event))) => {
                match event {
                    Event::Init => is_listing = true,
                    Event::InitDone => is_listing = false,
                    Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => {}
                }
                // Opening a stream proves nothing yet; an object or a complete list does.
                if !matches!(event, Event::Init) {
                    failures = 0;
                    *pauses = self::pauses();
                }
                cache.event(event);
                continue;
            }
            Ok(Some(Err(error))) => error,
        };
        failures += 1;
        restarts.inc();
        let reaction = react(&error, strategy, failures);
        if reaction == Reaction::RebuildPaged {
            return reaction;
        }
        let pause = pauses.next().unwrap_or(STREAM_SILENCE_MAX);
        tracing::warn!(kind = %K::kind(&()), %error, ?pause, failures, "the watch broke");
        tokio::time::sleep(pause).await;
        if reaction == Reaction::Rebuild {
            return reaction;
        }
    }
}

fn react(error: &watcher::Error, strategy: Strategy, failures: u32) -> Reaction {
    let status = match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status),
        _ => None,
    };
    if let Some(status) = status {
        // 422 "sendInitialEvents is forbidden"; older ones and proxies say 400.
        let is_refused =
            matches!(status.code, 400 | 422) || status.message.contains("sendInitialEvents");
        if strategy == Strategy::Streaming && is_refused {
            return Reaction::RebuildPaged;
        }
        // As an HTTP status kube does not take it for "list again".
        if status.code == 410 {
            return Reaction::Rebuild;
        }
    }
    if failures >= FAILURES_BEFORE_REBUILD {
        Reaction::Rebuild
    } else {
        Reaction::Resume
    }
}

impl WatchConfig {
    fn for_strategy(&self, strategy: Strategy) -> watcher::Config {
        let mut config = watcher::Config::default().page_size(PAGE);
        config.label_selector.clone_from(&self.label_selector);
        config.field_selector.clone_from(&self.field_selector);
        config.timeout = self.timeout_seconds;
        match strategy {
            Strategy::Streaming => config.streaming_lists(),
            Strategy::Paged => config,
        }
    }
}

fn pauses() -> Pauses {
    pauses::pauses(Duration::from_millis(500), Duration::from_secs(30))
}

#[cfg(test)]
mod tests;
