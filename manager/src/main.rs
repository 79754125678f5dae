//! The binary `insitu-manager`: arguments, logs, run.

use std::{error::Error, process::ExitCode};

use clap::Parser;
use manager::{args::Args, run, wiring};
use process::telemetry;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// One thread besides this one does all the work, however many CPUs the node has. An update needs
// little more than a millisecond of it per Pod, and each thread more would keep pages of its own for
// every size of object.
#[tokio::main(worker_threads = 1)]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = telemetry::init(args.log_format, &args.log_level) {
        return failed(&error);
    }
    match run::run(args, wiring::start).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn Error) -> ExitCode {
    eprintln!("insitu-manager: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        eprintln!("  because: {error}");
        source = error.source();
    }
    ExitCode::FAILURE
}
