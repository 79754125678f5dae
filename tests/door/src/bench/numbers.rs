//! Figures as they are written.

use std::time::Duration;

use anyhow::Result;
use door::{load::Times, process::Process};

#[allow(clippy::cast_precision_loss, reason = "requests are few")]
pub(super) fn count(times: &Times) -> f64 {
    times.count() as f64
}

/// What a request cost `process`, which had used `before`, in milliseconds of CPU.
pub(super) fn cpu_ms(process: &Process, before: Duration, asked: &Times) -> Result<f64> {
    let used = process.cpu()?.saturating_sub(before);
    Ok(round(used.as_secs_f64() * 1000.0 / count(asked)))
}

pub(super) fn ms(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1000.0)
}

pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "bodies are no larger")]
pub(super) fn mib(bytes: usize) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
