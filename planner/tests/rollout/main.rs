//! Whole rollouts: the planner against a model of the API server and of the kubelet.
//!
//! Reading order: [`server`] and [`kubelet`] (the model), [`world`] (which drives the planner on
//! it) with [`watchdog`] (what must hold after every write), [`timeline`] (how a rollout is
//! printed); then the suites: [`goldens`], [`broken`], [`random`], [`sums`].

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that meets the unexpected fails, and reads its environment"
)]

mod broken;
mod goldens;
mod kubelet;
mod random;
mod server;
mod sums;
mod timeline;
mod watchdog;
mod world;
