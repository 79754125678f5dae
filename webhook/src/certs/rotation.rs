//! What the Secret should hold next.

use jiff::{SignedDuration, Timestamp};

use super::bundle::{self, Certificate};
use super::material::{Data, Material};
use super::{BACKDATE, Lifetimes, Names, issue};

/// Clients take in a new bundle within this.
const SETTLE_MAX: SignedDuration = SignedDuration::from_mins(1);
/// Where authorities live for minutes only, so much of their life.
const SETTLE_PART: i32 = 18;
/// The newest authority, and those before it that are still trusted.
const TRUSTED_MAX: usize = 4;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whom the leaf speaks for.
    pub names: Names,
    /// For how long certificates are made.
    pub lifetimes: Lifetimes,
}

/// Why the Secret is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no authority with a key that can be used.
    NoAuthority,
    /// The authority has lived for two thirds of its time.
    AuthorityDue,
    /// There is no leaf that clients would believe.
    NoLeaf,
    /// The leaf has lived for two thirds of its time.
    LeafDue,
    /// A newer authority is known to clients by now.
    NewAuthority,
    /// It holds what is of no use: an authority that expired, or what was never ours.
    Tidy,
}

impl Why {
    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAuthority => "NoAuthority",
            Self::AuthorityDue => "AuthorityDue",
            Self::NoLeaf => "NoLeaf",
            Self::LeafDue => "LeafDue",
            Self::NewAuthority => "NewAuthority",
            Self::Tidy => "Tidy",
        }
    }
}

/// What to do about the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing until then.
    Keep(Timestamp),
    /// Write this, if it still is what was read.
    Write(Data, Why),
}

/// Decides from what the Secret holds, nothing where there is none, and from what was read of it.
/// `is_published` says whether every client's bundle has the newest authority. Also gives what can
/// be used afterwards.
///
/// # Errors
/// When nothing can be made.
pub fn decide(
    stored: &Data,
    mut material: Material,
    is_published: bool,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<(Material, Decision), issue::Error> {
    let mut why = None;
    if let Some(reason) = authority_due(&material, now) {
        let pair = issue::authority(now, wanted.lifetimes.authority)?;
        let newest = bundle::read(pair.certificate.as_bytes()).into_iter().next();
        if let Some(newest) = newest {
            material.trusted.insert(0, newest.clone());
            material.trusted.truncate(TRUSTED_MAX);
            material.authority = Some((pair, newest));
        }
        why = Some(reason);
    }
    if let Some((authority, newest)) = &material.authority
        && let Some(reason) = leaf_due(&material, newest, is_published, wanted, now)
    {
        let until = now
            .saturating_add(wanted.lifetimes.leaf)
            .unwrap_or(Timestamp::MAX);
        let pair = issue::leaf(now, until.min(newest.ends), &wanted.names, authority)?;
        let leaf = bundle::read(pair.certificate.as_bytes()).into_iter().next();
        material.leaf = leaf.map(|leaf| (pair, leaf));
        why = why.or(Some(reason));
    }
    let next = material.to_data();
    let decision = if next == *stored {
        Decision::Keep(look_again(&material, now))
    } else {
        Decision::Write(next, why.unwrap_or(Why::Tidy))
    };
    Ok((material, decision))
}

fn authority_due(material: &Material, now: Timestamp) -> Option<Why> {
    match &material.authority {
        None => Some(Why::NoAuthority),
        Some((_, newest)) if due(newest) <= now => Some(Why::AuthorityDue),
        Some(_) => None,
    }
}

fn leaf_due(
    material: &Material,
    newest: &Certificate,
    is_published: bool,
    wanted: &Wanted,
    now: Timestamp,
) -> Option<Why> {
    let names = wanted.names.all();
    let is_good = |trusted: &[Certificate], leaf: &Certificate| {
        names
            .iter()
            .all(|name| bundle::believes(trusted, leaf, name, now))
    };
    let leaf = material.leaf.as_ref().map(|(_, leaf)| leaf);
    let Some(leaf) = leaf.filter(|leaf| is_good(&material.trusted, leaf)) else {
        return Some(Why::NoLeaf);
    };
    let is_newest = is_good(std::slice::from_ref(newest), leaf);
    let is_known = is_published && settled(newest) <= now;
    match (is_newest, due(leaf) <= now) {
        (true, true) => Some(Why::LeafDue),
        (true, false) => None,
        (false, _) => is_known.then_some(Why::NewAuthority),
    }
}

/// When `certificate` has lived for two thirds of its time.
pub fn due(certificate: &Certificate) -> Timestamp {
    let made = made(certificate);
    let life = certificate.ends.duration_since(made);
    made.saturating_add(life * 2 / 3).unwrap_or(Timestamp::MAX)
}

fn made(certificate: &Certificate) -> Timestamp {
    let made = certificate.begins.saturating_add(BACKDATE);
    made.unwrap_or(Timestamp::MAX).min(certificate.ends)
}

/// When clients know an authority that was published as soon as it was made.
fn settled(authority: &Certificate) -> Timestamp {
    let made = made(authority);
    let life = authority.ends.duration_since(made);
    let pause = (life / SETTLE_PART).min(SETTLE_MAX);
    made.saturating_add(pause).unwrap_or(Timestamp::MAX)
}

/// When the next decision may be another one.
fn look_again(material: &Material, now: Timestamp) -> Timestamp {
    let authority = material.authority.iter().map(|(_, newest)| newest);
    let leaf = material.leaf.iter().map(|(_, leaf)| leaf);
    let dues = authority.clone().chain(leaf).map(due);
    let settles = authority.map(settled);
    let ends = material.trusted.iter().map(|trusted| trusted.ends);
    let later = dues.chain(settles).chain(ends).filter(|at| *at > now);
    later.min().unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
