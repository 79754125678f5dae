//! A world for the planner to act on, without a cluster.
//!
//! Reading order: [`object`], [`server`], [`set`] and [`kubelet`] (the model), [`world`] (which drives the planner on
//! it) with [`watchdog`] and [`hooks`] (what must hold after every write), [`timeline`] (how a rollout is
//! printed).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a model that meets the unexpected ends the test"
)]

pub mod hooks;
pub mod kubelet;
pub mod object;
mod resize;
pub mod server;
pub mod set;
pub mod timeline;
pub mod watchdog;
pub mod world;
