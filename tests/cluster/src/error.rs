//! What can go wrong with a cluster, told so that the reader knows what to do.

use std::path::PathBuf;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to {what}")]
    Io {
        what: String,
        source: std::io::Error,
    },
    #[error("failed to run {program}: {output}")]
    Command { program: String, output: String },
    #[error("failed to find {program}; {hint}")]
    Missing { program: String, hint: String },
    #[error("timed out after {seconds} s waiting for {what}")]
    Timeout { what: String, seconds: u64 },
    #[error("failed to start {name}: {reason}; the end of its log:\n{tail}")]
    Component {
        name: String,
        reason: String,
        tail: String,
    },
    #[error("failed to start the cluster {name}: {reason}")]
    Start { name: String, reason: String },
    #[error("the cluster {name} belongs to another running process (its supervisor is pid {pid})")]
    Busy { name: String, pid: i32 },
    #[error("there is no cluster named {name}; `insitu-cluster list` shows those that run")]
    Unknown { name: String },
    #[error("the name {name:?} cannot be used: take 1 to 20 of a-z, 0-9 and -")]
    Name { name: String },
    #[error("a cluster of the provider {provider} has no {what}")]
    Unsupported { provider: String, what: String },
    #[error("a real node needs root; leave it out or become root")]
    NeedsRoot,
    #[error("all 254 cluster networks 198.18.1.0 to 198.18.254.0 are in use")]
    NoFreeNetwork,
    #[error("failed to read {path}: {reason}")]
    Format { path: PathBuf, reason: String },
    #[error("failed to make a certificate")]
    Certificate(#[from] rcgen::Error),
    #[error("the cluster was told to stop")]
    Stopped,
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn errno(what: impl Into<String>) -> impl FnOnce(nix::errno::Errno) -> Self {
        let what = what.into();
        move |errno| Self::Io {
            what,
            source: errno.into(),
        }
    }

    /// The whole chain in one line: it crosses a pipe from the supervisor.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}
