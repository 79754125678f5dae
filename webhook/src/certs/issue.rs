//! Making keys and certificates: ECDSA P-256, because every client knows it and it is quick.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use time::OffsetDateTime;

use super::{BACKDATE, Names};

/// Nothing can be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library refuses.
    #[error("failed to make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// A lifetime leads beyond the calendar.
    #[error("a lifetime ends after the end of the calendar: {0}")]
    Calendar(Timestamp),
}

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS#8.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    /// Keys do not end up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

/// An authority that signs itself and is good for leaves only.
///
/// # Errors
/// See [`Error`].
pub fn authority(now: Timestamp, lifetime: SignedDuration) -> Result<Pair, Error> {
    let mut parameters = CertificateParams::default();
    // The time tells two authorities apart for those who compare names only.
    let name = format!("insitu-webhook-ca {}", now.as_second());
    parameters.distinguished_name = common_name(&name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(
        &mut parameters,
        now,
        now.saturating_add(lifetime).unwrap_or(Timestamp::MAX),
    )?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok(Pair {
        certificate: parameters.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
    })
}

/// A leaf for `names`, signed by `authority`, which ends at `until`.
///
/// # Errors
/// See [`Error`].
pub fn leaf(
    now: Timestamp,
    until: Timestamp,
    names: &Names,
    authority: &Pair,
) -> Result<Pair, Error> {
    let signer = KeyPair::from_pem(&authority.key)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, signer)?;
    let mut parameters = CertificateParams::new(names.all())?;
    // At most 64 characters fit, and nobody compares this name: the alternative names count.
    parameters.distinguished_name = common_name("insitu-webhook");
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    validity(&mut parameters, now, until)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok(Pair {
        certificate: parameters.signed_by(&key, &issuer)?.pem(),
        key: key.serialize_pem(),
    })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

fn validity(
    parameters: &mut CertificateParams,
    now: Timestamp,
    until: Timestamp,
) -> Result<(), Error> {
    parameters.not_before = calendar(now.saturating_sub(BACKDATE).unwrap_or(Timestamp::MIN))?;
    parameters.not_after = calendar(until)?;
    Ok(())
}

fn calendar(at: Timestamp) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| Error::Calendar(at))
}
