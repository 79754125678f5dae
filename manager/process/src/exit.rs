//! The last words of a process that cannot go on.

use std::{error::Error, process::ExitCode};

/// Says why `program` ends, down to the first cause.
pub fn failed(program: &str, error: &dyn Error) -> ExitCode {
    eprintln!("{program}: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        eprintln!("  because: {error}");
        source = error.source();
    }
    ExitCode::FAILURE
}
