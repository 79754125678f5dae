//! The hash by which OpenKruise knows whether a Pod has the containers of its SidecarSet.
//!
//! It is computed byte for byte as OpenKruise does, so that Pods that it injected are recognized:
//! defaults are filled in first, then the containers are written in the order of fields in which
//! OpenKruise's own language writes them. Fields that OpenKruise does not know follow at the end.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::container::SidecarContainer;

mod defaults;
mod fields;
mod text;

/// Letters that neither spell a word nor are mistaken for one another.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Whether a change of an image is a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    /// It is.
    Count,
    /// It is not.
    Blank,
}

/// The hash of a SidecarSet's containers. Init containers are part of it only if one of them is a
/// native sidecar, for others are never updated.
pub fn hash(
    containers: &[SidecarContainer],
    init_containers: &[SidecarContainer],
    images: Images,
) -> String {
    let prepare = |list: &[SidecarContainer], place: &str| -> Vec<Value> {
        let raw = list.iter().map(|container| raw(container, images));
        raw.map(|container| defaults::fill(container, place))
            .collect()
    };
    let containers = prepare(containers, "BeforeAppContainer");
    let has_native = init_containers
        .iter()
        .any(SidecarContainer::restarts_always);
    let init_containers = has_native.then(|| prepare(init_containers, "AfterAppContainer"));
    digest(&text_of(&containers, init_containers.as_deref()))
}

/// The container with the fields beside it, as one object.
fn raw(container: &SidecarContainer, images: Images) -> Map<String, Value> {
    let mut raw = match serde_json::to_value(container) {
        Ok(Value::Object(raw)) => raw,
        // A value in, a value out: nothing here can fail to be written.
        Ok(_) | Err(_) => Map::new(),
    };
    match images {
        Images::Count => {}
        // As OpenKruise has it: with the default pull policy of the image that is there.
        Images::Blank => {
            raw = match defaults::fill(raw, "") {
                Value::Object(raw) => raw,
                _ => Map::new(),
            };
            raw.remove("image");
        }
    }
    raw
}

fn text_of(containers: &[Value], init_containers: Option<&[Value]>) -> String {
    let mut out = String::from("{\"containers\":");
    text::list(&mut out, containers, fields::SIDECAR);
    if let Some(init_containers) = init_containers {
        out.push_str(",\"initContainers\":");
        text::list(&mut out, init_containers, fields::SIDECAR);
    }
    out.push('}');
    out
}

fn digest(text: &str) -> String {
    use std::fmt::Write;
    let mut hex = String::new();
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    let letter = |c: u8| ALPHABET.get(usize::from(c) % ALPHABET.len());
    hex.bytes()
        .filter_map(letter)
        .map(|c| char::from(*c))
        .collect()
}

#[cfg(test)]
mod tests;
