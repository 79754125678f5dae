//! A SidecarSet with everything about it that does not depend on a Pod: checked, and with the
//! older revision that it may be pinned to.

use std::collections::BTreeMap;

use apis::sidecar_set::{InjectPolicy, REVISION_FIELDS};
use apis::validation::sidecar_set::{Effective, PinnedTo};
use apis::{FieldError, IntOrPercent, SidecarSet, Valid, names};
use kube::ResourceExt;
use kube::core::SelectorExt;
use serde_json::Value;

use crate::warning::Reason;

/// A ControllerRevision of a SidecarSet.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The set it belongs to: its label [`names::SIDECAR_SET_LABEL`].
    pub set: String,
    /// Its name.
    pub name: String,
    /// Its number; the highest is the newest.
    pub number: i64,
    /// Its label [`names::CUSTOM_VERSION_LABEL`].
    pub custom_version: Option<String>,
    /// Its data.
    pub data: Value,
}

impl Revision {
    /// Of a ControllerRevision as it is in JSON; None if it has no name, or belongs to no set.
    pub fn read(raw: &Value) -> Option<Self> {
        let labels = raw.pointer("/metadata/labels")?;
        let label = labels.get(names::CUSTOM_VERSION_LABEL);
        Some(Self {
            set: labels.get(names::SIDECAR_SET_LABEL)?.as_str()?.to_owned(),
            name: raw.pointer("/metadata/name")?.as_str()?.to_owned(),
            number: raw.get("revision").and_then(Value::as_i64).unwrap_or(0),
            custom_version: label.and_then(Value::as_str).map(str::to_owned),
            data: raw.get("data").cloned().unwrap_or_default(),
        })
    }
}

/// A SidecarSet that can be injected.
#[derive(Debug)]
pub struct Prepared {
    current: Version,
    pinned: Option<Result<Version, Reason>>,
}

/// One state of a SidecarSet.
#[derive(Debug)]
pub struct Version {
    set: Valid<SidecarSet>,
    /// Name of the revision that holds it, if that is known.
    pub(crate) revision: Option<String>,
}

impl Version {
    pub(crate) fn spec(&self) -> &Effective {
        &self.set
    }
}

impl Prepared {
    /// Checks `set`, and finds the revision that it is pinned to among `revisions`, which may be of
    /// other sets as well.
    ///
    /// # Errors
    /// Everything that is wrong with the set.
    pub fn new(set: SidecarSet, revisions: &[Revision]) -> Result<Self, Vec<FieldError>> {
        let set = Valid::new(set).map_err(|(_, errors)| errors)?;
        let pinned = set.pinned.as_ref().map(|pinned| {
            let mut own = revisions.iter().filter(|r| r.set == set.name);
            let (wanted, found) = match &pinned.revision {
                PinnedTo::Name(name) => (name, own.find(|revision| revision.name == *name)),
                PinnedTo::CustomVersion(version) => {
                    let of_version = own.filter(|r| r.custom_version.as_ref() == Some(version));
                    (version, of_version.max_by_key(|revision| revision.number))
                }
            };
            let wanted = wanted.clone();
            let revision = found.ok_or(Reason::NoRevision { wanted })?;
            restore(set.object(), revision)
        });
        let status = set.object().status.as_ref();
        let revision = status.and_then(|status| status.latest_revision.clone());
        let current = Version { set, revision };
        Ok(Self { current, pinned })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.current.set.name
    }

    /// The spec as it is now.
    pub fn spec(&self) -> &Effective {
        &self.current.set
    }

    /// The set as it is now.
    pub fn current(&self) -> &Valid<SidecarSet> {
        &self.current.set
    }

    /// Why the revision that the set is pinned to cannot be injected.
    pub fn unusable_revision(&self) -> Option<&Reason> {
        self.pinned.as_ref()?.as_ref().err()
    }

    pub(crate) fn labels(&self) -> &BTreeMap<String, String> {
        self.current.set.object().labels()
    }

    /// Every state of the set that a Pod may have been given.
    pub(crate) fn versions(&self) -> impl Iterator<Item = &Version> {
        let pinned = self.pinned.iter().flatten();
        std::iter::once(&self.current).chain(pinned)
    }

    /// What a Pod with these labels is given. `draw` is from 0 to 99, and any number is as likely as
    /// any other.
    pub(crate) fn version_for(
        &self,
        pod_labels: &BTreeMap<String, String>,
        draw: u8,
    ) -> Result<&Version, &Reason> {
        let (Some(policy), Some(pinned)) = (&self.spec().pinned, &self.pinned) else {
            return Ok(&self.current);
        };
        let update = &self.spec().update;
        let is_left_alone = match (policy.policy, update.paused, &update.selector) {
            (InjectPolicy::Always, ..) | (_, true, _) => true,
            (InjectPolicy::Partial, false, Some(selector)) if !selector.matches(pod_labels) => true,
            (InjectPolicy::Partial, false, _) => match update.partition {
                IntOrPercent::Percent(percent) => draw < percent,
                // How many Pods there are is not known here.
                IntOrPercent::Int(_) => false,
            },
        };
        if is_left_alone {
            pinned.as_ref()
        } else {
            Ok(&self.current)
        }
    }
}

/// `set` as it was at `revision`.
fn restore(set: &SidecarSet, revision: &Revision) -> Result<Version, Reason> {
    let bad = |why: String| Reason::BadRevision {
        revision: revision.name.clone(),
        why,
    };
    let mut raw = serde_json::to_value(&set.spec).map_err(|error| bad(error.to_string()))?;
    let stored = revision.data.get("spec").and_then(Value::as_object);
    let (Some(stored), Some(spec)) = (stored, raw.as_object_mut()) else {
        return Err(bad("it has no data.spec".to_owned()));
    };
    for field in REVISION_FIELDS {
        match stored.get(field).filter(|value| !value.is_null()) {
            Some(value) => spec.insert(field.to_owned(), value.clone()),
            None => spec.remove(field),
        };
    }
    let mut restored = set.clone();
    restored.spec = serde_json::from_value(raw).map_err(|error| bad(error.to_string()))?;
    let first = |errors: Vec<FieldError>| {
        let first = errors.first().map(ToString::to_string);
        bad(first.unwrap_or_default())
    };
    let set = Valid::new(restored).map_err(|(_, errors)| first(errors))?;
    Ok(Version {
        set,
        revision: Some(revision.name.clone()),
    })
}
