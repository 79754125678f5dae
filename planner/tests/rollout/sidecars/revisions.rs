//! What a SidecarSet was at other times.

use apis::names;
use serde_json::{Value, json};

use super::world::World;

fn numbers(world: &World) -> Vec<i64> {
    let all = world.server.revisions.values();
    let mut numbers: Vec<i64> = all.map(|r| r["revision"].as_i64().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_revision_has_openkruises_labels_and_data() {
    let mut world = World::empty(&json!({"customVersion": "v1",
        "volumes": [{"name": "buffer", "emptyDir": {}}]}));
    world.set["metadata"]["labels"] = json!({"team": "a"});
    world.settle();
    let (name, revision) = world.server.revisions.iter().next().unwrap();
    assert!(name.starts_with("log-"));
    assert_eq!(world.status().latest_revision.as_ref(), Some(name));
    let metadata = &revision["metadata"];
    assert_eq!(metadata["namespace"], "insitu-system");
    assert_eq!(metadata["labels"][names::SIDECAR_SET_LABEL], "log");
    assert_eq!(metadata["labels"][names::CUSTOM_VERSION_LABEL], "v1");
    assert_eq!(metadata["labels"]["team"], "a");
    assert_eq!(metadata["ownerReferences"][0]["uid"], "set-uid");
    let hash = &metadata["annotations"][names::SIDECAR_HASH_ANNOTATION];
    assert_eq!(*hash, world.valid().hash);
    assert_eq!(
        revision["data"],
        json!({"spec": {"$patch": "replace",
            "containers": [{"name": "agent", "image": "agent:1"}], "initContainers": null,
            "imagePullSecrets": null, "patchPodMetadata": null,
            "volumes": [{"name": "buffer", "emptyDir": {}}]}})
    );
}

#[test]
fn what_returns_is_the_newest_again_and_the_oldest_are_forgotten() {
    let mut world = World::running(1, &json!({"revisionHistoryLimit": 3}));
    for n in 2..8 {
        world.set_image(&format!("agent:{n}"));
        world.settle();
    }
    assert_eq!(numbers(&world), [4, 5, 6, 7]);
    world.set_image("agent:5");
    world.settle();
    assert_eq!(numbers(&world), [4, 6, 7, 8]);
}

#[test]
fn revisions_that_pods_remember_or_that_are_pinned_stay() {
    let mut world = World::running(
        1,
        &json!({"revisionHistoryLimit": 0, "customVersion": "one"}),
    );
    world.set_image("agent:2");
    world.settle();
    assert_eq!(numbers(&world), [2], "nobody remembers the first");
    world.edit(|spec| {
        spec["updateStrategy"] = json!({"paused": true});
        spec["customVersion"] = "two".into();
    });
    world.settle();
    world.edit(|spec| {
        spec["injectionStrategy"] = json!({"revision": {"customVersion": "two"}});
        spec["customVersion"] = "three".into();
        spec["containers"][0]["image"] = "agent:3".into();
    });
    world.settle();
    assert_eq!(numbers(&world), [2, 3], "of the Pod, and pinned");
    world.server.pods.clear();
    world.settle();
    assert_eq!(numbers(&world), [2, 3], "pinned");
    world.edit(|spec| spec["injectionStrategy"] = Value::Null);
    world.settle();
    assert_eq!(numbers(&world), [3]);
}

#[test]
fn a_name_that_the_spec_gives_later_is_written_on_the_revision() {
    let mut world = World::empty(&json!({}));
    world.settle();
    world.edit(|spec| spec["customVersion"] = "v2".into());
    world.settle();
    assert_eq!(numbers(&world), [1]);
    let revision = world.server.revisions.values().next().unwrap();
    assert_eq!(
        revision["metadata"]["labels"][names::CUSTOM_VERSION_LABEL],
        "v2"
    );
}

/// Written by Go: fields in another order, empty ones spelled out.
#[test]
fn a_revision_of_openkruise_is_known_again() {
    let mut world = World::empty(&json!({}));
    world.settle();
    let name = world.server.revisions.keys().next().unwrap().clone();
    let mut theirs = (*world.server.revisions[&name]).clone();
    theirs["data"]["spec"]["containers"] =
        json!([{"image": "agent:1", "name": "agent", "resources": {}}]);
    theirs["data"]["spec"]["volumes"] = json!([]);
    world.server.revisions.insert(name, theirs.into());
    world.settle();
    assert_eq!(numbers(&world), [1]);
}

#[test]
fn whoever_knows_an_older_spec_does_nothing() {
    let mut world = World::running(1, &json!({}));
    let old = world.set.clone();
    world.set_image("agent:2");
    world.settle();
    world.set = old;
    let plan = world.plan();
    assert_eq!((plan.effects.len(), plan.pods.len()), (0, 0));
}

#[test]
fn of_a_set_on_its_way_out_nothing_is_written() {
    let mut world = World::running(1, &json!({}));
    world.set_image("agent:2");
    world.set["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z".into();
    world.settle();
    assert_eq!(world.images("agent"), ["agent:1"]);
    assert_eq!(numbers(&world), [1]);
}
