//! A watch of Pods that survives being closed by the server.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{TryStreamExt, pin_mut};
use kube::api::{WatchEvent, WatchParams};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::pod::Pod;
use crate::pods::Pods;

/// Pods that change are never silent for so long.
const SILENCE: Duration = Duration::from_mins(2);

/// A Pod as it was told, and when.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) pod: Pod,
}

/// Every change of some Pods from a moment on, in order.
pub(crate) struct Follow {
    seen: mpsc::UnboundedReceiver<Seen>,
    task: JoinHandle<()>,
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Follow {
    /// Follows `pods`; first come all of them as they are.
    pub(crate) async fn start(pods: &Pods) -> Result<Self> {
        let (tell, seen) = mpsc::unbounded_channel();
        let version = relist(pods, &tell).await?;
        let pods = pods.clone();
        let task = tokio::spawn(async move {
            let mut version = version;
            while !tell.is_closed() {
                let Err(error) = watch(&pods, &mut version, &tell).await else {
                    continue;
                };
                println!("    a watch was closed: {error:#}");
                match relist(&pods, &tell).await {
                    Ok(newest) => version = newest,
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        Ok(Self { seen, task })
    }

    /// The next change.
    pub(crate) async fn next(&mut self) -> Result<Seen> {
        let next = tokio::time::timeout(SILENCE, self.seen.recv()).await;
        next.with_context(|| format!("no Pod changed within {SILENCE:?}"))?
            .context("the watch ended")
    }
}

async fn relist(pods: &Pods, tell: &mpsc::UnboundedSender<Seen>) -> Result<String> {
    let list = pods.list().await?;
    let at = Instant::now();
    for pod in list.items {
        let _ = tell.send(Seen { at, pod });
    }
    Ok(list.metadata.resource_version)
}

/// Watches from `version` until the server has had enough.
async fn watch(
    pods: &Pods,
    version: &mut String,
    tell: &mpsc::UnboundedSender<Seen>,
) -> Result<()> {
    let params = WatchParams::default().labels(&pods.selector());
    let request = pods.path().watch(&params, version)?;
    let events = pods.client().request_events::<Pod>(request).await?;
    pin_mut!(events);
    while let Some(event) = events.try_next().await? {
        let at = Instant::now();
        match event {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                version.clone_from(&pod.metadata.resource_version);
                let _ = tell.send(Seen { at, pod });
            }
            WatchEvent::Deleted(pod) => version.clone_from(&pod.metadata.resource_version),
            WatchEvent::Bookmark(bookmark) => {
                version.clone_from(&bookmark.metadata.resource_version);
            }
            WatchEvent::Error(status) => bail!("{}", status.message),
        }
    }
    Ok(())
}
