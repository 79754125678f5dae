//! Whole rollouts: the planner against a model of the API server and of the kubelet.
//!
//! The model is the crate `model` (`tests/model`); here are the suites: [`goldens`], [`broken`],
//! [`random`], [`sums`], [`accepted`], [`takeover`] and [`memo`].

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
mod sums;
mod takeover;
