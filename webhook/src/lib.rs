//! The door: HTTPS, certificates, registration.
//!
//! So far the parts of it that are pure: what certificates there should be, see [`certs`], how the
//! API server's questions are answered, see [`review`], and what may be written, see [`validate`].

pub mod certs;
pub mod review;
pub mod validate;
