//! The manager as a process of this machine, which never outlives the benchmark.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use kube::{Client, Config};

use crate::process::Process;
use crate::program::{self, Program};
use crate::wait;

/// A running manager.
pub(crate) struct Manager {
    program: Program,
    log: PathBuf,
    metrics: Client,
    pub(crate) process: Process,
}

/// How long the allocator keeps memory that is not needed, in milliseconds.
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// Counters and sums of the manager, from /metrics.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counters {
    /// Passes over the set.
    pub(crate) passes: f64,
    /// Time they took, waiting for answers included.
    pub(crate) passes_s: f64,
}

impl Manager {
    /// Starts `binary` with a configuration of its own and waits until its caches are filled. The
    /// kernel kills it when the thread ends that called this: call it from the main thread.
    pub(crate) async fn start(binary: &Path, kubeconfig: &Path, log: PathBuf) -> Result<Self> {
        let (probes, metrics) = (free_address()?, free_address()?);
        let mut command = program::command(binary);
        command.arg("--leader-elect=false");
        command.arg(format!("--health-probe-bind-address={probes}"));
        command.arg(format!("--metrics-bind-address={metrics}"));
        command.env("KUBECONFIG", kubeconfig);
        // As config/manager has it, unless somebody tries another one.
        if std::env::var_os(PURGE_DELAY).is_none() {
            command.env(PURGE_DELAY, "0");
        }
        command.stderr(File::create(&log)?);
        let program = Program::start(&mut command)?;
        let process = program.process();
        let manager = Self {
            program,
            log,
            metrics: client(metrics)?,
            process,
        };
        let probes = client(probes)?;
        wait::until("the manager is ready", async || {
            manager.check()?;
            let answer = get(&probes, "/readyz").await;
            Ok(answer
                .map(drop)
                .map_err(|error| format!("the manager is not ready: {error:#}")))
        })
        .await?;
        Ok(manager)
    }

    /// Fails when the manager has ended.
    pub(crate) fn check(&self) -> Result<()> {
        let log = || fs::read_to_string(&self.log).unwrap_or_default();
        ensure!(!self.program.has_ended()?, "the manager ended:\n{}", log());
        Ok(())
    }

    /// What it has counted so far.
    pub(crate) async fn counters(&self) -> Result<Counters> {
        let text = get(&self.metrics, "/metrics").await?;
        let sum = |name: &str| -> f64 {
            let lines = text.lines().filter(|line| line.starts_with(name));
            lines
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum()
        };
        Ok(Counters {
            passes: sum("controller_runtime_reconcile_total{"),
            passes_s: sum("controller_runtime_reconcile_time_seconds_sum"),
        })
    }
}

/// A port that is free this moment: asking the manager for any would leave us without its number.
/// An address that nobody listens on, for the moment.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn client(address: SocketAddr) -> Result<Client> {
    Ok(Client::try_from(Config::new(
        format!("http://{address}").parse()?,
    ))?)
}

async fn get(client: &Client, path: &str) -> Result<String> {
    // The builder of requests for the API: an object without a name is just its path.
    let request = kube::core::Request::new(path).list(&kube::api::ListParams::default())?;
    Ok(client.request_text(request).await?)
}
