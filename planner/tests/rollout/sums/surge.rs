//! Pods above `replicas`, and Pods that may be unavailable while others are added.

use serde_json::json;

use super::table::{Case, Writes, begin, case, create, delete, none};

fn surging(replicas: u32, partition: u32, max_unavailable: u32, surge: u32) -> Case {
    case(replicas, partition, max_unavailable).with("maxSurge", json!(surge))
}

fn recreating(case: Case) -> Case {
    case.with("podUpdatePolicy", json!("ReCreate"))
}

#[test]
fn a_named_pod_is_replaced_before_it_goes_where_none_may_be_missing() {
    assert_eq!(surging(5, 0, 0, 1).writes("4Nr Nrd"), create(1, 0));
    assert_eq!(surging(5, 0, 0, 1).writes("4Nr Nrd Nu"), none());
    assert_eq!(surging(5, 0, 0, 1).writes("5Nr Nrd"), delete(1, 0));
    // Within a partition its replacement is an old Pod until it is gone: no more than
    // `replicas - partition` Pods are ever updated. OpenKruise: a new one.
    assert_eq!(surging(5, 3, 0, 1).writes("3Or Nr Nrd"), create(0, 1));
}

#[test]
fn updated_pods_are_made_beside_old_ones_and_old_ones_change_in_place() {
    // OpenKruise begins in the next pass.
    let both = Writes {
        create: (1, 0),
        begin: 1,
        ..none()
    };
    assert_eq!(surging(5, 3, 1, 1).writes("5Or"), both);
    assert_eq!(surging(5, 3, 1, 1).writes("5Or Nu"), begin(1));
    assert_eq!(surging(5, 3, 0, 1).writes("5Or Nu"), none());
    assert_eq!(surging(5, 3, 0, 1).writes("5Or Nr"), begin(1));
    assert_eq!(
        surging(5, 3, 1, 1).writes("4Or 2Nu"),
        none(),
        "an old Pod is too many, and none may be missing"
    );
    assert_eq!(surging(5, 3, 1, 1).writes("4Or Nr Nu"), delete(0, 1));
    assert_eq!(surging(5, 3, 1, 1).writes("3Or 2Nr"), none());
}

#[test]
fn a_raised_partition_surges_with_old_pods() {
    assert_eq!(surging(5, 5, 0, 2).writes("5Nr"), create(0, 2));
    assert_eq!(surging(5, 5, 0, 2).writes("5Nr 2Or"), begin(2));
    assert_eq!(surging(5, 5, 0, 2).writes("2Nr 5Or"), delete(2, 0));
}

#[test]
fn updated_pods_are_made_beside_old_ones_and_old_ones_are_replaced() {
    let case = |u| recreating(surging(5, 3, u, 1));
    assert_eq!(case(1).writes("4Or Ord Nu"), delete(0, 1));
    // OpenKruise deletes an old one beside, and makes one more updated Pod than asked for.
    assert_eq!(case(1).writes("4Or Nu"), create(1, 0));
    assert_eq!(case(1).writes("4Or 2Nu"), none());
    assert_eq!(case(0).writes("4Or 2Nr"), delete(0, 1));
    assert_eq!(case(1).writes("3Or 2Nr"), none());
}

#[test]
fn the_surge_is_no_larger_than_what_is_left_to_update() {
    let case = || surging(5, 0, 3, 2).with("partition", json!("99%"));
    // OpenKruise begins one more, and takes it back by deleting an old one.
    assert_eq!(case().writes("5Or"), create(1, 0));
    assert_eq!(case().writes("5Or Nu"), delete(0, 1));
    assert_eq!(case().writes("4Or Nu"), none());
}

#[test]
fn beside_a_surge_shares_of_the_budget_round_down_and_never_to_nothing() {
    let begins = |max: &str, surge: &str| {
        let case = case(5, 0, 0).with("maxUnavailable", json!(max));
        let writes = case.with("maxSurge", json!(surge)).writes("5Or");
        assert_eq!(writes.create.1, 0);
        (writes.create.0, writes.begin)
    };
    assert_eq!(begins("40%", "30%"), (2, 2));
    assert_eq!(begins("30%", "30%"), (2, 1));
    assert_eq!(begins("1%", "1%"), (1, 1));
    assert_eq!(begins("30%", "0%"), (0, 2));
    assert_eq!(begins("0%", "1%"), (1, 0));
    assert_eq!(begins("0%", "0%"), (0, 0));
}

#[test]
fn paused_sets_do_not_surge() {
    let paused =
        |replicas, partition| surging(replicas, partition, 0, 3).with("paused", json!(true));
    assert_eq!(paused(5, 0).writes("3Or"), create(2, 0));
    assert_eq!(paused(3, 0).writes("5Or"), delete(0, 2));
    // OpenKruise: none, see `paused_sets_are_scaled_and_not_updated`.
    assert_eq!(paused(5, 0).writes("5Or 3Nu"), delete(3, 0));
    assert_eq!(paused(5, 2).writes("5Or 3Nu"), delete(3, 0));
}

/// OpenKruise holds unavailable Pods against those that serve nobody either.
#[test]
fn with_a_surge_too_replacing_what_serves_nobody_is_free() {
    assert_eq!(
        surging(5, 0, 2, 1).writes("5Ou Nu"),
        begin(4),
        "OpenKruise: 2"
    );
    assert_eq!(
        surging(5, 0, 2, 1).writes("4Ou Nr Nu"),
        begin(3),
        "OpenKruise: 2"
    );
    assert_eq!(
        surging(5, 0, 2, 1).writes("3Ou Nr 2Nu"),
        begin(2),
        "OpenKruise: 1"
    );
    assert_eq!(
        surging(5, 0, 2, 1).writes("3Ou 3Nu"),
        begin(2),
        "OpenKruise: 0"
    );
    assert_eq!(surging(4, 0, 2, 1).writes("2Or 3Nr"), begin(1));
}

#[test]
fn updated_pods_that_are_not_ready_yet_outlive_the_old_ones_they_stand_in_for() {
    assert_eq!(surging(5, 0, 0, 1).writes("Or 4Nr Nu"), none());
    assert_eq!(surging(5, 0, 0, 1).writes("Or 5Nr"), delete(0, 1));
    assert_eq!(surging(5, 0, 0, 1).writes("Ou 5Nr"), delete(0, 1));
}

#[test]
fn pods_are_added_only_while_few_are_unavailable() {
    let scaling = |replicas, max: serde_json::Value| Case {
        scale: json!({"maxUnavailable": max}),
        ..case(replicas, 0, 1)
    };
    assert_eq!(scaling(5, json!(2)).writes(""), create(2, 0));
    assert_eq!(scaling(6, json!(2)).writes("2Nr Nu"), create(1, 0));
    assert_eq!(scaling(6, json!(2)).writes("Nr 2Nu"), none());
    assert_eq!(scaling(10, json!("11%")).writes(""), create(2, 0));
    assert_eq!(scaling(10, json!("1%")).writes(""), create(1, 0));
    assert_eq!(scaling(5, json!(0)).writes("Nr"), none());
    // Updates go on.
    assert_eq!(scaling(6, json!(1)).writes("3Or Nu"), none());
    assert_eq!(scaling(4, json!(1)).writes("4Or"), begin(1));
}

#[test]
fn a_named_pod_goes_when_the_others_are_ready() {
    assert_eq!(case(5, 0, 1).writes("3Nr Nu Nrd"), none());
    assert_eq!(case(5, 0, 1).writes("4Nr Nrd"), delete(1, 0));
    let on_delete = Case {
        strategy: "OnDelete",
        ..case(5, 0, 1)
    };
    assert_eq!(on_delete.writes("3Or"), create(2, 0));
}
