//! What is refused and why; and [`Valid`], the only form in which a workload reaches the planner.

use std::fmt;
use std::ops::Deref;

pub mod clone_set;
pub(crate) mod labels;
pub mod sidecar_set;
mod template;
mod terms;

/// One thing that is wrong with an object: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, such as `spec.updateStrategy.rollingUpdate.partition`.
    pub path: String,
    /// What is wrong and how to mend it, as one sentence without its full stop.
    pub message: String,
    /// Whether it can never be right, or is only not done yet.
    pub kind: FieldErrorKind,
}

/// Why a field is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// The value makes no sense.
    Invalid,
    /// The value makes sense, but acting on the object while ignoring it could harm.
    Unsupported,
}

impl FieldError {
    pub(crate) fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            kind: FieldErrorKind::Invalid,
        }
    }

    /// A field whose behaviour is not built.
    pub fn unsupported(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: "is not supported yet; remove the field".into(),
            kind: FieldErrorKind::Unsupported,
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// A kind that can be checked.
pub trait Checked {
    /// The spec with its texts parsed and its defaults filled in.
    type Effective;

    /// Runs every check.
    ///
    /// # Errors
    /// Everything that is wrong at once, not only the first thing.
    fn check(&self) -> Result<Self::Effective, Vec<FieldError>>;
}

/// An object whose spec passed every check. Dereferences to the parsed spec, so that nobody reads
/// the raw one by accident.
#[derive(Debug)]
pub struct Valid<T: Checked> {
    object: T,
    effective: T::Effective,
}

impl<T: Checked> Valid<T> {
    /// Checks `object`.
    ///
    /// # Errors
    /// The object back, and everything that is wrong with it.
    pub fn new(object: T) -> Result<Self, (T, Vec<FieldError>)> {
        match object.check() {
            Ok(effective) => Ok(Self { object, effective }),
            Err(errors) => Err((object, errors)),
        }
    }

    /// The object as it was read: for metadata and status.
    pub fn object(&self) -> &T {
        &self.object
    }
}

impl<T: Checked> Deref for Valid<T> {
    type Target = T::Effective;

    fn deref(&self) -> &Self::Target {
        &self.effective
    }
}
