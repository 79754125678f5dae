//! The API that users write: group `apps.kruise.io`, as existing manifests and scripts know it.
//!
//! Reading order: [`clone_set`] (the kind), [`update_strategy`] and [`int_or_percent`] (what its
//! knobs mean), [`validation`] (what is refused, and the [`validation::Valid`] that everybody else
//! works with), [`names`] (every label, annotation and condition), [`in_place_state`] (what is
//! stored on a Pod while it is updated). [`sidecar_set`] is the other kind.
//!
//! Nothing here does IO, logs, reads a clock or knows what becomes of a Pod.

pub mod clone_set;
pub mod condition;
pub mod conversion;
pub mod crd;
pub mod in_place_state;
pub mod int_or_percent;
pub mod lifecycle;
pub mod names;
pub mod quantity;
pub mod schema;
pub mod sidecar_set;
pub mod update_strategy;
pub mod v1alpha1;
pub mod validation;

pub use clone_set::{CloneSet, CloneSetSpec, CloneSetStatus};
pub use int_or_percent::IntOrPercent;
pub use sidecar_set::{SidecarSet, SidecarSetSpec, SidecarSetStatus};
pub use validation::{FieldError, Valid};
