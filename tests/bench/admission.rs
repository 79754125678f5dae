//! What an API server says about the webhook: how long its questions took.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cluster::{Cluster, Options, RealNode};
use harness::door;
use kube::Api;
use serde_json::{Value, json};

use crate::manager::free_address;
use crate::program::{self, Program};
use crate::{stage, wait};

/// Clients at a time.
const CLIENTS: usize = 4;
const FOR: Duration = Duration::from_secs(15);
/// The API server's histogram.
const HISTOGRAM: &str = "apiserver_admission_webhook_admission_duration_seconds_bucket";

pub(crate) fn options() -> Options {
    Options {
        real_node: RealNode::Never,
        ..Options::new(stage::name("admission"))
    }
}

/// Starts the webhook; it listens where the second says.
fn start(binary: &Path, cluster: &Cluster) -> Result<(Program, SocketAddr)> {
    // Where the cluster reaches this machine.
    let address = SocketAddr::from((cluster.host_ip()?, free_address()?.port()));
    let mut command = program::command(binary);
    command.args(["--health-probe-bind-address=0", "--metrics-bind-address=0"]);
    command.arg("--log-level=warn");
    command.arg(format!("--bind-address={address}"));
    command.env("KUBECONFIG", cluster.kubeconfig());
    Ok((Program::start(&mut command)?, address))
}

/// Asks again and again, and gives what the API server measured meanwhile.
pub(crate) async fn run(cluster: &Cluster, binary: &Path) -> Result<Value> {
    door::install(cluster)?;
    let client = harness::stage::client(cluster.kubeconfig().to_owned()).await;
    let (_webhook, address) = start(binary, cluster)?;
    door::lead(&client, address).await?;
    let sets = Api::default_namespaced(client);
    wait::until("the API server believes the webhook", async || {
        Ok(door::ask(&sets).await.map_err(|error| error.to_string()))
    })
    .await?;
    let before = Buckets::read(cluster)?;
    let until = Instant::now() + FOR;
    let asking = (0..CLIENTS).map(|_| async {
        while Instant::now() < until {
            door::ask(&sets).await?;
        }
        Ok::<_, kube::Error>(())
    });
    futures::future::try_join_all(asking).await?;
    let seen = Buckets::read(cluster)?.since(&before);
    ensure!(seen.count() > 100.0, "hardly anything was asked: {seen:?}");
    Ok(json!({
        "requests": seen.count(),
        "per_second": (seen.count() / FOR.as_secs_f64()).round(),
        "at_most_ms": {"p50": seen.quantile_ms(0.5), "p90": seen.quantile_ms(0.9),
            "p99": seen.quantile_ms(0.99)},
        "share_within": seen.shares(),
    }))
}

/// How many answers came within so many seconds, the last without a limit.
#[derive(Debug)]
struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    fn read(cluster: &Cluster) -> Result<Self> {
        let text = cluster.kubectl(&["get", "--raw", "/metrics"])?;
        let lines = text.lines().filter(|line| {
            line.starts_with(HISTOGRAM)
                && line.contains(r#"name="clonesets.apps.kruise.io""#)
                && line.contains(r#"operation="CREATE""#)
                && line.contains(r#"rejected="false""#)
        });
        let bucket = |line: &str| {
            let limit = line.split(r#"le=""#).nth(1)?.split('"').next()?;
            let count = line.rsplit(' ').next()?;
            Some((limit.parse().ok()?, count.parse().ok()?))
        };
        let buckets = lines.map(|line| bucket(line).with_context(|| format!("read {line:?}")));
        Ok(Self(buckets.collect::<Result<_>>()?))
    }

    fn since(mut self, before: &Self) -> Self {
        for ((_, now), (_, then)) in self.0.iter_mut().zip(&before.0) {
            *now -= then;
        }
        self
    }

    fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The limit that so many kept, in milliseconds.
    fn quantile_ms(&self, share: f64) -> f64 {
        let all = self.count();
        let kept = self.0.iter().find(|(_, count)| *count >= all * share);
        kept.map_or(f64::NAN, |(limit, _)| limit * 1000.0)
    }

    /// By limit, in milliseconds, up to the first that all kept.
    fn shares(&self) -> Value {
        let all = self.count();
        let mut shares = serde_json::Map::new();
        for (limit, count) in &self.0 {
            let share = (count / all * 10_000.0).round() / 10_000.0;
            shares.insert(format!("{} ms", limit * 1000.0), share.into());
            if *count >= all {
                break;
            }
        }
        shares.into()
    }
}
