//! Measures the manager against what the cluster itself could do at best, in the same run: figures
//! of different machines, or of different hours on a shared one, do not compare.

mod admission;
mod ceiling;
mod floor;
mod follow;
mod growth;
mod in_place;
mod manager;
mod pod;
mod pods;
mod process;
mod program;
mod rollout;
mod serial;
mod set;
mod stage;
mod steps;
mod table;
mod update;
mod wait;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use cluster::{Cluster, Options};
use serde_json::Value;

/// Benchmarks of insitu-manager on clusters of their own. Without a command: all of them.
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    /// The manager to measure; without it, one is built for release.
    #[arg(long, value_name = "FILE")]
    manager: Option<PathBuf>,

    #[command(subcommand)]
    benchmark: Option<Benchmark>,
}

#[derive(Subcommand)]
enum Benchmark {
    /// One Pod at a time on a real kubelet, against the kubelet's own floor; needs root.
    InPlace(InPlace),
    /// All Pods at once on fake nodes, against the ceiling of the API server.
    Rollout(Rollout),
    /// How long an API server waits for the webhook, as it says itself.
    Admission(Admission),
}

#[derive(Args)]
struct InPlace {
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pods: u32,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

#[derive(Args)]
struct Rollout {
    /// How many Pods; several numbers, several runs on clusters of their own, each compared with the
    /// first.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1000",
          value_parser = clap::value_parser!(u32).range(1..))]
    pods: Vec<u32>,
}

#[derive(Args)]
struct Admission {
    /// The webhook to measure; without it, one is built for release.
    #[arg(long, value_name = "FILE")]
    webhook: Option<PathBuf>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let manager = || match &cli.manager {
        Some(binary) => fs::canonicalize(binary).context("there is no such manager"),
        None => {
            println!("building the manager");
            harness::manager::binary("release")
        }
    };
    match &cli.benchmark {
        Some(Benchmark::InPlace(args)) => in_place(&manager()?, args),
        Some(Benchmark::Rollout(args)) => rollout(&manager()?, args),
        Some(Benchmark::Admission(args)) => admission(args),
        None => {
            let binary = manager()?;
            in_place(
                &binary,
                &InPlace {
                    pods: 10,
                    rounds: 3,
                },
            )?;
            rollout(&binary, &Rollout { pods: vec![1000] })
        }
    }
}

fn in_place(binary: &Path, &InPlace { pods, rounds }: &InPlace) -> Result<()> {
    println!("in place: {rounds} rounds of {pods} Pods; about a minute each");
    let run = async |cluster: &Cluster| in_place::run(cluster, binary, pods, rounds).await;
    with_cluster(in_place::options(), run)
}

fn rollout(binary: &Path, Rollout { pods }: &Rollout) -> Result<()> {
    let mut results = Vec::new();
    for &pods in pods {
        println!("rollout: {pods} Pods; some minutes for each thousand");
        let run = async |cluster: &Cluster| rollout::run(cluster, binary, pods).await;
        results.push(with_cluster(rollout::options(pods), run)?);
    }
    growth::print(&results);
    write("rollout.json", &Value::Array(results))
}

fn admission(Admission { webhook }: &Admission) -> Result<()> {
    let binary = match webhook {
        Some(binary) => fs::canonicalize(binary).context("there is no such webhook")?,
        None => harness::manager::program("webhook", "release")?,
    };
    println!("admission: the API server's own view of the webhook");
    let run = async |cluster: &Cluster| admission::run(cluster, &binary).await;
    let seen = with_cluster(admission::options(), run)?;
    println!("{seen:#}");
    write("admission.json", &seen)
}

/// Starts a cluster, runs `run`, and takes the cluster down, whatever came of it.
fn with_cluster<T>(options: Options, run: impl AsyncFnOnce(&Cluster) -> Result<T>) -> Result<T> {
    println!("  starting a cluster");
    let cluster = Cluster::start(options).context("failed to start a cluster")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(&cluster))
}

/// Where results go.
fn folder() -> Result<PathBuf> {
    let folder = harness::manager::root().join("target/bench");
    fs::create_dir_all(&folder)?;
    Ok(fs::canonicalize(folder)?)
}

fn write(file: &str, result: &Value) -> Result<()> {
    let path = folder()?.join(file);
    fs::write(&path, format!("{result:#}\n"))?;
    println!("written to {}", path.display());
    Ok(())
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}
