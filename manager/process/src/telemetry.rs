//! Logs, to stderr.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::args::LogFormat;

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--log-level` is not understood.
    #[error("failed to understand the log level {filter:?}")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logs were set up before.
    #[error("failed to set up logs")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logs for the whole process. Call it once.
///
/// # Errors
/// See [`Error`].
pub fn init(format: LogFormat, filter: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(filter).map_err(|source| Error::Filter {
        filter: filter.to_owned(),
        source,
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Json => {
            registry
                .with(lines.json().flatten_event(true).with_current_span(true))
                .try_init()?;
        }
        LogFormat::Human => registry
            .with(lines.with_target(false).compact())
            .try_init()?,
    }
    Ok(())
}
