//! Certificates of the door: an authority of its own, and a leaf that it signed.
//!
//! One Secret holds all of it. Whatever becomes of the Secret, [`rotation::decide`] says what it
//! should hold next; any of several replicas may write that, under the version it has read. Nobody
//! has to be told: replicas read the Secret, clients read the bundle.
//!
//! A new authority is trusted before it is used: it is added to the bundle first, and signs a leaf
//! only once the bundle is where clients read it. The old one stays in the bundle until it expires,
//! so a replica that is late with the new leaf is believed all the same.

use jiff::SignedDuration;

pub mod bundle;
pub mod issue;
pub mod material;
pub mod rotation;

/// Certificates begin so long before they are made: clocks differ.
pub const BACKDATE: SignedDuration = SignedDuration::from_hours(1);

/// For how long certificates are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of an authority.
    pub authority: SignedDuration,
    /// Of a leaf.
    pub leaf: SignedDuration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            authority: SignedDuration::from_hours(365 * 24),
            leaf: SignedDuration::from_hours(90 * 24),
        }
    }
}

/// Whom a leaf speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The Service in front of the door.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
}

impl Names {
    /// The name by which the API server calls.
    pub fn server_name(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }

    /// All names of a leaf; `localhost` is for those who look from inside the Pod.
    pub fn all(&self) -> Vec<String> {
        let name = self.server_name();
        vec![
            name.clone(),
            format!("{name}.cluster.local"),
            "localhost".to_owned(),
        ]
    }
}
