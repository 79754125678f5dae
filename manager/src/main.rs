//! The binary `insitu-manager`: arguments, logs, run.

use std::process::ExitCode;

use clap::Parser;
use manager::{args::Args, run, wiring};
use process::{exit::failed, telemetry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// One thread besides this one does all the work, however many CPUs the node has. An update needs
// little more than a millisecond of it per Pod, and each thread more would keep pages of its own for
// every size of object.
#[tokio::main(worker_threads = 1)]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = telemetry::init(args.log_format, &args.log_level) {
        return failed("insitu-manager", &error);
    }
    match run::run(args, wiring::start).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("insitu-manager", &error),
    }
}
