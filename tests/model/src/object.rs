//! Objects that many hold and few change.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde_json::Value;

/// One version of an object. Copies are the same object until one of them is changed.
#[derive(Clone, Debug)]
pub struct Object(Arc<Value>);

impl Object {
    /// Whether both are the same version, and not only equal.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<Value> for Object {
    fn from(value: Value) -> Self {
        Self(Arc::new(value))
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Arc::unwrap_or_clone(object.0)
    }
}

impl Deref for Object {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl DerefMut for Object {
    fn deref_mut(&mut self) -> &mut Value {
        Arc::make_mut(&mut self.0)
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Object;

    #[test]
    fn a_copy_that_is_changed_is_another_object() {
        let first = Object::from(json!({"a": 1}));
        let mut second = first.clone();
        assert_eq!(first, second);
        second["a"] = 2.into();
        assert_eq!((&first["a"], &second["a"]), (&json!(1), &json!(2)));
        assert_ne!(first, second);
    }
}
