//! How the webhook's replicas keep their certificates, against a real API server: several keepers
//! at once in this process, and people who take away what they made.

#![allow(clippy::panic, reason = "a test that cannot go on says so and ends")]

mod heal;
mod migration;
mod stage;
