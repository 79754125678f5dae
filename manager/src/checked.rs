//! A set as it is decided about: one that parses, and passes every check.

use apis::validation::{Checked, FieldErrorKind};
use apis::{FieldError, Valid};
use kube::core::DeserializeGuard;

/// What is cached of a set, checked.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn checked<K: Checked + Clone>(
    set: &DeserializeGuard<K>,
) -> Result<Valid<K>, Vec<FieldError>> {
    match &set.0 {
        Ok(object) => Valid::new(object.clone()).map_err(|refused| refused.1),
        Err(invalid) => Err(vec![FieldError {
            path: "spec".into(),
            message: invalid.error.clone(),
            kind: FieldErrorKind::Invalid,
        }]),
    }
}
