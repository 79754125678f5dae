//! How the webhook's replicas keep their certificates, against a real API server: several keepers
//! at once in this process, and people who take away what they made. And what the API server sees
//! of the webhook as a whole: manifests, lists and stored objects of both versions.

#![allow(clippy::panic, reason = "a test that cannot go on says so and ends")]

mod heal;
mod injection;
mod manifests;
mod many;
mod migration;
mod served;
mod sidecars;
mod stage;
