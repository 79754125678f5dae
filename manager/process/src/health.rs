//! What probes and Prometheus ask over HTTP.

use std::{
    fmt::{self, Write},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::Mutex;
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::metrics::CONTENT_TYPE;

/// The server stopped by itself.
#[derive(Debug, thiserror::Error)]
#[error("failed to serve")]
pub struct Error(#[source] std::io::Error);

/// One named question; `Err` says what is missing.
pub struct Check {
    name: &'static str,
    ask: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

impl Check {
    /// A check that shows as `name`.
    pub fn new(
        name: &'static str,
        ask: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            ask: Box::new(ask),
        }
    }
}

/// Proof that somebody is still at work: fails its check when nobody beat it for too long.
#[derive(Debug, Clone)]
pub struct Heartbeat(Arc<Mutex<Instant>>);

impl Default for Heartbeat {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Heartbeat {
    /// I am alive.
    pub fn beat(&self) {
        *self.0.lock() = Instant::now();
    }

    /// A check that the last beat is no older than `max_age`.
    pub fn check(&self, name: &'static str, max_age: Duration) -> Check {
        let last = Arc::clone(&self.0);
        Check::new(name, move || {
            let age = last.lock().elapsed();
            if age <= max_age {
                Ok(())
            } else {
                Err(format!("silent for {age:.1?}"))
            }
        })
    }
}

/// Serves /healthz (`live`: restart me if it fails) and /readyz (`ready`).
pub fn probes(live: Vec<Check>, ready: Vec<Check>) -> Router {
    let answer = |checks: Vec<Check>| {
        get(
            |RawQuery(query): RawQuery, State(checks): State<Arc<Vec<Check>>>| async move {
                ask(
                    &checks,
                    query.as_deref().unwrap_or_default().starts_with("verbose"),
                )
            },
        )
        .with_state(Arc::new(checks))
    };
    Router::new()
        .route("/healthz", answer(live))
        .route("/readyz", answer(ready))
}

/// Serves /metrics, as `encode` writes them.
pub fn metrics(
    encode: impl Fn() -> Result<String, fmt::Error> + Clone + Send + Sync + 'static,
) -> Router {
    let scrape = move || async move {
        match encode() {
            Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    };
    Router::new().route("/metrics", get(scrape))
}

/// Serves until `shutdown`.
///
/// # Errors
/// See [`Error`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
        .map_err(Error)
}

/// In the form that `kubectl get --raw` users know from the API server.
fn ask(checks: &[Check], is_verbose: bool) -> Response {
    let answers: Vec<_> = checks
        .iter()
        .map(|check| (check.name, (check.ask)()))
        .collect();
    let is_well = answers.iter().all(|(_, answer)| answer.is_ok());
    let status = if is_well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if is_well && !is_verbose {
        return (status, "ok").into_response();
    }
    let mut text = String::new();
    for (name, answer) in answers {
        // Writing to a String cannot fail.
        let _ = match answer {
            Ok(()) => writeln!(text, "[+]{name} ok"),
            Err(why) => writeln!(text, "[-]{name} failed: {why}"),
        };
    }
    text.push_str(if is_well {
        "check passed\n"
    } else {
        "check failed\n"
    });
    (status, text).into_response()
}

#[cfg(test)]
mod tests;
