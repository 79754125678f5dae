//! The binary `insitu-webhook`: arguments, logs, run.

use std::{error::Error, process::ExitCode};

use clap::Parser;
use webhook::{args::Args, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = process::telemetry::init(args.log_format, &args.log_level) {
        return failed(&error);
    }
    match run::run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn Error) -> ExitCode {
    eprintln!("insitu-webhook: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        eprintln!("  because: {error}");
        source = error.source();
    }
    ExitCode::FAILURE
}
