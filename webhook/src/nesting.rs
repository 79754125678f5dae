//! How deep objects may be nested. JSON is read to 128 levels, of the review around the object too,
//! and the reviews of an admission and of a conversion are not equally deep. So an object at the
//! limit could be let in and never be converted: nobody could list its kind in the other version.

use serde_json::Value;

/// Levels that a spec may have. That of a Pod has about fifteen.
pub(crate) const SPEC: usize = 100;
/// Levels that an object may have to be converted; its other form may have a few more.
pub(crate) const OBJECT: usize = 110;

/// Whether `value` has more than so many levels.
pub(crate) fn exceeds(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else {
        return value.is_array() || value.is_object();
    };
    match value {
        Value::Array(items) => items.iter().any(|item| exceeds(item, below)),
        Value::Object(fields) => fields.values().any(|field| exceeds(field, below)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn levels_are_lists_and_objects_within_each_other() {
        let three = json!({"a": [1, {"b": 2}], "c": []});
        assert!(exceeds(&three, 2) && !exceeds(&three, 3));
        assert!(exceeds(&json!([]), 0) && !exceeds(&json!("a"), 0));
    }
}
