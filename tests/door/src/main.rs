//! Knocks at the webhook: `fuzz` with nonsense, `bench` at a steady pace.

use std::{process::ExitCode, thread};

use anyhow::Result;
use clap::{Args, Parser};
use door::{
    fuzz::{self, Tally},
    process::own_resident_mib,
};

mod bench;
mod echo;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Knocks at the webhook.
#[derive(Debug, Parser)]
enum Command {
    /// Ask a door in this process with bodies that no API server would send.
    Fuzz(Fuzz),
    /// Measure a webhook against a bare echo.
    Bench(bench::Options),
    /// Send back what is sent: the floor that `bench` compares with.
    Echo(echo::Options),
}

#[derive(Debug, Args)]
struct Fuzz {
    /// How many bodies.
    #[arg(long, default_value_t = 1_000_000)]
    runs: u64,
    /// Which ones; the same seed sends the same bodies.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many threads share them, each with a seed of its own.
    #[arg(long, default_value_t = 2)]
    threads: u64,
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Fuzz(options) => nonsense(&options),
        Command::Bench(options) => run(bench::run(options)),
        Command::Echo(options) => run(echo::run(options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("door: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: impl Future<Output = Result<()>>) -> Result<()> {
    webhook::run::allow_sockets();
    tokio::runtime::Runtime::new()?.block_on(task)
}

fn nonsense(options: &Fuzz) -> Result<()> {
    fuzz::hush_panics();
    let share = options.runs.div_ceil(options.threads.max(1));
    let seeds = options.seed..options.seed + options.threads.max(1);
    let threads: Vec<_> = seeds
        .map(|seed| {
            thread::spawn(move || {
                fuzz::run(seed, share, |run| {
                    let memory = own_resident_mib().unwrap_or_default();
                    println!("seed {seed}: {run} runs, {memory:.1} MiB");
                })
            })
        })
        .collect();
    let mut sum = Tally::default();
    for thread in threads {
        let tally = thread
            .join()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        sum.answered += tally.answered;
        sum.converted += tally.converted;
        sum.refused += tally.refused;
    }
    let Tally {
        answered,
        converted,
        refused,
    } = sum;
    println!(
        "{} bodies, no finding: {answered} answered, {refused} refused; {converted} objects were \
         converted and came back the same",
        answered + refused
    );
    Ok(())
}
