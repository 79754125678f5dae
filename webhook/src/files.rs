//! Certificates that somebody else keeps, as files: cert-manager mounts a Secret like that.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    certs::{
        bundle,
        issue::Pair,
        material::{BUNDLE, LEAF, LEAF_KEY},
    },
    metrics::Metrics,
    readiness::{Published, Readiness},
    tls::{self, Identity, Set},
};

/// More is no certificate: a file that is one by mistake should not fill the memory.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One is missing or cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What they hold is of no use.
    #[error("failed to use {} with {}", LEAF, LEAF_KEY)]
    Use(#[from] tls::Error),
    /// There is no authority to compare the certificate with.
    #[error("failed to find an authority in {}", BUNDLE)]
    NoAuthority,
}

/// A folder with `tls.crt`, `tls.key` and `ca.crt`.
#[derive(Debug)]
pub struct Files {
    /// Where.
    pub folder: PathBuf,
    /// Who shows them.
    pub identity: Arc<Identity>,
    /// Who compares them with the authority.
    pub readiness: Arc<Readiness>,
    /// Where failures are counted.
    pub metrics: Metrics,
}

/// As they were last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pair: Pair,
    authorities: Vec<u8>,
}

impl Files {
    /// Takes over what is in the folder, every time it has changed, until `shutdown`. Looks every
    /// now and then, because mounts, links and network file systems do not tell.
    pub async fn keep(self, every: Duration, shutdown: CancellationToken) {
        let mut ticker = tokio::time::interval(every);
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = None;
        while shutdown.run_until_cancelled(ticker.tick()).await.is_some() {
            last = Some(self.look(last.as_ref()));
        }
    }

    /// One look. `last` is what the one before came to.
    pub fn look(&self, last: Option<&Result<Content, String>>) -> Result<Content, String> {
        let read = Content::read(&self.folder);
        if let (Ok(now), Some(Ok(before))) = (&read, last)
            && now == before
        {
            return Ok(before.clone());
        }
        let taken = read.and_then(|content| self.take(&content).map(|()| content));
        taken.map_err(|error| {
            let text = chain(&error);
            // Files that are half written are seen now and then; they are told once.
            if last != Some(&Err(text.clone())) {
                self.metrics.certificate_failed();
                tracing::warn!(error = %text, "the certificate is not taken over");
            }
            text
        })
    }

    fn take(&self, content: &Content) -> Result<(), Error> {
        let bundle = bundle::read(&content.authorities);
        if !bundle.iter().any(|certificate| certificate.is_authority) {
            return Err(Error::NoAuthority);
        }
        if self.identity.set(&content.pair)? == Set::Changed {
            let ends = self.identity.leaf().map(|leaf| leaf.ends.to_string());
            tracing::info!(ends, "a certificate was taken over");
        }
        let place = self.folder.join(BUNDLE).display().to_string();
        self.readiness
            .set_published(Ok(vec![Published { place, bundle }]));
        Ok(())
    }
}

impl Content {
    fn read(folder: &Path) -> Result<Self, Error> {
        let text =
            |name| Ok::<_, Error>(String::from_utf8_lossy(&file(folder, name)?).into_owned());
        Ok(Self {
            pair: Pair {
                certificate: text(LEAF)?,
                key: text(LEAF_KEY)?,
            },
            authorities: file(folder, BUNDLE)?,
        })
    }
}

fn file(folder: &Path, name: &str) -> Result<Vec<u8>, Error> {
    let path = folder.join(name);
    let read = || {
        let mut bytes = Vec::new();
        let mut limited = io::Read::take(fs::File::open(&path)?, FILE_BYTES_MAX);
        io::Read::read_to_end(&mut limited, &mut bytes)?;
        Ok(bytes)
    };
    let read: io::Result<Vec<u8>> = read();
    read.map_err(|source| Error::Read { path, source })
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
