//! ControllerRevisions that are gone, or that somebody else wrote.

use super::*;

/// Three Pods of web:1 that the partition keeps, one of web:2, and no record of the former.
fn canary_without_record() -> World {
    let mut world = World::running(4, &in_place("InPlaceIfPossible"));
    world.set_rolling("partition", json!(3));
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:1", "web:2"]);
    let current = world.status().current_revision.unwrap();
    world.server.revisions.remove(&current).unwrap();
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:1", "web:2"]);
    assert_eq!(world.status().current_revision, Some(current));
    world
}

fn with_image<'a>(world: &'a World, image: &str) -> &'a str {
    let has = |pod: &&Object| pod["spec"]["containers"][0]["image"] == image;
    let pod = world.server.pods.values().find(has).unwrap();
    pod["metadata"]["name"].as_str().unwrap()
}

/// Bug: without its record the current revision was taken for the update revision, and every Pod
/// that the partition kept was updated.
#[test]
fn a_partition_holds_without_the_record_of_what_it_keeps() {
    let mut world = canary_without_record();
    assert_eq!(world.ready_reason(), "PartitionReached");
    let lost = with_image(&world, "web:1").to_owned();
    world.server.terminate(&lost);
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:2"], "none is made");
    assert_eq!(world.ready_reason(), "RevisionLost");
    let canary = with_image(&world, "web:2").to_owned();
    world.server.terminate(&canary);
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:2"], "a canary is");
}

#[test]
fn the_old_template_applied_again_is_recorded_again_under_its_name() {
    let mut world = canary_without_record();
    let lost = with_image(&world, "web:1").to_owned();
    world.server.terminate(&lost);
    world.settle();
    world.set_image("web:1");
    world.settle();
    assert_eq!(world.images(), ["web:1"; 4]);
    assert!(world.is_ready());
}

#[test]
fn a_rollout_goes_on_without_the_record_of_what_it_began_with() {
    let mut world = canary_without_record();
    world.set_rolling("partition", json!(0));
    world.settle();
    assert_eq!(world.images(), ["web:2"; 4]);
    assert!(world.is_ready());
    let status = world.status();
    assert_eq!(status.current_revision, status.update_revision);
}

/// Bug: before a status had told of the current revision, a lost record left the partition nothing
/// to keep, and every Pod was replaced.
#[test]
fn a_partition_holds_without_record_and_status() {
    let mut world = canary_without_record();
    let mut set = Value::from(world.set.clone());
    set["status"] = json!({});
    world.set = set.into();
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:1", "web:2"]);
    let lost = with_image(&world, "web:1").to_owned();
    world.server.terminate(&lost);
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:2"], "none is made");
    assert_eq!(world.ready_reason(), "RevisionLost");
}

/// Bug: the canary's revision stood in for the one whose record was lost, also in the status. Its
/// template, applied again, was what the partition kept then, and every Pod was brought to it.
#[test]
fn a_partition_holds_against_the_revision_that_stands_in() {
    let mut world = canary_without_record();
    let current = world.status().current_revision;
    world.set_rolling("paused", json!(true));
    world.set_image("web:3");
    world.settle();
    assert_eq!(world.status().current_revision, current);
    world.set_rolling("paused", json!(false));
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:1", "web:2"]);
    assert_eq!(world.status().current_revision, current);
}

#[test]
fn a_raised_partition_takes_nothing_back_to_what_nobody_knows() {
    let mut world = canary_without_record();
    world.set_rolling("partition", json!(4));
    world.settle();
    assert_eq!(world.images(), ["web:1", "web:1", "web:1", "web:2"]);
    assert_eq!(world.ready_reason(), "RevisionLost");
}

#[test]
fn a_lost_record_does_not_bring_back_what_was_given_up() {
    let mut world = World::running(3, &in_place("InPlaceIfPossible"));
    world.edit("roll back", |spec| {
        spec["progressDeadlineSeconds"] = 30.into();
        spec["updateStrategy"]["rollingUpdate"]["rollbackOnDeadline"] = true.into();
    });
    world.set_image("web:crash");
    world.settle();
    assert_eq!(world.images(), ["web:1"; 3]);
    let current = world.status().current_revision.unwrap();
    world.server.revisions.remove(&current).unwrap();
    world.settle();
    assert_eq!(world.images(), ["web:1"; 3]);
    assert_eq!(world.ready_reason(), "RolledBack");
}

/// Bug: a process that had not heard of a new template took the old one for wanted, and with
/// `revisionHistoryLimit: 0` forgot the one that another process had rolled out.
#[test]
fn a_process_that_is_behind_neither_takes_a_template_back_nor_forgets_it() {
    let mut world = World::running(3, &in_place("InPlaceIfPossible"));
    world.edit("no history", |spec| spec["revisionHistoryLimit"] = 0.into());
    world.settle();
    let old = world.set.clone();
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.server.revisions.len(), 1);
    let new = std::mem::replace(&mut world.set, old);
    let plan = world.plan();
    assert_eq!((plan.effects, plan.pods), (vec![], vec![]));
    assert_eq!(plan.status, world.status());
    world.set = new;
    world.settle();
    assert_eq!(world.images(), ["web:2"; 3]);
}

/// A set of the same name that is made anew counts its generations anew.
#[test]
fn what_was_written_for_another_set_says_nothing() {
    let mut world = World::running(1, &in_place("InPlaceIfPossible"));
    let (_, revision) = world.server.revisions.pop_first().unwrap();
    let mut revision = Value::from(revision);
    let said = &mut revision["metadata"]["annotations"]["apps.kruise.io/written-for"];
    assert_eq!(*said, "set-uid/1");
    *said = "other-uid/7".into();
    let name = revision["metadata"]["name"].as_str().unwrap().to_owned();
    world.server.revisions.insert(name, revision.into());
    world.set_image("web:2");
    world.settle();
    assert_eq!(world.images(), ["web:2"]);
}
