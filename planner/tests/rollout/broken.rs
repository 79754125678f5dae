//! What can go wrong, and what the planner once did wrong: one story each.

use serde_json::{Value, json};

use model::object::Object;
use model::watchdog::serves;
use model::world::World;

mod batches;
mod budget;
mod claims;
mod foreign;
mod lags;
mod ownership;
mod records;
mod resize;
mod revisions;

fn in_place(policy: &str) -> Value {
    json!({"podUpdatePolicy": policy, "maxUnavailable": 1})
}

fn names(world: &World) -> Vec<String> {
    world.server.pods.keys().cloned().collect()
}

fn set_env(world: &mut World, value: &str) {
    world.edit("env", |spec| {
        spec["template"]["spec"]["containers"][0]["env"] = json!([{"name": "K", "value": value}]);
    });
}

fn restarts(world: &World) -> Vec<i64> {
    let count = |p: &Object| p["status"]["containerStatuses"][0]["restartCount"].as_i64();
    world.server.pods.values().filter_map(count).collect()
}

fn reasons(world: &World) -> Vec<String> {
    let plan = world.plan();
    plan.pods
        .iter()
        .map(|(_, r)| r.as_str().to_owned())
        .collect()
}
