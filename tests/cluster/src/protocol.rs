//! What a supervisor and its starter say to each other: one JSON line per message.
//!
//! The starter holds the supervisor's stdin. When it closes without `Detach` (the starter died,
//! even by kill -9), the cluster goes away.

use std::io::Write;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::spec::Spec;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToSupervisor {
    /// The folder, the certificates and the network link are ready.
    Start(Box<Spec>),
    /// From now on the cluster outlives its starter.
    Detach,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromSupervisor {
    /// The first message; the pid is the one the starter sees.
    Hello {
        pid: i32,
    },
    Progress {
        text: String,
    },
    Ready,
    Failed {
        reason: String,
    },
}

/// A message nobody reads any more is not an error: the other end may be gone.
pub(crate) fn send(to: &mut impl Write, message: &impl Serialize) {
    if let Ok(line) = serde_json::to_string(message) {
        let _ = writeln!(to, "{line}");
        let _ = to.flush();
    }
}

pub(crate) fn receive<T: DeserializeOwned>(line: &str) -> Option<T> {
    serde_json::from_str(line).ok()
}
