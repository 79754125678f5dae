//! Being told to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Signals cannot be received.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen for signals")]
pub struct Error(#[source] std::io::Error);

/// Cancelled by SIGTERM or SIGINT. A second one ends the process at once. Call it before
/// anything else, so that no signal meets the default handler.
///
/// # Errors
/// See [`Error`].
pub fn stop_signal() -> Result<CancellationToken, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error)?;
    let token = CancellationToken::new();
    let told = token.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if told.is_cancelled() {
                std::process::exit(1);
            }
            told.cancel();
        }
    });
    Ok(token)
}
