//! Whole rollouts: the planner against a model of the API server and of the kubelet.
//!
//! The model is the crate `model` (`tests/model`); here are the suites: [`goldens`], [`broken`],
//! [`random`], [`sums`], [`accepted`], [`takeover`], [`memo`] and [`sidecars`].

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that meets the unexpected fails, and reads its environment"
)]

mod accepted;
mod broken;
mod goldens;
mod memo;
mod nonsense;
mod random;
mod sidecars;
mod sums;
mod takeover;
