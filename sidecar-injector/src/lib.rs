//! How a Pod changes on its way in: a Pod and SidecarSets in, a JSON patch out.
//!
//! Whoever uses this keeps one [`SetIndex`], which is told of every SidecarSet (as a [`Prepared`])
//! that comes, changes or goes, and asks for each new Pod:
//!
//! ```
//! use std::collections::BTreeMap;
//! use sidecar_injector::{Prepared, Request, SetIndex, WhiteList, inject};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let set = serde_json::from_str(r#"{"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
//!     "metadata": {"name": "log"}, "spec": {"selector": {"matchLabels": {"app": "web"}},
//!     "containers": [{"name": "agent", "image": "agent:1"}]}}"#)?;
//! let set = Prepared::new(set, &[]).map_err(|errors| format!("{errors:?}"))?;
//! let index: SetIndex = [set].into_iter().collect();
//!
//! let pod = serde_json::from_str(r#"{"metadata": {"labels": {"app": "web"}},
//!     "spec": {"containers": [{"name": "main", "image": "web:1"}]}}"#)?;
//! let request = Request {
//!     pod: &pod,
//!     namespace: "shop",
//!     namespace_labels: &BTreeMap::new(),
//!     now: "2026-01-02T03:04:05Z".parse()?,
//!     seed: "the UID of the request",
//! };
//! let injection = inject(&request, &index, &WhiteList::nothing());
//! assert_eq!(injection.injected, ["log"]);
//! assert_eq!(injection.patch[1]["path"], "/spec/containers/0");
//! # Ok(()) }
//! ```
//!
//! Reading order: [`select`] (which sets match), [`prepared`] (which revision of each),
//! [`mod@inject`] (what is done about it, from top to bottom), `sidecar`, `shared`, `resources`,
//! `volumes` (what a Pod is given), `record` (what is remembered of it), `patch` (how it is said).
//!
//! What holds of every answer:
//!
//! - A set is injected as a whole or not at all; then a [`Warning`] says why. No Pod is refused.
//! - A container of the Pod is never replaced, unless it was injected itself.
//! - The patch adds. Lists are never replaced, and what it does not name stays as it was.
//! - Injecting twice is injecting once, whatever other webhooks add in between.
//!
//! There is no IO here, no clock, no randomness and no log.

mod draw;
pub mod inject;
mod patch;
mod pod;
pub mod prepared;
mod record;
mod resources;
pub mod select;
mod shared;
mod sidecar;
mod volumes;
mod warning;

pub use apis::sidecar_set::white_list::WhiteList;
pub use inject::{Injection, Request, inject};
pub use prepared::{Prepared, Revision};
pub use select::SetIndex;
pub use warning::{Reason, Warning};
