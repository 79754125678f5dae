//! Pieces of CRD schema that no type can say.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A Pod template or claim: raw JSON end to end, so that a field newer than our libraries is kept.
/// A full schema would also exceed what `kubectl apply` can store in its annotation (256 KiB).
pub fn opaque(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A list of [`opaque`] objects.
pub fn opaque_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}
    })
}
