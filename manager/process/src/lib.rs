//! What every process of insitu needs: a way to the API server, probes, metrics, logs, signals.
//!
//! Nothing here knows what the process is for.

pub mod args;
pub mod bind;
pub mod client;
pub mod endpoints;
pub mod exit;
pub mod health;
pub mod metrics;
pub mod pauses;
pub mod shutdown;
pub mod telemetry;
