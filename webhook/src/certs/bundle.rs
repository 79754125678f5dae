//! Certificates as they are stored: PEM, read with care.

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime, pem::PemObject};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// More is not ours: nothing here ever holds more than two.
const CERTIFICATES_MAX: usize = 8;

/// One certificate and what decisions need of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// As it is sent.
    pub der: CertificateDer<'static>,
    /// Not valid before.
    pub begins: Timestamp,
    /// Not valid after.
    pub ends: Timestamp,
    /// Subject public key info, DER.
    pub public_key: Vec<u8>,
    /// Whether it may sign others.
    pub is_authority: bool,
}

/// Reads PEM text. What is no certificate is left out; a damaged end does not take the rest along.
pub fn read(pem: &[u8]) -> Vec<Certificate> {
    let all = CertificateDer::pem_slice_iter(pem).map_while(Result::ok);
    all.take(CERTIFICATES_MAX).filter_map(parse).collect()
}

fn parse(der: CertificateDer<'static>) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(&der).ok()?;
    let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some(Certificate {
        begins: at(parsed.validity().not_before)?,
        ends: at(parsed.validity().not_after)?,
        public_key: parsed.public_key().raw.to_vec(),
        is_authority: parsed.is_ca(),
        der,
    })
}

/// Whether a client that trusts `bundle` believes at `now` that `leaf` speaks for `name`. Asks the
/// library that such clients use.
pub fn believes(bundle: &[Certificate], leaf: &Certificate, name: &str, now: Timestamp) -> bool {
    let anchors: Vec<TrustAnchor<'_>> = bundle
        .iter()
        .filter(|authority| authority.is_authority && authority.ends > now)
        .filter_map(|authority| anchor_from_trusted_cert(&authority.der).ok())
        .collect();
    let (Ok(leaf), Ok(name), Ok(seconds)) = (
        EndEntityCert::try_from(&leaf.der),
        name.try_into(),
        u64::try_from(now.as_second()),
    ) else {
        return false;
    };
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let usage = KeyUsage::server_auth();
    leaf.verify_for_usage(algorithms, &anchors, &[], at, usage, None, None)
        .is_ok()
        && leaf.verify_is_valid_for_subject_name(&name).is_ok()
}
