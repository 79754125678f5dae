//! Launch priority.

use serde_json::json;

use model::object::Object;
use model::world::World;

use super::{compare, in_place};

#[test]
fn launch_priority() {
    let mut world = World::new(2, &in_place());
    world.edit("a new set", |spec| {
        let env = json!([{"name": "KRUISE_CONTAINER_PRIORITY", "value": "1"}]);
        spec["template"]["spec"]["containers"] = json!([
            {"name": "main", "image": "web:1"},
            {"name": "db", "image": "db:1", "env": env},
        ]);
    });
    world.settle();
    world.writes.clear();
    world.timeline.begin();
    let images = |world: &mut World, main: &'static str, db: &'static str| {
        world.edit(&format!("images {main}, {db}"), |spec| {
            spec["template"]["spec"]["containers"][0]["image"] = main.into();
            spec["template"]["spec"]["containers"][1]["image"] = db.into();
        });
    };
    let uids = world.uids();
    images(&mut world, "web:2", "db:2");
    world.settle();
    assert!(world.writes.values().all(|writes| *writes == 4));
    images(&mut world, "web:3", "db:bad");
    world.settle();
    assert_eq!(world.images(), ["web:2"; 2], "main waits for db");
    images(&mut world, "web:3", "db:3");
    world.settle();
    assert_eq!(world.images(), ["web:3"; 2]);
    assert_eq!(world.uids(), uids);
    let db = |p: &Object| p["spec"]["containers"][1]["image"] == "db:3";
    assert!(world.server.pods.values().all(db));
    compare(
        &world,
        "launch-priority",
        "db has the higher launch priority: it restarts first, and main only once db is ready. A db\n\
         that cannot start keeps main from restarting, until another template mends it.",
    );
}
