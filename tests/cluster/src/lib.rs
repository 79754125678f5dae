//! Real Kubernetes clusters for tests: started in seconds, side by side, and never left behind.
//!
//! `Cluster::start` is what a test calls. The cluster dies with the calling process, however that
//! ends. See `README.md` for the design.

mod audit;
mod binaries;
mod binary_image;
mod cluster;
mod command;
mod control_plane;
mod error;
mod events;
mod fake_nodes;
mod folder;
mod images;
mod inventory;
mod kind;
mod native;
mod network;
mod node;
mod oci;
mod options;
mod packages;
mod pki;
mod protocol;
mod sandbox;
mod spec;
mod starting;
mod startup;
mod supervisor;

pub use audit::{AuditLog, Kind, Request, count};
pub use binaries::{Wanted, ensure as build, kubectl};
pub use binary_image::write_binary_image;
pub use cluster::Cluster;
pub use error::{Error, Result};
pub use folder::Provider;
pub use images::write_test_images;
pub use inventory::{down, list};
pub use options::{Options, RealNode};
pub use supervisor::run as supervise;
