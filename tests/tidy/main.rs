//! Rules about the project itself that no compiler checks: layers, sizes, freshness, wording.

mod docs;
mod generated;
mod layers;
mod manifests;
mod sizes;
mod tree;
mod wording;
