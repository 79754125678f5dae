//! Pieces of CRD schema that no type can say.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::sidecar_set::container::SidecarContainer;

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

/// Said by the schema and by the checks.
pub const NO_CONTAINERS: &str =
    "spec.containers and spec.initContainers are both empty; name what is to be injected";
/// Said by the schema and by the checks.
pub const PARTITION_BESIDE_SELECTOR: &str = "stands beside updateStrategy.selector, and only one of them can say which Pods stay as they \
     are; remove one";
/// Said by the schema and by the checks.
pub const REVISION_WITHOUT_NAME: &str =
    "names no revision; set revisionName or customVersion, or remove it";

/// The name of a container, at most.
pub const CONTAINER_NAME_MAX: u32 = 63;

/// Containers of a SidecarSet: a container is kept as raw JSON, with the fields beside it checked.
pub fn sidecars(generator: &mut SchemaGenerator) -> Schema {
    let mut item = SidecarContainer::json_schema(generator);
    item.remove("additionalProperties");
    item.insert("type".to_owned(), "object".into());
    item.insert("required".to_owned(), json!(["name"]));
    item.insert(
        "x-kubernetes-preserve-unknown-fields".to_owned(),
        true.into(),
    );
    if let Some(properties) = item.get_mut("properties").and_then(Value::as_object_mut) {
        let name = json!({"type": "string", "minLength": 1, "maxLength": CONTAINER_NAME_MAX});
        properties.insert("name".to_owned(), name);
        properties.insert("image".to_owned(), json!({"type": "string"}));
    }
    json_schema!({
        "type": "array", "maxItems": TERMS_MAX,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": item
    })
}
