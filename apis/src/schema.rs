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

/// Said by the schema and by the checks.
pub const SURGE_IN_PLACE_ONLY: &str =
    "makes Pods that InPlaceOnly does not replace; use 0, or another podUpdatePolicy";
/// Said by the schema and by the checks.
pub const DEADLINE_TOO_SHORT: &str =
    "is not more than minReadySeconds, so that no Pod could be in time";
/// Said by the schema and by the checks.
pub const ROLLBACK_WITHOUT_DEADLINE: &str =
    "needs to know how long to wait; set spec.progressDeadlineSeconds";

/// Terms that order the Pods of an update, at most: each of them costs a look at every Pod.
pub const TERMS_MAX: u32 = 64;

/// A number of Pods, or a share of them from `0%` to `100%`.
pub fn share(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true, "nullable": true,
        "minimum": 0, "maximum": i32::MAX, "pattern": "^0*(100|[0-9]{1,2})%$"
    })
}

/// A number, also as a text: OpenKruise takes both where it takes no share.
pub fn number_or_text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true, "nullable": true,
        "minimum": 0, "maximum": i32::MAX, "pattern": "^[0-9]{1,9}$"
    })
}
