//! The binary `insitu-webhook`: arguments, logs, run.

use std::process::ExitCode;

use clap::Parser;
use process::{exit::failed, telemetry};
use webhook::{args::Args, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// One thread answers, and large bodies have threads of their own: handing every question from one
// thread to another costs more than the answer does.
#[tokio::main(worker_threads = 1)]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = telemetry::init(args.log_format, &args.log_level) {
        return failed("insitu-webhook", &error);
    }
    match run::run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("insitu-webhook", &error),
    }
}
