//! Who knocks at the webhook: clients, load and nonsense.

pub mod client;
pub mod reviews;
pub mod serving;
