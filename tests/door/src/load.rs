//! Requests at a steady pace, and how long each took.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use rustls::ClientConfig;
use tokio::{task::JoinSet, time::Instant};

use crate::client::Client;

/// How hard somebody knocks.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Requests per second, over all connections.
    pub rate: u32,
    /// How many connections share them.
    pub connections: u32,
    /// For how long.
    pub time: Duration,
}

/// How long requests took, sorted.
#[derive(Clone, Debug, Default)]
pub struct Times {
    sorted: Vec<Duration>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

impl Times {
    /// How many there were.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// So many of a thousand were at least as quick.
    pub fn per_mille(&self, share: usize) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        let at = (self.sorted.len() * share / 1000).min(last);
        self.sorted.get(at).copied().unwrap_or_default()
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.sorted.extend(other.sorted);
        self.sorted.sort_unstable();
        self.elapsed += other.elapsed;
        self
    }
}

/// Posts `body` to `path` at this pace. Every request has its time to begin; one that has to wait
/// for the one before it has begun then all the same.
///
/// # Errors
/// When one is not answered by 200.
pub async fn post(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    path: &'static str,
    body: &[u8],
    pace: Pace,
) -> Result<Times> {
    let mut clients = Vec::new();
    for _ in 0..pace.connections {
        clients.push(Client::connect(address, config).await?);
    }
    let body = hyper::body::Bytes::copy_from_slice(body);
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for (n, mut client) in (0..).zip(clients) {
        let body = body.clone();
        callers.spawn(async move {
            let step = Duration::from_secs(1) * pace.connections / pace.rate;
            let mut due = begun + Duration::from_secs(1) * n / pace.rate;
            let mut times = Vec::new();
            while due < begun + pace.time {
                let is_late = due <= Instant::now();
                tokio::time::sleep_until(due).await;
                // A timer rings a moment late: that is not the server's fault.
                let sent = if is_late { due } else { Instant::now() };
                let answer = client.post(path, body.clone()).await?;
                times.push(sent.elapsed());
                ensure!(
                    answer.code == 200,
                    "HTTP {}: {}",
                    answer.code,
                    answer.text()
                );
                due += step;
            }
            Ok(times)
        });
    }
    let mut sorted = Vec::new();
    while let Some(times) = callers.join_next().await {
        sorted.extend(times??);
    }
    sorted.sort_unstable();
    Ok(Times {
        sorted,
        elapsed: begun.elapsed(),
    })
}
