//! As much of a structural schema as our CRD uses. A keyword that is not known here is an error of
//! the test, so that none is overlooked.
//!
//! What becomes of a null: a field that is not `nullable` is dropped before anything is judged, as
//! if nobody had written it; one that is keeps it, and `type` lets it pass. An `enum` never
//! does: null cannot be one of its values. So no field of ours is both (a test sees to that).

use serde_json::Value;

/// What the API server would say about `value`.
#[allow(clippy::too_many_lines, reason = "one arm for each keyword")]
pub(crate) fn verdict(schema: &Value, value: &Value) -> Result<(), String> {
    if value.is_null() {
        let passes = schema["nullable"] == true && schema.get("enum").is_none();
        return passes.then_some(()).ok_or_else(|| "null".into());
    }
    let fail = |keyword: &str, rule: &Value| Err(format!("{keyword} {rule}: {value}"));
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "type" => is_a(value, rule.as_str().unwrap()),
            "format" => match rule.as_str().unwrap() {
                "int32" => {
                    !is_a(value, "integer")
                        || value.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
                }
                "int64" => true,
                other => panic!("format {other}"),
            },
            "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|n| n <= rule.as_f64().unwrap()),
            "minLength" => value
                .as_str()
                .is_none_or(|s| s.chars().count() as u64 >= rule.as_u64().unwrap()),
            "maxLength" => value
                .as_str()
                .is_none_or(|s| s.chars().count() as u64 <= rule.as_u64().unwrap()),
            "maxItems" => value
                .as_array()
                .is_none_or(|a| a.len() as u64 <= rule.as_u64().unwrap()),
            "pattern" => value
                .as_str()
                .is_none_or(|text| matches(rule.as_str().unwrap(), text)),
            "enum" => rule.as_array().unwrap().contains(value),
            "required" => {
                let names = rule.as_array().unwrap();
                names
                    .iter()
                    .all(|n| value.get(n.as_str().unwrap()).is_some())
            }
            "x-kubernetes-int-or-string" => value.is_string() || is_a(value, "integer"),
            "x-kubernetes-list-type" if rule == "set" => {
                let list = value.as_array().unwrap();
                list.iter().enumerate().all(|(i, v)| !list[..i].contains(v))
            }
            "x-kubernetes-list-type" if rule == "map" => {
                let list = value.as_array().unwrap();
                let named = |a: &Value, b: &Value| a["name"] == b["name"];
                (0..list.len()).all(|i| !list[..i].iter().any(|other| named(other, &list[i])))
            }
            "x-kubernetes-list-map-keys" => *rule == serde_json::json!(["name"]),
            "x-kubernetes-validations" => {
                let mut rules = rule.as_array().unwrap().iter();
                rules.all(|r| cel(r["rule"].as_str().unwrap(), value))
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        verdict(schema, value).map_err(|e| format!("{name}: {e}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                for value in value.as_object().into_iter().flat_map(|o| o.values()) {
                    verdict(rule, value)?;
                }
                true
            }
            "items" => {
                for value in value.as_array().into_iter().flatten() {
                    verdict(rule, value)?;
                }
                true
            }
            "description" | "nullable" | "default" | "x-kubernetes-preserve-unknown-fields" => true,
            other => panic!("keyword {other}"),
        };
        if !holds {
            return fail(keyword, rule);
        }
    }
    Ok(())
}

/// `value` without the nulls that are dropped before anybody looks at it.
pub(crate) fn without_nulls(schema: &Value, mut value: Value) -> Value {
    let is_dropped = |schema: &Value, value: &Value| value.is_null() && schema["nullable"] != true;
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let Some(fields) = value.as_object_mut() else {
            break;
        };
        if let Some(field) = fields.remove(name)
            && !is_dropped(schema, &field)
        {
            fields.insert(name.clone(), without_nulls(schema, field));
        }
    }
    for item in value.as_array_mut().into_iter().flatten() {
        *item = without_nulls(&schema["items"], item.take());
    }
    value
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("type {other}"),
    }
}

/// The patterns, said another way.
fn matches(pattern: &str, text: &str) -> bool {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    match pattern {
        "^0*(100|[0-9]{1,2})%$" => text.strip_suffix('%').is_some_and(|t| {
            let significant = t.trim_start_matches('0');
            digits(t) && (significant.len() <= 2 || significant == "100")
        }),
        "^[0-9]{1,9}$" => digits(text) && text.len() <= 9,
        other => panic!("pattern {other}"),
    }
}

/// The rules, said another way.
fn cel(rule: &str, value: &Value) -> bool {
    if rule.contains("oldSelf") {
        return true;
    }
    // To `has` a field that is null is as absent as one that is not there.
    let number = |key: &str| value[key].as_i64();
    let filled = |key: &str| value[key].as_array().is_some_and(|list| !list.is_empty());
    let never = i64::from(i32::MAX);
    let text = |key: &str| value[key].as_str().is_some_and(|text| !text.is_empty());
    if rule.contains("initContainers") {
        filled("containers") || filled("initContainers")
    } else if rule.contains("revisionName") {
        text("revisionName") || text("customVersion")
    } else if rule.contains("self.partition == 0") {
        let (partition, selector) = (&value["partition"], &value["selector"]);
        let beside = !partition.is_null() && !selector.is_null() && *partition != 0;
        !beside || value["type"] == "NotUpdate"
    } else if rule.contains("weightPriority") {
        !(filled("weightPriority") && filled("orderPriority"))
    } else if rule.contains("InPlaceOnly") {
        let zero = |text: &str| {
            let digits = text.strip_suffix('%').unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|b| b == b'0')
        };
        let surge = &value["maxSurge"];
        let is_zero = surge == 0 || surge.is_null() || surge.as_str().is_some_and(zero);
        let policy = ["podUpdatePolicy", "type"].map(|key| &value[key]);
        policy.iter().all(|policy| *policy != "InPlaceOnly") || is_zero
    } else if rule.contains("rollbackOnDeadline") {
        let on = &value["updateStrategy"]["rollingUpdate"]["rollbackOnDeadline"];
        let deadline = number("progressDeadlineSeconds").filter(|seconds| *seconds != never);
        on != true || deadline.is_some()
    } else {
        assert!(rule.contains("minReadySeconds"), "rule {rule}");
        let ready = number("minReadySeconds").unwrap_or_default();
        number("progressDeadlineSeconds").is_none_or(|s| s == never || s > ready)
    }
}
