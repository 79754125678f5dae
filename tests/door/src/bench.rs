//! Measures the webhook against a bare echo on the same machine, in one run.

use std::{
    fs,
    net::{SocketAddr, TcpListener as StdListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use door::{
    client::{self, Client, Http},
    load::{self, Pace, Times},
    process::Process,
    reviews, serving,
};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::Instant,
};

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
    /// Where the figures are written.
    #[arg(long, default_value = "target/bench/webhook.json")]
    out: PathBuf,
}

/// A folder with certificates, gone at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn run(options: Options) -> Result<()> {
    let folder = Folder(std::env::temp_dir().join(format!("insitu-door-{}", std::process::id())));
    let config = certificates(&folder.0)?;
    let body = reviews::create();
    let echo_at = free()?;
    let echo = Process::start(
        Command::new(std::env::current_exe()?)
            .args(["echo", "--address", &echo_at.to_string(), "--cert-dir"])
            .arg(&folder.0),
    )?;
    let (webhook, at, cold_start) = start(&options.webhook, &folder.0).await?;
    let pace = |seconds| Pace {
        rate: options.rate,
        connections: options.connections,
        time: seconds,
    };
    let half = Duration::from_secs(options.seconds) / 2;
    listening(echo_at).await?;
    for (address, path) in [(echo_at, "/"), (at, "/validate")] {
        load::post(address, &config, path, &body, pace(Duration::from_secs(1))).await?;
    }

    let before = echo.cpu()?;
    let echoed = load::post(echo_at, &config, "/", &body, pace(half)).await?;
    let echo_cpu = cpu_ms(&echo, before, &echoed)?;
    let before = webhook.cpu()?;
    let ours = load::post(at, &config, "/validate", &body, pace(half * 2)).await?;
    let cpu = cpu_ms(&webhook, before, &ours)?;
    let rss = webhook.resident_mib()?;
    let echoed = echoed.and(load::post(echo_at, &config, "/", &body, pace(half)).await?);
    echo.end().await?;

    let held = hold(at, &config, options.idle).await?;
    let idle_rss = webhook.resident_mib()?;
    let one = load::post(
        at,
        &config,
        "/validate",
        &body,
        pace(Duration::from_secs(1)),
    )
    .await?;
    drop(held);
    let (convert, converted) = convert(at, &config, options.objects).await?;
    let convert_peak = webhook.peak_mib()?;
    webhook.end().await?;
    let figures = json!({
        "rps": round(count(&ours) / ours.elapsed.as_secs_f64()),
        "p50_ms": ms(ours.per_mille(500)),
        "p99_ms": ms(ours.per_mille(990)),
        "echo_p50_ms": ms(echoed.per_mille(500)),
        "echo_p99_ms": ms(echoed.per_mille(990)),
        "cpu_ms_per_request": cpu,
        "echo_cpu_ms_per_request": echo_cpu,
        "rss_mb": round(rss),
        "cold_start_s": round(cold_start.as_secs_f64()),
        "idle_connections": options.idle,
        "idle_rss_mb": round(idle_rss),
        "idle_p99_ms": ms(one.per_mille(990)),
        "convert_objects": options.objects,
        "convert_mb": round(mib(converted)),
        "convert_s": round(convert.as_secs_f64()),
        "convert_peak_rss_mb": round(convert_peak),
        "requests": ours.count(),
        "body_bytes": body.len(),
    });
    write(&options.out, &figures)
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

#[allow(clippy::cast_precision_loss, reason = "requests are few")]
fn count(times: &Times) -> f64 {
    times.count() as f64
}

/// What a request cost `process`, which had used `before`, in milliseconds of CPU.
fn cpu_ms(process: &Process, before: Duration, asked: &Times) -> Result<f64> {
    let used = process.cpu()?.saturating_sub(before);
    Ok(round(used.as_secs_f64() * 1000.0 / count(asked)))
}

fn ms(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1000.0)
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Certificates in `folder`, and a client that trusts them.
fn certificates(folder: &Path) -> Result<Arc<ClientConfig>> {
    fs::create_dir_all(folder)?;
    let authority = serving::authority()?;
    let leaf = serving::leaf(&authority)?;
    fs::write(folder.join("ca.crt"), &authority.certificate)?;
    fs::write(folder.join("tls.crt"), &leaf.certificate)?;
    fs::write(folder.join("tls.key"), &leaf.key)?;
    let config = client::config(&authority.certificate, None, Http::One)?;
    Ok(Arc::new(config))
}

/// An address that nobody listens on, for the moment.
fn free() -> Result<SocketAddr> {
    Ok(StdListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Starts the webhook and waits until it is ready.
async fn start(binary: &Path, folder: &Path) -> Result<(Process, SocketAddr, Duration)> {
    let (at, probes) = (free()?, free()?);
    let begun = Instant::now();
    let process = Process::start(
        Command::new(binary)
            .args(["--bind-address", &at.to_string(), "--cert-dir"])
            .arg(folder)
            .args(["--health-probe-bind-address", &probes.to_string()])
            .args(["--metrics-bind-address", "0", "--log-level", "warn"]),
    )?;
    while !is_ready(probes).await {
        ensure!(
            begun.elapsed() < Duration::from_secs(30),
            "it does not get ready"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok((process, at, begun.elapsed()))
}

async fn is_ready(probes: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(probes).await?;
        let request = b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
    };
    ask.await.unwrap_or(false)
}

async fn listening(address: SocketAddr) -> Result<()> {
    let begun = Instant::now();
    while let Err(error) = TcpStream::connect(address).await {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(error).context("the echo does not listen");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "bodies are no larger")]
fn mib(bytes: usize) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
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
