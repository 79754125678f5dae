//! What should happen next: a [`Snapshot`] in, a [`Plan`] out.
//!
//! Reading order: [`snapshot`] (all that a decision may look at), [`plan`] and [`effect`] (what
//! comes out), [`reason`] (why a Pod waits), then [`clone_set`], which decides, with the rules it
//! is made of: [`revision`], [`in_place`], [`budget`], [`order`], [`ownership`]. [`sidecar_set`] decides
//! about injected containers, by the same rules.
//!
//! Invariant: nothing here has a client, a clock, randomness, a hash map or a log.

pub mod budget;
pub mod claim;
pub mod clone_set;
pub mod disruption_budget;
pub mod effect;
pub mod findings;
pub mod in_place;
pub mod lifecycle;
pub mod memo;
pub mod metadata;
pub mod node;
pub mod order;
pub mod ownership;
pub mod plan;
pub mod pod;
pub mod reason;
pub mod revision;
pub mod sidecar_set;
pub mod snapshot;
pub mod status;
pub mod template;
pub mod warm;

pub use claim::Claim;
pub use disruption_budget::DisruptionBudget;
pub use effect::Effect;
pub use findings::Findings;
pub use memo::Memo;
pub use node::Node;
pub use plan::Plan;
pub use pod::Pod;
pub use reason::Reason;
pub use revision::Revision;
pub use snapshot::Snapshot;
