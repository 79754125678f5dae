//! Changes of one object, made to another.

use serde_json::{Map, Value};

/// Makes the changes that lead from `before` to `after` to `object`. Lists are changed as a whole.
pub(super) fn replay(object: &mut Map<String, Value>, before: &Value, after: &Value) {
    let empty = Map::new();
    let (before, after) = (
        before.as_object().unwrap_or(&empty),
        after.as_object().unwrap_or(&empty),
    );
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        object.remove(key);
    }
    for (key, new) in after {
        let old = before.get(key);
        if old == Some(new) {
            continue;
        }
        match (object.get_mut(key), old) {
            (Some(Value::Object(inner)), Some(old)) if new.is_object() && old.is_object() => {
                replay(inner, old, new);
            }
            _ => {
                object.insert(key.clone(), new.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn replayed(mut object: Value, before: &Value, after: &Value) -> Value {
        replay(object.as_object_mut().unwrap(), before, after);
        object
    }

    #[test]
    fn what_was_not_changed_stays() {
        let object = json!({"a": 1, "own": true, "deep": {"x": 1, "own": [1]}});
        let (before, after) = (
            json!({"a": 1, "b": 2, "deep": {"x": 1, "y": 1}}),
            json!({"a": 3, "c": 4, "deep": {"x": 2}}),
        );
        assert_eq!(
            replayed(object, &before, &after),
            json!({"a": 3, "c": 4, "own": true, "deep": {"x": 2, "own": [1]}})
        );
    }

    #[test]
    fn nothing_changed_is_nothing_done() {
        let (object, same) = (json!({"a": 1}), json!({"a": 2, "b": null}));
        assert_eq!(replayed(object.clone(), &same, &same), object);
    }
}
