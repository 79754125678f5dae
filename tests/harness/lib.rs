//! What the suites share: a cluster with the manager on it, a namespace per test, a recorder of
//! every Pod event, and waiting with a deadline.

#![allow(clippy::panic, reason = "a test that cannot go on says so and ends")]

pub mod door;
pub mod manager;
pub mod recorder;
pub mod shop;
pub mod stage;
pub mod wait;
pub mod writes;

pub use recorder::Recorder;
pub use shop::Shop;
pub use stage::Stage;
pub use wait::{eventually, holds_for};
