//! Measures the webhook against a bare echo on the same machine, in one run.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, ensure};
use clap::Args;
use door::{
    client::{self, Client},
    load::{self, Pace},
    reviews,
};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::time::Instant;

mod injection;
mod lists;
mod numbers;
mod started;

use injection::Injection;
use numbers::{count, cpu_ms, mib, ms, round};
use started::{Folder, Started, certificates};

/// How many handshakes are under way at a time.
const HANDSHAKES: usize = 64;

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The binary to measure.
    #[arg(long)]
    webhook: PathBuf,
    /// Requests per second.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// How many connections share them.
    #[arg(long, default_value_t = 10)]
    connections: u32,
    /// For how long, in seconds; the echo gets half before and half after.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How many connections are held that nobody uses.
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// How many objects are converted in one review.
    #[arg(long, default_value_t = 5000)]
    objects: usize,
    /// Pods per second that are injected; each case takes as long as `seconds`, and the echo too.
    #[arg(long, default_value_t = 200)]
    pods: u32,
    /// How many SidecarSets there are that a Pod is not given.
    #[arg(long, default_value_t = 10_000)]
    others: usize,
    /// Where the figures are written.
    #[arg(long, default_value = "target/bench/webhook.json")]
    out: PathBuf,
}

pub(crate) async fn run(options: Options) -> Result<()> {
    let folder = Folder(std::env::temp_dir().join(format!("insitu-door-{}", std::process::id())));
    let config = certificates(&folder.0)?;
    let echo = started::echo(&folder.0).await?;
    let mut figures = validation(&options, &folder.0, &config, &echo).await?;
    let injection = Injection {
        webhook: &options.webhook,
        folder: &folder.0,
        config: &config,
        echo: &echo,
        pace: options.pace(options.pods),
        others: options.others,
    };
    figures["injection"] = injection.measure().await?;
    echo.process.end().await?;
    write(&options.out, &figures)
}

impl Options {
    fn pace(&self, rate: u32) -> Pace {
        Pace {
            rate,
            connections: self.connections,
            time: Duration::from_secs(self.seconds),
        }
    }
}

/// What a CloneSet costs, and what it takes to be there at all.
async fn validation(
    options: &Options,
    folder: &Path,
    config: &Arc<ClientConfig>,
    echo: &Started,
) -> Result<Value> {
    let body = reviews::create();
    let webhook = started::webhook(&options.webhook, folder, None).await?;
    let (at, echo_at) = (webhook.at, echo.at);
    let whole = options.pace(options.rate);
    let lasting = |time| Pace { time, ..whole };
    let (second, half) = (lasting(Duration::from_secs(1)), lasting(whole.time / 2));
    for (address, path) in [(echo_at, "/"), (at, "/validate")] {
        load::post(address, config, path, &body, second).await?;
    }

    let before = echo.process.cpu()?;
    let echoed = load::post(echo_at, config, "/", &body, half).await?;
    let echo_cpu = cpu_ms(&echo.process, before, &echoed)?;
    let before = webhook.process.cpu()?;
    let ours = load::post(at, config, "/validate", &body, whole).await?;
    let cpu = cpu_ms(&webhook.process, before, &ours)?;
    let rss = webhook.process.resident_mib()?;
    let echoed = echoed.and(load::post(echo_at, config, "/", &body, half).await?);

    let held = hold(at, config, options.idle).await?;
    let idle_rss = webhook.process.resident_mib()?;
    let one = load::post(at, config, "/validate", &body, second).await?;
    drop(held);
    let (convert, converted) = convert(at, config, options.objects).await?;
    let convert_peak = webhook.process.peak_mib()?;
    webhook.process.end().await?;
    Ok(json!({
        "rps": round(count(&ours) / ours.elapsed.as_secs_f64()),
        "p50_ms": ms(ours.per_mille(500)),
        "p99_ms": ms(ours.per_mille(990)),
        "echo_p50_ms": ms(echoed.per_mille(500)),
        "echo_p99_ms": ms(echoed.per_mille(990)),
        "cpu_ms_per_request": cpu,
        "echo_cpu_ms_per_request": echo_cpu,
        "rss_mb": round(rss),
        "cold_start_s": round(webhook.after.as_secs_f64()),
        "idle_connections": options.idle,
        "idle_rss_mb": round(idle_rss),
        "idle_p99_ms": ms(one.per_mille(990)),
        "convert_objects": options.objects,
        "convert_mb": round(mib(converted)),
        "convert_s": round(convert.as_secs_f64()),
        "convert_peak_rss_mb": round(convert_peak),
        "requests": ours.count(),
        "body_bytes": body.len(),
    }))
}

fn write(out: &Path, figures: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(figures)? + "\n";
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(out, &text)?;
    print!("{text}");
    Ok(())
}

/// Has a list converted: how long it takes, and how large it is.
async fn convert(
    at: SocketAddr,
    config: &Arc<ClientConfig>,
    objects: usize,
) -> Result<(Duration, usize)> {
    let objects: Vec<_> = (0..objects)
        .map(|n| reviews::old_set(&format!("web-{n}")))
        .collect();
    let review = reviews::bytes(&reviews::conversion("v1beta1", &objects));
    drop(objects);
    let size = review.len();
    let mut client = Client::connect(at, config).await?;
    let begun = Instant::now();
    let answer = client.post("/convert", review).await?;
    ensure!(answer.code == 200, "{}", answer.text());
    Ok((begun.elapsed(), size))
}

/// Opens connections that nobody uses; they stay as long as what is returned.
async fn hold(
    at: SocketAddr,
    config: &Arc<ClientConfig>,
    count: usize,
) -> Result<Vec<impl Sized + use<>>> {
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        let next = (count - held.len()).min(HANDSHAKES);
        let handshakes = (0..next).map(|_| client::handshake(at, config));
        held.extend(futures::future::try_join_all(handshakes).await?);
    }
    Ok(held)
}
