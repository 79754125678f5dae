//! The arithmetic, as tables: a set and its Pods in, the writes of one pass out.
//!
//! Most cases are those that OpenKruise's own tables have; where we differ, the case says so.
//! Pods are written as OpenKruise's authors think of them: `O` at the old revision, `N` at the new
//! one, `r` ready, `u` not, `d` named for deletion, with a count in front.

use serde_json::json;

use self::table::{Case, Writes, begin, case, create, delete, none};

mod deadline;
mod hooks;
mod surge;
mod table;

#[test]
fn scaling_and_named_pods() {
    assert_eq!(case(0, 0, 1).writes(""), none());
    assert_eq!(case(5, 0, 1).writes(""), create(5, 0));
    assert_eq!(case(5, 0, 1).writes("4Nr Nrd"), delete(1, 0));
    assert_eq!(case(5, 0, 1).writes("3Nr Nrd"), create(1, 0));
    assert_eq!(
        case(5, 0, 1).writes("3Nr Nrd Nu"),
        none(),
        "the replacement has to be ready first"
    );
    assert_eq!(case(4, 0, 1).writes("3Nr 2Nud"), delete(2, 0));
    assert_eq!(case(3, 0, 1).writes("5Nr"), delete(2, 0));
    assert_eq!(case(3, 0, 1).writes("4Nr Nrd"), delete(2, 0));
}

#[test]
fn a_rollout_stops_at_its_partition_and_its_budget() {
    assert_eq!(case(5, 3, 1).writes("5Or"), begin(1));
    assert_eq!(case(5, 3, 5).writes("5Or"), begin(2));
    assert_eq!(case(5, 3, 1).writes("Nr 4Or"), begin(1));
    assert_eq!(case(5, 3, 1).writes("2Nr 3Or"), none());
    assert_eq!(case(8, 2, 3).writes("7Or Nr"), begin(3));
}

#[test]
fn a_raised_partition_takes_pods_back() {
    assert_eq!(case(5, 4, 2).writes("4Nr Or"), begin(2));
    assert_eq!(case(5, 4, 5).writes("4Nr Or"), begin(3));
    assert_eq!(case(5, 4, 2).writes("2Nr 3Or"), begin(1));
    assert_eq!(case(5, 4, 2).writes("Nr 4Or"), none());
}

#[test]
fn shares_of_the_partition_and_the_budget() {
    let share = |partition: &str, max: &str| {
        case(5, 0, 1)
            .with("partition", json!(partition))
            .with("maxUnavailable", json!(max))
    };
    assert_eq!(share("99%", "40%").writes("5Or"), begin(1));
    assert_eq!(share("40%", "100%").writes("5Or"), begin(3));
    assert_eq!(share("100%", "100%").writes("5Or"), none());
    assert_eq!(share("0%", "40%").writes("5Or"), begin(2));
    assert_eq!(
        share("0%", "30%").writes("5Or"),
        begin(2),
        "a share rounds up"
    );
    assert_eq!(
        share("0%", "1%").writes("5Or"),
        begin(1),
        "and never to nothing"
    );
    assert_eq!(share("0%", "0%").writes("5Or"), none());
}

#[test]
fn where_the_current_revision_is_the_update_revision_nothing_is_kept_back() {
    assert_eq!(case(5, 3, 1).converged().writes("5Nr"), none());
    // OpenKruise: none. There the partition keeps canary Pods that were taken back by applying
    // the old template again.
    assert_eq!(case(5, 3, 1).converged().writes("2Or 3Nr"), begin(1));
    assert_eq!(case(5, 1, 1).converged().writes("3Or 2Nr"), begin(1));
    let both = Writes {
        create: (1, 0),
        begin: 1,
        ..none()
    };
    assert_eq!(case(5, 1, 2).converged().writes("2Or 2Nr"), both);
    let both = Writes {
        delete: (0, 1),
        begin: 1,
        ..none()
    };
    assert_eq!(case(5, 1, 1).converged().writes("3Or 3Nr"), both);
}

#[test]
fn paused_sets_are_scaled_and_not_updated() {
    let paused = |replicas, partition| case(replicas, partition, 0).with("paused", json!(true));
    assert_eq!(paused(5, 0).writes("3Or"), create(2, 0));
    assert_eq!(paused(3, 0).writes("5Or"), delete(0, 2));
    // OpenKruise: none, because it wants old Pods gone and may not delete ready ones.
    assert_eq!(paused(5, 0).writes("5Or 3Nu"), delete(3, 0));
    assert_eq!(paused(5, 2).writes("5Or 3Nu"), delete(3, 0));
}

/// OpenKruise counts a Pod that serves nobody against the budget of updated Pods, and stops at the
/// first that may not be taken. We skip that one, and replacing a broken Pod is free: it is how a
/// broken revision is mended.
#[test]
fn pods_that_serve_nobody_are_updated_at_no_cost() {
    assert_eq!(case(3, 0, 1).writes("3Or"), begin(1));
    assert_eq!(case(3, 0, 1).writes("Or Ou Or"), begin(1), "OpenKruise: 0");
    assert_eq!(case(3, 0, 1).writes("Ou 2Or"), begin(1));
    assert_eq!(
        case(10, 0, 2).writes("Ou 7Or Ou Nr"),
        begin(2),
        "OpenKruise: 1"
    );
    assert_eq!(case(5, 0, 2).writes("5Ou"), begin(5), "OpenKruise: 2");
    assert_eq!(case(5, 0, 2).writes("3Ou 2Nu"), begin(3), "OpenKruise: 0");
    assert_eq!(case(5, 0, 2).writes("3Ou Nr Nu"), begin(3), "OpenKruise: 1");
    assert_eq!(case(8, 7, 3).writes("3Or 5Nu"), begin(4), "OpenKruise: 3");
}

#[test]
fn pods_that_are_not_available_yet_may_go_when_there_are_too_many() {
    let mut young = case(3, 0, 1);
    young.min_ready = 9999;
    // OpenKruise: none, for as long as minReadySeconds lasts.
    assert_eq!(young.writes("5Nr"), delete(2, 0));
}

#[test]
fn on_delete_updates_nobody_and_creates_at_the_update_revision() {
    let on_delete = |replicas| Case {
        strategy: "OnDelete",
        ..case(replicas, 0, 1)
    };
    assert_eq!(on_delete(5).writes("5Or"), none());
    assert_eq!(on_delete(5).writes("3Or"), create(2, 0));
    assert_eq!(on_delete(6).writes("3Or 5Nr"), delete(0, 2));
    assert_eq!(on_delete(4).writes("3Or 5Nr"), delete(1, 3));
}

#[test]
fn missing_pods_are_created_at_the_revision_that_lacks_them() {
    assert_eq!(case(5, 3, 1).writes("2Or 2Nr"), create(0, 1));
    assert_eq!(case(5, 3, 1).writes("3Or Nr"), create(1, 0));
    assert_eq!(case(5, 3, 1).writes("Or"), create(2, 2));
}

#[test]
fn surplus_pods_are_deleted_at_the_revision_that_has_too_many() {
    assert_eq!(case(5, 3, 1).writes("5Or 2Nr"), delete(0, 2));
    assert_eq!(case(5, 3, 1).writes("3Or 4Nr"), delete(2, 0));
    assert_eq!(case(2, 2, 1).writes("3Or 2Nr"), delete(2, 1));
}
