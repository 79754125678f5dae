//! Objects of one API version, said in another: `v1alpha1` and `v1beta1` (stored).
//!
//! What one version cannot say is not lost: it travels in an annotation of the object in the other
//! version, see [`FORM_V1BETA1`] and [`FORM_V1ALPHA1`]. Works on raw JSON, so that fields newer
//! than our types are kept as they are.

use serde_json::Value;
use thiserror::Error;

use crate::names;

mod changes;
mod clone_set;
mod form;
mod sidecar_set;

/// Annotation on objects in `v1alpha1`: how the object was said in `v1beta1`.
pub const FORM_V1BETA1: &str = "apps.kruise.io/v1beta1-form";

/// Annotation on objects in `v1beta1`: how the object was said in `v1alpha1`.
pub const FORM_V1ALPHA1: &str = "apps.kruise.io/v1alpha1-form";

/// A version of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Served for clients of old.
    V1Alpha1,
    /// Stored, and what the manager reads.
    V1Beta1,
}

impl Version {
    /// As the last part of an `apiVersion`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1Alpha1 => "v1alpha1",
            Self::V1Beta1 => "v1beta1",
        }
    }

    fn parse(version: &str) -> Option<Self> {
        [Self::V1Alpha1, Self::V1Beta1]
            .into_iter()
            .find(|v| v.as_str() == version)
    }

    /// From an `apiVersion`.
    ///
    /// # Errors
    /// When it is not one of ours.
    pub fn of(api_version: &str) -> Result<Self, Unknown> {
        let version = api_version
            .strip_prefix(names::GROUP)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(Self::parse);
        version.ok_or_else(|| Unknown::Version(api_version.to_owned()))
    }
}

/// What cannot be converted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unknown {
    /// A version that is not served.
    #[error("apiVersion {0:?} is not known: use apps.kruise.io/v1beta1 or apps.kruise.io/v1alpha1")]
    Version(String),
    /// A kind without versions.
    #[error("kind {0:?} is not known: only CloneSet and SidecarSet are converted")]
    Kind(String),
}

/// `object`, said in the version `to`.
///
/// Back again it is the same object. An object that was changed in between keeps what the other
/// version could not say.
///
/// # Errors
/// When its kind or version is not one of ours.
pub fn convert(mut object: Value, to: Version) -> Result<Value, Unknown> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let from = Version::of(text("apiVersion"))?;
    let kind = match text("kind") {
        "CloneSet" => &clone_set::KIND,
        "SidecarSet" => &sidecar_set::KIND,
        other => return Err(Unknown::Kind(other.to_owned())),
    };
    if from != to {
        form::carry_over(&mut object, kind, to);
        if let Some(object) = object.as_object_mut() {
            let version = format!("{}/{}", names::GROUP, to.as_str());
            object.insert("apiVersion".to_owned(), version.into());
        }
    }
    Ok(object)
}
