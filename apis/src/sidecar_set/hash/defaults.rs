//! What OpenKruise's webhook filled in before it hashed. Nothing of it is ever written to an object.

use serde_json::{Map, Value, json};

use crate::quantity::Quantity;

/// Thousandths, in billionths.
const MILLI: i128 = 1_000_000;

/// `container` with its defaults; `place` is where it is injected, unless it says so itself or
/// `place` is empty.
pub(super) fn fill(mut container: Map<String, Value>, place: &str) -> Value {
    let pull = pull_policy(container.get("image").and_then(Value::as_str));
    text(&mut container, "imagePullPolicy", pull);
    text(
        &mut container,
        "terminationMessagePath",
        "/dev/termination-log",
    );
    text(&mut container, "terminationMessagePolicy", "File");
    if !place.is_empty() {
        text(&mut container, "podInjectPolicy", place);
    }
    within(&mut container, "upgradeStrategy", Absent::Made, |it| {
        text(it, "upgradeType", "ColdUpgrade");
    });
    within(&mut container, "shareVolumePolicy", Absent::Made, |it| {
        text(it, "type", "disabled");
    });
    each(&mut container, "ports", |it| text(it, "protocol", "TCP"));
    each(&mut container, "env", |it| {
        within(it, "valueFrom", Absent::Left, |it| {
            within(it, "fieldRef", Absent::Left, |it| {
                text(it, "apiVersion", "v1");
            });
        });
    });
    each(&mut container, "transferEnv", |it| {
        within(it, "sourceContainerNameFrom", Absent::Left, |it| {
            within(it, "fieldRef", Absent::Left, |it| {
                text(it, "apiVersion", "v1");
            });
        });
    });
    within(&mut container, "resourcesPolicy", Absent::Left, |it| {
        text(it, "targetContainersNameRegex", ".*");
    });
    within(&mut container, "resources", Absent::Left, |it| {
        for list in ["limits", "requests"] {
            within(it, list, Absent::Left, amounts);
        }
    });
    // A startup probe is left alone there, and so is gRPC.
    for probe in ["livenessProbe", "readinessProbe"] {
        within(&mut container, probe, Absent::Left, |it| {
            number(it, "timeoutSeconds", 1);
            number(it, "periodSeconds", 10);
            number(it, "successThreshold", 1);
            number(it, "failureThreshold", 3);
            within(it, "httpGet", Absent::Left, http_get);
        });
    }
    within(&mut container, "lifecycle", Absent::Left, |it| {
        for hook in ["postStart", "preStop"] {
            within(it, hook, Absent::Left, |it| {
                within(it, "httpGet", Absent::Left, http_get);
            });
        }
    });
    container.into()
}

/// What comes of an object that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    Made,
    Left,
}

fn within(
    map: &mut Map<String, Value>,
    key: &str,
    absent: Absent,
    change: impl FnOnce(&mut Map<String, Value>),
) {
    let is_absent = map.get(key).is_none_or(Value::is_null);
    if absent == Absent::Made && is_absent {
        map.insert(key.to_owned(), json!({}));
    }
    if let Some(inner) = map.get_mut(key).and_then(Value::as_object_mut) {
        change(inner);
    }
}

fn each(map: &mut Map<String, Value>, key: &str, mut change: impl FnMut(&mut Map<String, Value>)) {
    let list = map.get_mut(key).and_then(Value::as_array_mut);
    for item in list.into_iter().flatten().filter_map(Value::as_object_mut) {
        change(item);
    }
}

fn text(map: &mut Map<String, Value>, key: &str, default: &str) {
    let value = map.get(key).and_then(Value::as_str);
    if value.is_none_or(str::is_empty) {
        map.insert(key.to_owned(), default.into());
    }
}

fn number(map: &mut Map<String, Value>, key: &str, default: i64) {
    let value = map.get(key).and_then(Value::as_i64);
    if value.is_none_or(|n| n == 0) {
        map.insert(key.to_owned(), default.into());
    }
}

fn http_get(map: &mut Map<String, Value>) {
    text(map, "path", "/");
    text(map, "scheme", "HTTP");
}

/// Amounts have no more than thousandths.
fn amounts(map: &mut Map<String, Value>) {
    for value in map.values_mut() {
        let parsed = match &value {
            Value::String(text) => Quantity::parse(text),
            other => Quantity::parse(&other.to_string()),
        };
        if let Some(quantity) = parsed {
            *value = quantity.round_up(MILLI).to_string().into();
        }
    }
}

/// By the tag: what moves is pulled every time.
fn pull_policy(image: Option<&str>) -> &'static str {
    let image = image.unwrap_or_default();
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    match (last.split_once(':'), digest) {
        (Some((_, "latest")), _) | (None, None) => "Always",
        (Some(_), _) | (None, Some(_)) => "IfNotPresent",
    }
}
