//! Makes it happen: watch, snapshot, plan, execute, report.

pub mod args;
pub mod cache;
mod checked;
mod clone_set;
pub mod controller;
pub mod events;
pub mod executor;
mod flights;
pub mod holds;
pub mod lease;
pub mod metrics;
pub mod queue;
pub mod run;
mod sidecar_set;
pub mod status;
mod story;
mod tasks;
pub mod wiring;
mod worker;

/// Who we are in managed fields.
pub const FIELD_MANAGER: &str = "insitu-manager";

const USER_AGENT: &str = concat!("insitu-manager/", env!("CARGO_PKG_VERSION"));
