//! The door: HTTPS, certificates, registration.
//!
//! So far the part of it that is pure: what certificates there should be, see [`certs`].

pub mod certs;
