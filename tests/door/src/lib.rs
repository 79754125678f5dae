//! Who knocks at the webhook: clients, load and nonsense.

pub mod client;
pub mod crowd;
pub mod fuzz;
pub mod load;
pub mod process;
pub mod reviews;
pub mod serving;
