//! Keeps the certificates: what the Secret holds, what this replica serves, whom API servers
//! believe. Every replica runs a keeper; none leads.
//!
//! A pass reads the registrations, then the Secret, and writes what is missing. In that order: who
//! published a newer bundle had written it to the Secret before, so a patch made from an older
//! Secret names a version of the registration that is gone by then.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use process::pauses::{self, Pauses};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::certs::material::{BUNDLE, Material};
use crate::certs::rotation::{self, Decision, Wanted};
use crate::certs::{Names, issue};
use crate::metrics::Metrics;
use crate::readiness::{Published, Readiness};
use crate::tls::{self, Identity};

mod pace;
pub mod registration;
mod store;
#[cfg(test)]
mod tests;
mod watching;

use pace::Paces;
use store::{Registration, Store, content};
pub use watching::{Objects, Watched};

/// Even when nothing tells of a change: watches may be silent for long.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Issue(#[from] issue::Error),
    #[error("failed to serve the certificate of the Secret")]
    Serve(#[from] tls::Error),
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Somebody else wrote at the same time, or something was written that more follows from.
    Again,
    /// Nothing to do before that, unless something changes.
    At(Timestamp),
    /// A write has to wait until then.
    Held(Instant),
}

/// Where others see what comes of it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The certificate that is served.
    pub identity: Arc<Identity>,
    /// Whether clients believe it.
    pub readiness: Arc<Readiness>,
    /// Numbers.
    pub metrics: Metrics,
}

/// Keeps certificates until it is told to stop.
pub struct Keeper {
    store: Store,
    wanted: Wanted,
    objects: Objects,
    shown: Shown,
    paces: Paces,
}

impl Keeper {
    /// Keeps `objects` by calls of `client`.
    pub fn new(client: Client, objects: Objects, wanted: Wanted, shown: Shown) -> Self {
        let namespace = &wanted.names.namespace;
        Self {
            store: Store::new(client, namespace, objects.secret.clone()),
            wanted,
            objects,
            shown,
            paces: Paces::default(),
        }
    }

    /// Until `shutdown`. `watches` is a client without a deadline.
    pub async fn run(mut self, watches: Client, tracker: TaskTracker, shutdown: CancellationToken) {
        let wake = Arc::new(Notify::new());
        for watched in self.objects.watched(&self.wanted.names) {
            let (client, wake) = (watches.clone(), Arc::clone(&wake));
            tracker.spawn(watching::watch(client, watched, wake, shutdown.clone()));
        }
        let keeping = async {
            let mut pauses = pauses();
            loop {
                match self.pass(Timestamp::now()).await {
                    Ok(Next::At(at)) => {
                        pauses = self::pauses();
                        rest(&wake, at).await;
                    }
                    Ok(Next::Held(until)) => tokio::time::sleep_until(until).await,
                    Ok(Next::Again) => tokio::time::sleep(pause(&mut pauses)).await,
                    Err(error) => {
                        self.shown.metrics.certificate_failed();
                        let pause = pause(&mut pauses);
                        let because = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::warn!(%error, because, ?pause, "failed to keep certificates");
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        };
        shutdown.run_until_cancelled(keeping).await;
    }

    async fn pass(&mut self, now: Timestamp) -> Result<Next, Error> {
        let registrations = self
            .store
            .registrations(&self.objects.registrations())
            .await?;
        let secret = self.store.secret().await?;
        let mut data = secret.as_ref().map(content).unwrap_or_default();
        let material = Material::read(&data, now);
        let is_published = is_published(&registrations, &material, &self.wanted.names);
        let decided = rotation::decide(&data, material, is_published, &self.wanted, now)?;
        let (material, decision) = decided;
        let next = match decision {
            Decision::Keep(until) => Next::At(until),
            Decision::Write(next, why) => {
                let (asked, pace) = (Instant::now(), self.paces.of(why));
                let may = pace.as_ref().map_or(asked, |pace| pace.next(asked));
                if may > asked {
                    return Ok(Next::Held(may));
                }
                if !self.store.write_secret(secret, &next).await? {
                    return Ok(Next::Again);
                }
                if let Some(pace) = pace {
                    pace.wrote(asked);
                }
                tracing::info!(?why, "wrote certificates");
                self.shown.metrics.rotated(why.as_str());
                data = next;
                Next::Again
            }
        };
        if let Some((pair, _)) = &material.leaf {
            self.shown.identity.set(pair)?;
        }
        let pem = data.get(BUNDLE).map(Vec::as_slice).unwrap_or_default();
        let is_all = self.publish_all(registrations, pem).await?;
        Ok(if is_all { next } else { Next::Again })
    }

    /// Whether every registration has the bundle now.
    async fn publish_all(
        &self,
        mut registrations: Vec<Registration>,
        pem: &[u8],
    ) -> Result<bool, store::Error> {
        let (mut is_all, mut failure) = (true, None);
        for Registration { watched, object } in &mut registrations {
            let Some(patch) = registration::publish(object, &self.wanted.names, pem) else {
                continue;
            };
            match self.store.write_registration(watched, patch).await {
                Ok(Some(next)) => {
                    tracing::info!(object = %watched, "published the bundle");
                    *object = next;
                }
                Ok(None) => is_all = false,
                // The others may fare better.
                Err(error) => failure = Some(error),
            }
        }
        self.take_stock(&registrations);
        failure.map_or(Ok(is_all), Err)
    }

    /// Whom clients believe.
    fn take_stock(&self, registrations: &[Registration]) {
        let mut published = Vec::new();
        for Registration { watched, object } in registrations {
            let bundles = registration::published(object, &self.wanted.names);
            published.extend(bundles.into_iter().map(|bundle| Published {
                place: watched.to_string(),
                bundle,
            }));
        }
        let nobody = "no registration leads here: apply the CustomResourceDefinitions and the \
                      webhook configurations";
        let known = !published.is_empty();
        let published = known.then_some(published).ok_or_else(|| nobody.to_owned());
        self.shown.readiness.set_published(published);
    }
}

/// Whether every client has the newest authority.
fn is_published(registrations: &[Registration], material: &Material, names: &Names) -> bool {
    let Some(newest) = material.trusted.first() else {
        return false;
    };
    let mut bundles = registrations
        .iter()
        .flat_map(|r| registration::published(&r.object, names));
    bundles.all(|bundle| bundle.contains(newest))
}

/// Until something changes or it is time to look again.
async fn rest(wake: &Notify, at: Timestamp) {
    let until = at.duration_since(Timestamp::now());
    let until = Duration::try_from(until).unwrap_or_default();
    let sleep = tokio::time::timeout(until.min(LOOK_AGAIN), wake.notified());
    // Either will do.
    let _is_woken = sleep.await;
}

fn pauses() -> Pauses {
    pauses::pauses(PAUSE_MIN, PAUSE_MAX)
}

fn pause(pauses: &mut Pauses) -> Duration {
    pauses.next().unwrap_or(PAUSE_MAX)
}
