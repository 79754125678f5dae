//! Makes it happen: watch, snapshot, plan, execute, report.

pub mod cache;
pub mod telemetry;
pub mod run;
pub mod lease;
pub mod health;
pub mod args;
pub mod client;
pub mod metrics;
pub mod queue;
mod clone_set;
pub mod controller;
pub mod events;
pub mod executor;
mod holds;
mod status;
mod story;
pub mod wiring;
