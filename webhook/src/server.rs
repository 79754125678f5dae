//! Accepts connections and sees them off.

use std::{sync::Arc, time::Duration};

use axum::Router;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

mod activity;
mod connection;

use connection::End;

/// When the system has no more sockets: a pause, so that connections may end.
const BREATH: Duration = Duration::from_millis(100);

/// What a connection may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many may be open; the next ones wait to be accepted.
    pub connections: usize,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request to the end of its head (HTTP/1.1).
    pub head: Duration,
    /// Without a request. API servers close what they do not need after 90 s: whoever closes first
    /// cannot run into a request that is on its way.
    pub idle: Duration,
    /// Of a request's head.
    pub head_bytes: u32,
    /// Requests at the same time on one HTTP/2 connection.
    pub streams: u32,
    /// For what runs, when the process ends.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            head_bytes: 16 * 1024,
            streams: 128,
            drain: Duration::from_secs(20),
        }
    }
}

/// What serves connections.
#[derive(Clone, Debug)]
pub struct Server {
    /// How they are secured.
    pub tls: Arc<ServerConfig>,
    /// Who answers.
    pub router: Router,
    /// What they may cost.
    pub limits: Limits,
    /// Where they are counted.
    pub metrics: Metrics,
}

impl Server {
    /// Serves until `stop`; then nobody is let in any more, and what runs is finished.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let server = Arc::new(self);
        let mut connections = JoinSet::new();
        while let Some(tcp) = next(&listener, &stop).await {
            let Some(place) = stop
                .run_until_cancelled(Arc::clone(&room).acquire_owned())
                .await
            else {
                break;
            };
            while connections.try_join_next().is_some() {}
            let (server, stop) = (Arc::clone(&server), stop.clone());
            connections.spawn(async move {
                let _place = place;
                let open = server.metrics.open();
                open.inc();
                let _gone = OnDrop(|| {
                    open.dec();
                });
                let end = server.connection(tcp, stop).await;
                server.metrics.ended(end.label());
            });
        }
        drop(listener);
        let rest = async { while connections.join_next().await.is_some() {} };
        if timeout(server.limits.drain, rest).await.is_err() {
            tracing::warn!(
                after = ?server.limits.drain,
                connections = connections.len(),
                "some requests did not end in time"
            );
        }
    }

    async fn connection(&self, tcp: TcpStream, stop: CancellationToken) -> End {
        // An answer is one small write: waiting for more to send would only delay it.
        let _ = tcp.set_nodelay(true);
        let handshake = TlsAcceptor::from(Arc::clone(&self.tls)).accept(tcp);
        let handshake = stop.run_until_cancelled(timeout(self.limits.handshake, handshake));
        match handshake.await {
            None => End::Stopped,
            Some(Err(_elapsed)) => End::HandshakeSlow,
            Some(Ok(Err(error))) => {
                tracing::debug!(%error, "a handshake failed");
                End::HandshakeFailed
            }
            Some(Ok(Ok(stream))) => {
                connection::serve(stream, self.router.clone(), self.limits, stop).await
            }
        }
    }
}

/// The next connection; none after `stop`.
async fn next(listener: &TcpListener, stop: &CancellationToken) -> Option<TcpStream> {
    loop {
        match stop.run_until_cancelled(listener.accept()).await? {
            Ok((tcp, _)) => return Some(tcp),
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                stop.run_until_cancelled(tokio::time::sleep(BREATH)).await?;
            }
        }
    }
}

/// Does what is due also where a task is aborted.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
