//! The certificate that is shown, and how strictly the other side is looked at.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use crate::certs::{
    bundle::{self, Certificate},
    issue::Pair,
};

/// The protocols spoken, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What cannot be shown, or whom nobody can be compared with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no certificate in the text.
    #[error("failed to find a certificate in the PEM text")]
    NoCertificate,
    /// There is no private key in the text, or a damaged one.
    #[error("failed to read the private key")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// The two do not belong together, or are of a kind that is not known.
    #[error("failed to use the certificate with its key")]
    Pair(#[source] rustls::Error),
    /// Nobody is known by whom clients could be signed.
    #[error("failed to use the authorities of clients")]
    Clients(#[source] rustls::server::VerifierBuilderError),
    /// The library refuses.
    #[error("failed to set up TLS")]
    Setup(#[source] rustls::Error),
}

/// Who we are. Connections begin with what is set; those that are open keep what they began with.
#[derive(Debug)]
pub struct Identity {
    shown: ArcSwapOption<Shown>,
    changes: AtomicU64,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Shown {
    pair: Pair,
    leaf: Certificate,
    key: Arc<CertifiedKey>,
}

/// What became of [`Identity::set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// New connections are shown another certificate than before.
    Changed,
    /// It was set already.
    Same,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            shown: ArcSwapOption::empty(),
            changes: AtomicU64::new(0),
            provider: Arc::new(aws_lc_rs::default_provider()),
        }
    }
}

impl Identity {
    /// Shows `pair` from the next connection on. Its certificate may be a chain, the leaf first.
    ///
    /// # Errors
    /// See [`Error`]; what was shown before is shown on.
    pub fn set(&self, pair: &Pair) -> Result<Set, Error> {
        if self.shown.load().as_ref().is_some_and(|s| s.pair == *pair) {
            return Ok(Set::Same);
        }
        let pem = pair.certificate.as_bytes();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| Error::NoCertificate)?;
        let leaf = bundle::read(pem)
            .into_iter()
            .next()
            .ok_or(Error::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(Error::Key)?;
        let key = CertifiedKey::from_der(chain, key, &self.provider).map_err(Error::Pair)?;
        self.shown.store(Some(Arc::new(Shown {
            pair: pair.clone(),
            leaf,
            key: Arc::new(key),
        })));
        self.changes.fetch_add(1, Ordering::Relaxed);
        Ok(Set::Changed)
    }

    /// Whether there is anything to show. Until then no handshake succeeds.
    pub fn is_set(&self) -> bool {
        self.shown.load().is_some()
    }

    /// The leaf that is shown.
    pub fn leaf(&self) -> Option<Certificate> {
        self.shown.load().as_ref().map(|shown| shown.leaf.clone())
    }

    /// How often another certificate was set.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shown
            .load()
            .as_ref()
            .map(|shown| Arc::clone(&shown.key))
    }
}

/// How connections are secured: TLS 1.3, or 1.2. With `client_ca`, PEM text, only clients that one
/// of these authorities has signed get in.
///
/// # Errors
/// See [`Error`].
pub fn config(identity: Arc<Identity>, client_ca: Option<&[u8]>) -> Result<ServerConfig, Error> {
    let provider = Arc::clone(&identity.provider);
    let versions = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(Error::Setup)?;
    let clients = match client_ca {
        None => versions.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for authority in CertificateDer::pem_slice_iter(pem) {
                let authority = authority.map_err(|_| Error::NoCertificate)?;
                roots.add(authority).map_err(Error::Setup)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(Error::Clients)?;
            versions.with_client_cert_verifier(verifier)
        }
    };
    let mut config = clients.with_cert_resolver(identity);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::certs::{Names, issue};

    fn pair() -> Pair {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 50);
        let day = SignedDuration::from_hours(24);
        let names = Names {
            service: "door".into(),
            namespace: "shop".into(),
        };
        let authority = issue::authority(now, day).unwrap();
        issue::leaf(now, now + day, &names, &authority).unwrap()
    }

    #[test]
    fn what_belongs_together_is_shown_and_counted_once() {
        let identity = Identity::default();
        assert!(!identity.is_set());
        let first = pair();
        assert_eq!(identity.set(&first).unwrap(), Set::Changed);
        assert_eq!(identity.set(&first).unwrap(), Set::Same);
        assert_eq!(identity.set(&pair()).unwrap(), Set::Changed);
        assert_eq!((identity.is_set(), identity.changes()), (true, 2));
    }

    #[test]
    fn a_half_written_pair_is_refused_and_the_old_one_stays() {
        let identity = Identity::default();
        let (old, new) = (pair(), pair());
        identity.set(&old).unwrap();
        let leaf = identity.leaf();
        let half = |certificate: &str, key: &str| Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let cut = |text: &str| text[..text.len() / 2].to_owned();
        for broken in [
            half(&new.certificate, &old.key),
            half(&cut(&new.certificate), &new.key),
            half(&new.certificate, &cut(&new.key)),
            half("", ""),
            half(&new.key, &new.certificate),
        ] {
            assert!(identity.set(&broken).is_err(), "{}", broken.certificate);
            assert_eq!(identity.leaf(), leaf);
        }
    }

    #[test]
    fn no_authority_of_clients_is_an_error_not_an_open_door() {
        for pem in [&b""[..], b"nonsense"] {
            assert!(config(Arc::default(), Some(pem)).is_err());
        }
        assert!(config(Arc::default(), None).is_ok());
    }
}
