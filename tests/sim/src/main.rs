//! `make sim`: random lives of a CloneSet. One seed is one run, always the same.
//!
//! Reading order: [`life`] (one run), [`controller`] (a process of the manager), [`stream`] and [`told`]
//! (what its caches are told), [`world`] and [`users`] (everything else), [`sidecars`] (who else writes to Pods), [`judge`] (what must hold) and
//! [`mutation`] (what must be found).

#![allow(clippy::panic, reason = "a broken promise ends the run")]

mod controller;
mod judge;
mod life;
mod mutation;
mod sidecars;
mod stream;

#[cfg(test)]
mod tests;
mod thieves;
mod told;
mod users;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use life::Life;
use mutation::Mutation;
use tokio::runtime::{Builder, Runtime};

/// As the manager does; a run is mostly small objects.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Random lives of a CloneSet.
#[derive(Parser)]
struct Args {
    /// Run so many seeds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Run this one and print what happens.
    #[arg(long)]
    seed: Option<u64>,
    /// At once.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// More than this is too slow: said, but no failure.
    #[arg(long, default_value_t = 60)]
    within: u64,
    /// Put this race into the driver.
    #[arg(long, value_enum, default_value = "none")]
    mutation: Mutation,
    /// With a SidecarSet on the same Pods: other lives.
    #[arg(long)]
    sidecars: bool,
}

/// What is the same for many runs.
#[derive(Clone, Copy)]
struct Course {
    mutation: Mutation,
    sidecars: bool,
}

/// A run that broke a promise.
struct Failure {
    seed: u64,
    what: String,
    trace: Vec<String>,
}

fn clock() -> Runtime {
    let mut builder = Builder::new_current_thread();
    let clock = builder.enable_time().start_paused(true).build();
    clock.expect("a clock needs nothing")
}

fn run(
    seed: u64,
    course: Course,
    is_traced: bool,
    clock: &Runtime,
) -> Result<Vec<String>, Failure> {
    let _time = clock.enter();
    let mut life = Life::new(seed, course, is_traced, clock);
    let end = catch_unwind(AssertUnwindSafe(|| life.run()));
    if end.is_err() {
        life.world.tell_all();
    }
    let trace = life.world.trace.take().unwrap_or_default();
    match end {
        Ok(()) => Ok(trace),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(Failure {
                seed,
                what: text.unwrap_or_else(|| "a panic without words".into()),
                trace,
            })
        }
    }
}

/// Where the last panic came from.
static PLACE: Mutex<String> = Mutex::new(String::new());

fn main() -> ExitCode {
    let args = Args::parse();
    std::panic::set_hook(Box::new(|info| {
        if let (Some(at), Ok(mut place)) = (info.location(), PLACE.lock()) {
            *place = at.to_string();
        }
    }));
    let course = Course {
        mutation: args.mutation,
        sidecars: args.sidecars,
    };
    match args.seed {
        Some(seed) => show(seed, course),
        None => many(&args, course),
    }
}

fn show(seed: u64, course: Course) -> ExitCode {
    let end = run(seed, course, true, &clock());
    let (trace, what) = match end {
        Ok(trace) => (trace, None),
        Err(failure) => (failure.trace, Some(failure.what)),
    };
    println!("{}", trace.join("\n"));
    match what {
        None => {
            println!("seed {seed}: every promise was kept");
            ExitCode::SUCCESS
        }
        Some(what) => {
            let place = PLACE.lock().map(|p| p.clone()).unwrap_or_default();
            println!("seed {seed} FAILED at {place}:\n{what}");
            ExitCode::FAILURE
        }
    }
}

fn many(args: &Args, course: Course) -> ExitCode {
    let started = Instant::now();
    let next = AtomicU64::new(args.first);
    let end = args.first + args.seeds;
    let failures: Mutex<Vec<Failure>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| {
                let clock = clock();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    if let Err(failure) = run(seed, course, false, &clock)
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push(failure);
                    }
                    let done = seed - args.first + 1;
                    if done.is_multiple_of(5_000) {
                        println!("{done} seeds, {:.0}/s", per_second(done, started.elapsed()));
                    }
                }
            });
        }
    });
    let took = started.elapsed();
    let mut failures = failures.into_inner().unwrap_or_default();
    failures.sort_by_key(|failure| failure.seed);
    for failure in failures.iter().take(20) {
        let what: String = failure.what.chars().take(400).collect();
        println!(
            "seed {} failed; see `make sim SEED={0}{}`\n  {what}",
            failure.seed,
            if course.sidecars { " SIDECARS=1" } else { "" }
        );
    }
    let (count, failed) = (args.seeds, failures.len());
    println!(
        "{count} seeds in {:.1} s ({:.0}/s), {failed} failed",
        took.as_secs_f64(),
        per_second(count, took)
    );
    if took > Duration::from_secs(args.within) {
        println!("warning: slower than {} s", args.within);
    }
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[allow(clippy::cast_precision_loss, reason = "seeds are few")]
fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(0.001)
}
