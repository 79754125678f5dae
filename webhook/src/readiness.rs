//! Whether the API server would believe us.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use process::health::Check;

use crate::{
    certs::bundle::{self, Certificate},
    tls::Identity,
};

/// What clients of one kind of request trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where they read it.
    pub place: String,
    /// Whom they trust.
    pub bundle: Vec<Certificate>,
}

/// Ready when the own leaf verifies against every published bundle, and nobody said stop.
#[derive(Debug)]
pub struct Readiness {
    identity: Arc<Identity>,
    server_name: String,
    published: ArcSwap<Result<Vec<Published>, String>>,
    is_leaving: AtomicBool,
}

impl Readiness {
    /// Not ready yet. Clients call by `server_name`.
    pub fn new(identity: Arc<Identity>, server_name: String) -> Self {
        let unknown = Err("nobody has looked at what is published yet".to_owned());
        Self {
            identity,
            server_name,
            published: ArcSwap::from_pointee(unknown),
            is_leaving: AtomicBool::new(false),
        }
    }

    /// Says what clients trust at present, or why nobody knows.
    pub fn set_published(&self, published: Result<Vec<Published>, String>) {
        self.published.store(Arc::new(published));
    }

    /// Not ready from now on: the process ends.
    pub fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    /// What is missing.
    ///
    /// # Errors
    /// One sentence.
    pub fn ask(&self, now: Timestamp) -> Result<(), String> {
        if self.is_leaving.load(Ordering::Relaxed) {
            return Err("the process ends".to_owned());
        }
        let leaf = self
            .identity
            .leaf()
            .ok_or("there is no certificate to show yet")?;
        let published = self.published.load();
        for Published { place, bundle } in published.as_ref().as_ref()? {
            if !bundle::believes(bundle, &leaf, &self.server_name, now) {
                let name = &self.server_name;
                return Err(format!(
                    "the certificate shown for {name} does not verify against {place}"
                ));
            }
        }
        Ok(())
    }

    /// As a question for /readyz.
    pub fn check(self: &Arc<Self>) -> Check {
        let readiness = Arc::clone(self);
        Check::new("certificate", move || readiness.ask(Timestamp::now()))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::certs::{Names, issue};

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    #[test]
    fn ready_means_that_every_bundle_verifies_the_leaf_that_is_shown() {
        let now = Timestamp::UNIX_EPOCH + DAY * 20_000;
        let names = Names {
            service: "door".into(),
            namespace: "shop".into(),
        };
        let (ours, theirs) = (
            issue::authority(now, DAY).unwrap(),
            issue::authority(now, DAY).unwrap(),
        );
        let published = |place: &str, authority: &issue::Pair| Published {
            place: place.to_owned(),
            bundle: bundle::read(authority.certificate.as_bytes()),
        };
        let identity = Arc::new(Identity::default());
        let readiness = Readiness::new(Arc::clone(&identity), names.server_name());
        let says = |part: &str, at: Timestamp| {
            let why = readiness.ask(at).unwrap_err();
            assert!(why.contains(part), "{why}");
        };
        says("no certificate", now);
        let leaf = issue::leaf(now, now + DAY, &names, &ours).unwrap();
        identity.set(&leaf).unwrap();
        says("nobody has looked", now);
        readiness.set_published(Ok(vec![published("the CRD", &ours)]));
        assert_eq!(readiness.ask(now), Ok(()));
        says("the CRD", now + DAY * 2);
        let two = vec![published("the CRD", &ours), published("the hook", &theirs)];
        readiness.set_published(Ok(two));
        says("against the hook", now);
        readiness.set_published(Err("the hook is gone".to_owned()));
        says("the hook is gone", now);
        readiness.set_published(Ok(vec![published("the CRD", &ours)]));
        readiness.leave();
        says("ends", now);
    }
}
