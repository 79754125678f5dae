//! The door: HTTPS, certificates, registration.
//!
//! Pure are what certificates there should be, see [`certs`], how the API server's questions are
//! answered, see [`review`], what may be written, see [`validate`], and what new Pods are given, see
//! [`mod@inject`].

pub mod args;
pub mod certs;
pub mod files;
pub mod inject;
pub mod keeper;
pub mod metrics;
pub mod migration;
mod nesting;
pub mod readiness;
pub mod review;
pub mod router;
pub mod run;
pub mod server;
pub mod sets;
pub mod tls;
pub mod validate;
