//! Starts everything and stops it in order; the only place that spawns tasks for the whole process.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use process::{
    bind,
    client::{self, Clients, find_cluster},
    endpoints::Endpoints,
    health::Check,
    shutdown,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    args::Args,
    files::Files,
    keeper::{Keeper, Objects, Shown},
    metrics::Metrics,
    migration,
    readiness::Readiness,
    router,
    server::Server,
    sets::{Followed, Sets, follow},
    tls::{self, Identity},
};

/// The kinds that are converted.
const DEFINITIONS: [&str; 2] = ["clonesets.apps.kruise.io", "sidecarsets.apps.kruise.io"];
const USER_AGENT: &str = concat!("insitu-webhook/", env!("CARGO_PKG_VERSION"));
/// More are never under way: a handful of objects is read and written.
const CALLS_MAX: usize = 16;
/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// For how long tasks and plain servers may close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is taken.
    #[error(transparent)]
    Listen(#[from] bind::Error),
    /// There is nothing to serve.
    #[error("--bind-address is \"0\": the webhook has to listen somewhere")]
    NoAddress,
    /// No way to the API server.
    #[error("failed to connect to a cluster")]
    Client(#[from] client::Error),
    /// A file given by flag cannot be read.
    #[error("failed to read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// Signals cannot be received.
    #[error(transparent)]
    Signals(#[from] shutdown::Error),
}

/// What keeps the certificate gets this to work with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Who shows it.
    pub identity: Arc<Identity>,
    /// Who is told what is published.
    pub readiness: Arc<Readiness>,
    /// Where numbers go.
    pub metrics: Metrics,
    /// Cancelled at the very end.
    pub shutdown: CancellationToken,
    /// Spawn tasks here; they must end on `shutdown`.
    pub tracker: TaskTracker,
    /// The command line.
    pub args: Arc<Args>,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// See [`Error`].
pub async fn run(args: Args) -> Result<(), Error> {
    let signal = shutdown::stop_signal()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    allow_sockets();
    let identity = Arc::new(Identity::default());
    let parts = Parts {
        readiness: Arc::new(Readiness::new(
            Arc::clone(&identity),
            args.names().server_name(),
        )),
        metrics: Metrics::new(Arc::clone(&identity)),
        identity,
        shutdown: CancellationToken::new(),
        tracker: TaskTracker::new(),
        args: Arc::new(args),
    };
    let clients = cluster(&parts.args).await?;
    let sets = Arc::new(Sets::new(clients.as_ref().map(|c| c.calls.clone())));
    let server = server(&parts, Arc::clone(&sets))?;
    let listener = parts.args.bind_address.listen().await?;
    let listener = listener.ok_or(Error::NoAddress)?;
    let mut ready = vec![parts.readiness.check()];
    if let Some(clients) = &clients {
        follow_sets(&parts, clients, &sets);
        ready.push(sets.check());
    }
    certificates(&parts, clients);
    probes(&parts, ready).await?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(listener, stop.clone()));
    signal.cancelled().await;
    parts.readiness.leave();
    tracing::info!("stopping: the cluster learns of it, requests under way are answered");
    tokio::time::sleep(parts.args.shutdown_delay).await;
    stop.cancel();
    let _ = serving.await;
    parts.shutdown.cancel();
    parts.tracker.close();
    let _ = tokio::time::timeout(CLOSE_WITHIN, parts.tracker.wait()).await;
    tracing::info!("stopped");
    Ok(())
}

fn server(parts: &Parts, sets: Arc<Sets>) -> Result<Server, Error> {
    let args = &parts.args;
    let client_ca = args.client_ca.as_deref().map(read).transpose()?;
    let tls = tls::config(Arc::clone(&parts.identity), client_ca.as_deref())?;
    let metrics = parts.metrics.clone();
    Ok(Server {
        tls: Arc::new(tls),
        router: router::router(args.request_limits(), args.rules(), sets, metrics.clone()),
        limits: args.connection_limits(),
        metrics,
    })
}

/// The ways to the cluster. Who is given certificates can do without.
async fn cluster(args: &Args) -> Result<Option<Clients>, Error> {
    match (&args.cert_dir, clients(args).await) {
        (_, Ok(clients)) => Ok(Some(clients)),
        (None, Err(error)) => Err(error.into()),
        (Some(_), Err(error)) => {
            tracing::warn!(
                %error,
                "no cluster: nothing is injected, and objects of old versions are not stored anew"
            );
            Ok(None)
        }
    }
}

/// Begins to follow what is injected.
fn follow_sets(parts: &Parts, clients: &Clients, sets: &Arc<Sets>) {
    for followed in Followed::ALL {
        let (sets, watches) = (Arc::clone(sets), clients.watches.clone());
        let (namespace, shutdown) = (parts.args.namespace.clone(), parts.shutdown.clone());
        let following = follow(sets, followed, watches, namespace, shutdown);
        parts.tracker.spawn(following);
    }
}

/// Begins to keep the certificate, and to have old objects stored anew.
fn certificates(parts: &Parts, clients: Option<Clients>) {
    let args = &parts.args;
    let definitions = DEFINITIONS.map(str::to_owned).to_vec();
    if let Some(folder) = args.cert_dir.clone() {
        let files = Files {
            folder,
            identity: Arc::clone(&parts.identity),
            readiness: Arc::clone(&parts.readiness),
            metrics: parts.metrics.clone(),
        };
        let keep = files.keep(LOOK_EVERY, parts.shutdown.clone());
        parts.tracker.spawn(keep);
    } else if let Some(clients) = &clients {
        let objects = Objects {
            secret: args.secret.clone(),
            configuration: args.configuration.clone(),
            definitions: definitions.clone(),
        };
        let shown = Shown {
            identity: Arc::clone(&parts.identity),
            readiness: Arc::clone(&parts.readiness),
            metrics: parts.metrics.clone(),
        };
        let keeper = Keeper::new(clients.calls.clone(), objects, args.wanted(), shown);
        let (watches, tracker) = (clients.watches.clone(), parts.tracker.clone());
        let keep = keeper.run(watches, tracker, parts.shutdown.clone());
        parts.tracker.spawn(keep);
    }
    if let Some(clients) = clients {
        let migrate = migration::run(clients.calls, definitions, parts.shutdown.clone());
        parts.tracker.spawn(migrate);
    }
}

async fn clients(args: &Args) -> Result<Clients, client::Error> {
    let config = find_cluster(args.kubeconfig.as_deref()).await?;
    Clients::new(config, CALLS_MAX, USER_AGENT)
}

async fn probes(parts: &Parts, ready: Vec<Check>) -> Result<(), Error> {
    let endpoints = Endpoints {
        probes: parts.args.health_probe_bind_address,
        metrics: parts.args.metrics_bind_address,
        live: Vec::new(),
        ready,
    };
    let metrics = parts.metrics.clone();
    let encode = move || metrics.encode();
    endpoints
        .serve(encode, &parts.tracker, &parts.shutdown)
        .await?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

/// Takes as many sockets as the system grants: the usual 1,024 are for programs of old.
pub fn allow_sockets() {
    let raise = || {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok::<(), nix::Error>(())
    };
    if let Err(error) = raise() {
        tracing::warn!(%error, "failed to raise the limit on open sockets");
    }
}
