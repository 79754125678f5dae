//! Makes it happen: watch, snapshot, plan, execute, report.

pub mod args;
pub mod cache;
pub mod client;
mod clone_set;
pub mod controller;
pub mod events;
pub mod executor;
mod flights;
pub mod health;
pub mod holds;
pub mod lease;
pub mod metrics;
pub mod queue;
pub mod run;
pub mod status;
mod story;
mod tasks;
pub mod telemetry;
pub mod wiring;
