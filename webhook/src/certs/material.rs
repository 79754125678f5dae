//! What the Secret holds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData};

use super::bundle::{self, Certificate};
use super::issue::Pair;

/// Key of the Secret: the authorities that are trusted, the newest first.
pub const BUNDLE: &str = "ca.crt";
/// Key of the Secret: private key of the newest authority.
pub const AUTHORITY_KEY: &str = "ca.key";
/// Key of the Secret: the leaf.
pub const LEAF: &str = "tls.crt";
/// Key of the Secret: private key of the leaf.
pub const LEAF_KEY: &str = "tls.key";

/// Keys and values of a Secret.
pub type Data = BTreeMap<String, Vec<u8>>;

/// As much of a Secret as can be used. Nothing here is ever an error: what is missing or damaged
/// is made anew.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// Authorities that are still trusted, the newest first.
    pub trusted: Vec<Certificate>,
    /// The newest of them with its key, if that is at hand.
    pub authority: Option<(Pair, Certificate)>,
    /// The leaf with its key, if they belong together.
    pub leaf: Option<(Pair, Certificate)>,
}

impl Material {
    /// From the Secret's data.
    pub fn read(data: &Data, now: Timestamp) -> Self {
        let of = |key: &str| data.get(key).map(Vec::as_slice).unwrap_or_default();
        let is_trusted = |c: &Certificate| c.is_authority && c.ends > now;
        let trusted: Vec<Certificate> = bundle::read(of(BUNDLE))
            .into_iter()
            .filter(is_trusted)
            .collect();
        let authority = trusted
            .first()
            .and_then(|newest| Some((pair(newest, of(AUTHORITY_KEY))?, newest.clone())));
        let leaf = bundle::read(of(LEAF)).into_iter().next();
        let leaf = leaf.and_then(|leaf| Some((pair(&leaf, of(LEAF_KEY))?, leaf)));
        Self {
            trusted,
            authority,
            leaf,
        }
    }

    /// As the Secret's data. A part that is not there is empty, as the type of Secret wants it.
    pub fn to_data(&self) -> Data {
        let bundle: String = self.trusted.iter().map(pem).collect();
        let text = |pair: Option<&(Pair, Certificate)>| {
            let pair = pair.map(|(pair, _)| pair);
            let (certificate, key) = pair
                .map(|pair| (pair.certificate.clone(), pair.key.clone()))
                .unwrap_or_default();
            (certificate.into_bytes(), key.into_bytes())
        };
        let (_, authority_key) = text(self.authority.as_ref());
        let (leaf, leaf_key) = text(self.leaf.as_ref());
        let entry = |(key, value): (&str, Vec<u8>)| (key.to_owned(), value);
        [
            (BUNDLE, bundle.into_bytes()),
            (AUTHORITY_KEY, authority_key),
            (LEAF, leaf),
            (LEAF_KEY, leaf_key),
        ]
        .map(entry)
        .into()
    }
}

/// `certificate` with `key`, if they belong together.
fn pair(certificate: &Certificate, key: &[u8]) -> Option<Pair> {
    let key = std::str::from_utf8(key).ok()?;
    let read = KeyPair::from_pem(key).ok()?;
    (read.subject_public_key_info() == certificate.public_key).then(|| Pair {
        certificate: pem(certificate),
        key: key.to_owned(),
    })
}

fn pem(certificate: &Certificate) -> String {
    let block = pem::Pem::new("CERTIFICATE", certificate.der.to_vec());
    pem::encode_config(
        &block,
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}
