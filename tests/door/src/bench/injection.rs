//! What a Pod of 20 containers costs: with SidecarSets to inject, and with many that are for others.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use door::{
    client::Client,
    crowd::{self, Asks},
    load::{self, Pace},
};
use rustls::ClientConfig;
use serde_json::{Value, json};

use super::{
    lists::Lists,
    numbers::{cpu_ms, ms, round},
    started::{self, Started},
};

/// Sets that match.
const SETS: usize = 50;

/// Where and how hard it is measured.
pub(super) struct Injection<'a> {
    pub(super) webhook: &'a Path,
    pub(super) folder: &'a Path,
    pub(super) config: &'a Arc<ClientConfig>,
    pub(super) echo: &'a Started,
    pub(super) pace: Pace,
    /// Sets that do not match.
    pub(super) others: usize,
}

impl Injection<'_> {
    /// All cases.
    pub(super) async fn measure(&self) -> Result<Value> {
        let few = self.case(crowd::matching(SETS, Asks::Little)).await?;
        let greedy = self.case(crowd::matching(SETS, Asks::Everything)).await?;
        let mut all = crowd::matching(SETS, Asks::Little);
        all.extend(crowd::others(self.others));
        let many = self.case(all).await?;
        Ok(json!({
            "rate": self.pace.rate,
            "body_bytes": crowd::review().len(),
            "matching_sets": SETS,
            "little": few,
            "everything": greedy,
            "other_sets": self.others,
            "little_with_others": many,
        }))
    }

    /// One webhook with these sets, beside the echo.
    async fn case(&self, sets: Vec<Value>) -> Result<Value> {
        let lists = Lists::start(sets, vec![crowd::namespace()]).await?;
        let file: PathBuf = self.folder.join("kubeconfig");
        lists.kubeconfig(&file)?;
        let webhook = started::webhook(self.webhook, self.folder, Some(&file)).await?;
        let (body, config) = (crowd::review(), self.config);
        let answered = self.answered(&webhook, &body).await?;
        let half = Pace {
            time: self.pace.time / 2,
            ..self.pace
        };
        let warm = Pace {
            time: Duration::from_secs(1),
            ..self.pace
        };
        for (at, path) in [(self.echo.at, "/"), (webhook.at, "/inject")] {
            load::post(at, config, path, &body, warm).await?;
        }
        let before = self.echo.process.cpu()?;
        let echoed = load::post(self.echo.at, config, "/", &body, half).await?;
        let echo_cpu = cpu_ms(&self.echo.process, before, &echoed)?;
        let before = webhook.process.cpu()?;
        let ours = load::post(webhook.at, config, "/inject", &body, self.pace).await?;
        let cpu = cpu_ms(&webhook.process, before, &ours)?;
        let echoed = echoed.and(load::post(self.echo.at, config, "/", &body, half).await?);
        let figures = json!({
            "p50_ms": ms(ours.per_mille(500)),
            "p99_ms": ms(ours.per_mille(990)),
            "echo_p50_ms": ms(echoed.per_mille(500)),
            "echo_p99_ms": ms(echoed.per_mille(990)),
            "cpu_ms_per_request": cpu,
            "echo_cpu_ms_per_request": echo_cpu,
            "rss_mb": round(webhook.process.resident_mib()?),
            "peak_rss_mb": round(webhook.process.peak_mib()?),
            "cold_start_s": round(webhook.after.as_secs_f64()),
            "requests": ours.count(),
            "answer_bytes": answered,
        });
        webhook.process.end().await?;
        Ok(figures)
    }

    /// How long an answer is, which has to inject.
    async fn answered(&self, webhook: &Started, body: &[u8]) -> Result<usize> {
        let mut client = Client::connect(webhook.at, self.config).await?;
        let answer = client.post("/inject", body.to_vec()).await?;
        let review: Value = serde_json::from_slice(&answer.body).context("no JSON")?;
        let response = &review["response"];
        ensure!(
            response["patch"].is_string() && response["warnings"].is_null(),
            "not injected: {}",
            answer.text()
        );
        Ok(answer.body.len())
    }
}
