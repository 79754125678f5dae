//! Sequences of random requests: one seed is one sequence. Names and values are few, so that
//! requests meet what others left, find it as it is wanted already, or find it gone.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::step::{Sequence, Step};

pub(crate) fn sequence(seed: u64, length: usize) -> Sequence {
    let mut rng = Rng::with_seed(seed);
    let first = ["create pods a", "create pods b", "bind pods a"];
    let lines = first.map(str::to_owned).into_iter();
    let lines = lines.chain((0..length).map(|_| line(&mut rng)));
    Sequence {
        name: format!("seed {seed}"),
        steps: lines.map(|line| Step::read(&line)).collect(),
    }
}

fn pick<'a, T: ?Sized>(rng: &mut Rng, from: &[&'a T]) -> &'a T {
    from[rng.usize(..from.len())]
}

fn line(rng: &mut Rng) -> String {
    let name = pick(rng, &["a", "b"]);
    match rng.u32(..12) {
        0 => format!("create claims {name} {}", metadata(rng)),
        1 => format!("create revisions {name} {}", metadata(rng)),
        2 => any(rng, "claims", name),
        3 => any(rng, "revisions", name),
        _ => pod(rng, name),
    }
}

/// What can be asked of every kind.
fn any(rng: &mut Rng, resource: &str, name: &str) -> String {
    match rng.u32(..8) {
        0 | 1 => delete(rng, resource, name),
        2 => format!(
            "json {resource} {name} {}",
            Value::Array(guarded(rng, owners))
        ),
        3 => format!(
            "json {resource} {name} {}",
            Value::Array(guarded(rng, finalizers))
        ),
        4 if resource == "revisions" => {
            let revision = rng.u32(1..4);
            let body = json!({"metadata": preconditions(rng), "revision": revision});
            format!("merge {resource} {name} {body}")
        }
        _ => format!("merge {resource} {name} {}", merge(rng)),
    }
}

fn pod(rng: &mut Rng, name: &str) -> String {
    let ops = |rng: &mut Rng, op: fn(&mut Rng) -> Vec<Value>| Value::Array(guarded(rng, op));
    match rng.u32(..16) {
        0..=2 => {
            let mut body = metadata(rng);
            if rng.bool() {
                let amounts = json!({"requests": {"cpu": "1", "memory": "64Mi"}});
                body["spec"] = json!({"containers": [
                    {"name": "main", "image": image(rng), "resources": amounts}]});
            }
            format!("create pods {name} {body}")
        }
        3 | 4 => format!("bind pods {name}"),
        5 | 6 => format!("json pods {name} {}", ops(rng, images)),
        7 | 8 => format!("strategic pods/status {name} {}", status(rng)),
        9 => format!("json pods/status {name} {}", ops(rng, conditions)),
        10 => format!("json pods/resize {name} {}", ops(rng, amounts)),
        11 => format!("json pods/status {name} {}", ops(rng, owners)),
        _ => any(rng, "pods", name),
    }
}

fn image(rng: &mut Rng) -> &'static str {
    pick(rng, &["app:1", "app:2"])
}

/// Metadata of something new.
fn metadata(rng: &mut Rng) -> Value {
    let mut metadata = json!({});
    if rng.bool() {
        metadata["labels"] = json!({"x": "1"});
    }
    if rng.u32(..4) == 0 {
        metadata["finalizers"] = json!(["a.b/c"]);
    }
    json!({"metadata": metadata})
}

/// UID and version as they are, as they were, or not said.
fn preconditions(rng: &mut Rng) -> Value {
    let mut out = json!({});
    match rng.u32(..8) {
        0 => out["uid"] = "$nobody".into(),
        1..=4 => out["uid"] = "$uid".into(),
        _ => {}
    }
    match rng.u32(..4) {
        0 => out["resourceVersion"] = "$old".into(),
        1 => out["resourceVersion"] = "$rv".into(),
        _ => {}
    }
    out
}

/// The same as `test`s before other operations.
fn guarded(rng: &mut Rng, ops: fn(&mut Rng) -> Vec<Value>) -> Vec<Value> {
    let mut all = Vec::new();
    for (key, value) in preconditions(rng).as_object().into_iter().flatten() {
        all.push(json!({"op": "test", "path": format!("/metadata/{key}"), "value": value}));
    }
    all.extend(ops(rng));
    all
}

fn delete(rng: &mut Rng, resource: &str, name: &str) -> String {
    let mut body = json!({"preconditions": preconditions(rng)});
    match rng.u32(..6) {
        0 => body["gracePeriodSeconds"] = 0.into(),
        1 => body["gracePeriodSeconds"] = 40.into(),
        2 => body["gracePeriodSeconds"] = 10.into(),
        _ => {}
    }
    format!("delete {resource} {name} {body}")
}

fn merge(rng: &mut Rng) -> Value {
    let mut metadata = preconditions(rng);
    let value = pick(rng, &[&json!("1"), &json!("2"), &Value::Null]).clone();
    match rng.u32(..3) {
        0 => metadata["labels"] = json!({"x": value}),
        1 => metadata["annotations"] = json!({"a.b/c": value}),
        _ => {
            let lists = [json!(["a.b/c"]), json!(["a.b/c", "a.b/d"]), json!([])];
            metadata["finalizers"] = lists[rng.usize(..3)].clone();
        }
    }
    json!({"metadata": metadata})
}

fn images(rng: &mut Rng) -> Vec<Value> {
    let path = "/spec/containers/0/image";
    let mut ops = vec![json!({"op": "test", "path": path, "value": image(rng)})];
    ops.push(json!({"op": "replace", "path": path, "value": image(rng)}));
    let key = pick(rng, &["/metadata/labels/x", "/metadata/annotations/a.b~1c"]);
    match rng.u32(..4) {
        0 => ops.push(json!({"op": "add", "path": key, "value": "1"})),
        1 => ops.push(json!({"op": "remove", "path": key})),
        2 => ops.push(json!({"op": "test", "path": key, "value": "1"})),
        _ => {}
    }
    ops
}

fn condition(rng: &mut Rng) -> Value {
    let type_ = pick(rng, &["Ready", "InPlaceUpdateReady"]);
    let status = pick(rng, &["True", "False"]);
    let mut out = json!({"type": type_, "status": status});
    match rng.u32(..3) {
        0 => out["reason"] = "StartInPlaceUpdate".into(),
        1 => out["reason"] = Value::Null,
        _ => {}
    }
    out
}

fn status(rng: &mut Rng) -> Value {
    let mut metadata = preconditions(rng);
    if rng.u32(..4) == 0 {
        metadata["labels"] = json!({"x": "2"});
    }
    let mut status = json!({"conditions": [condition(rng)]});
    if rng.u32(..4) == 0 {
        status["phase"] = pick(rng, &["Pending", "Running", "Failed"]).into();
    }
    json!({"metadata": metadata, "status": status})
}

fn conditions(rng: &mut Rng) -> Vec<Value> {
    let path = format!("/status/conditions/{}", rng.u32(..3));
    let mut ops = Vec::new();
    if rng.bool() {
        ops.push(json!({"op": "test", "path": "/metadata/generation", "value": rng.u32(1..4)}));
    }
    let wanted = condition(rng);
    let type_ = format!("{path}/type");
    ops.push(json!({"op": "test", "path": type_, "value": wanted["type"]}));
    ops.push(json!({"op": "replace", "path": path, "value": wanted}));
    ops
}

fn amounts(rng: &mut Rng) -> Vec<Value> {
    let list = pick(rng, &["requests", "requests", "limits"]);
    let (resource, amount) = match rng.u32(..4) {
        0 => ("memory", "64Mi"),
        1 => ("memory", "128Mi"),
        2 => ("cpu", "1"),
        _ => ("cpu", "2"),
    };
    let path = format!("/spec/containers/0/resources/{list}/{resource}");
    match rng.u32(..6) {
        0 => vec![json!({"op": "remove", "path": path})],
        1 => vec![json!({"op": "test", "path": path, "value": amount})],
        _ => vec![json!({"op": "add", "path": path, "value": amount})],
    }
}

fn owners(rng: &mut Rng) -> Vec<Value> {
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "b", "uid": "$uid:b",
        "controller": rng.bool()});
    let path = "/metadata/ownerReferences";
    let op = match rng.u32(..4) {
        0 => json!({"op": "add", "path": path, "value": [owner]}),
        1 => json!({"op": "add", "path": format!("{path}/-"), "value": owner}),
        2 => json!({"op": "replace", "path": format!("{path}/0"), "value": owner}),
        _ => json!({"op": "remove", "path": format!("{path}/0")}),
    };
    vec![op]
}

fn finalizers(rng: &mut Rng) -> Vec<Value> {
    let path = "/metadata/finalizers";
    let op = match rng.u32(..3) {
        0 => json!({"op": "add", "path": path, "value": ["a.b/c"]}),
        1 => json!({"op": "add", "path": format!("{path}/-"), "value": "a.b/d"}),
        _ => json!({"op": "remove", "path": format!("{path}/0")}),
    };
    vec![op]
}
