//! Objects as OpenKruise's language writes them.

use serde_json::{Map, Value};

use super::fields::{Field, Presence, Shape};
use crate::quantity::Quantity;

/// A list of objects with the given fields.
pub(super) fn list(out: &mut String, items: &[Value], fields: &[Field]) {
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        object(out, item, fields);
    }
    out.push(']');
}

fn object(out: &mut String, value: &Value, fields: &[Field]) {
    let empty = Map::new();
    let map = value.as_object().unwrap_or(&empty);
    let mut first = true;
    out.push('{');
    for field in fields {
        let value = map.get(field.name).filter(|value| !value.is_null());
        let is_written = match field.presence {
            Presence::Filled => value.is_some_and(is_filled),
            Presence::Present => value.is_some(),
            Presence::Always => true,
        };
        if is_written {
            key(out, field.name, &mut first);
            shaped(out, value.unwrap_or(&Value::Null), field.shape);
        }
    }
    // Newer than the fields above. A map sorts them.
    for (name, value) in map {
        if is_filled(value) && !fields.iter().any(|field| field.name == name) {
            key(out, name, &mut first);
            plain(out, value);
        }
    }
    out.push('}');
}

fn key(out: &mut String, name: &str, first: &mut bool) {
    if !std::mem::replace(first, false) {
        out.push(',');
    }
    text(out, name);
    out.push(':');
}

fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn shaped(out: &mut String, value: &Value, shape: Shape) {
    match (shape, value) {
        (Shape::Text, Value::Null) => out.push_str("\"\""),
        (Shape::Number, Value::Null) => out.push('0'),
        (Shape::Text | Shape::Number | Shape::OrNull, value) => plain(out, value),
        (Shape::Amount, Value::Null) => out.push_str("\"0\""),
        (Shape::Amount, value) => amount(out, value),
        (Shape::Amounts, value) => {
            let mut first = true;
            out.push('{');
            for (name, value) in value.as_object().into_iter().flatten() {
                key(out, name, &mut first);
                amount(out, value);
            }
            out.push('}');
        }
        (Shape::Object(fields), value) => object(out, value, fields),
        (Shape::List(fields), value) => {
            list(out, value.as_array().map_or(&[], Vec::as_slice), fields);
        }
    }
}

fn amount(out: &mut String, value: &Value) {
    let written = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match Quantity::parse(&written) {
        Some(quantity) => text(out, &quantity.to_string()),
        None => plain(out, value),
    }
}

fn plain(out: &mut String, value: &Value) {
    match value {
        Value::String(string) => text(out, string),
        Value::Array(list) => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                plain(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut first = true;
            out.push('{');
            for (name, value) in map {
                key(out, name, &mut first);
                plain(out, value);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

/// With everything escaped that a browser could take for markup.
fn text(out: &mut String, text: &str) {
    for c in Value::from(text).to_string().chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
}
