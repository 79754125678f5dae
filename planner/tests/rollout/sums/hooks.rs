//! Pods between their hooks, in the arithmetic.

use serde_json::json;

use super::table::{Case, Writes, begin, case, create, delete, none};

/// A case with hooks on the label `hold=yes`.
fn hooked(replicas: u32, partition: u32, max_unavailable: u32) -> Case {
    let hook = json!({"labelsHandler": {"hold": "yes"}});
    Case {
        lifecycle: json!({"preDelete": hook, "inPlaceUpdate": hook}),
        ..case(replicas, partition, max_unavailable)
    }
}

fn excluding(case: Case) -> Case {
    Case {
        scale: json!({"excludePreparingDelete": true}),
        ..case
    }
}

fn states(states: &[&'static str]) -> Writes {
    Writes {
        states: states.to_vec(),
        ..none()
    }
}

#[test]
fn pods_that_are_prepared_for_deletion_count_unless_they_are_excluded() {
    let counting = |table: &str| hooked(3, 0, 1).converged().writes(table);
    let excluding = |table: &str| excluding(hooked(3, 0, 1).converged()).writes(table);
    assert_eq!(counting("2Nr NrdhD"), none());
    assert_eq!(excluding("2Nr NrdhD"), create(1, 0));
    assert_eq!(excluding("2Nr NrdhD Nu"), none());
    assert_eq!(
        excluding("3Nr Nu"),
        delete(1, 0),
        "taken back, then one too many"
    );
}

#[test]
fn deletion_is_asked_for_within_the_budget() {
    let set = || hooked(3, 0, 1).converged();
    assert_eq!(set().writes("3Nrh Nrh"), states(&["PreparingDelete"]));
    assert_eq!(
        set().writes("3Nrhd"),
        states(&["PreparingDelete"]),
        "one at a time"
    );
    assert_eq!(set().writes("2Nrhd NrhdD"), none(), "the budget is used up");
    assert_eq!(set().writes("2Nrhd NrdD"), delete(1, 0), "let go");
    assert_eq!(set().writes("3Nr Nu"), delete(1, 0), "nothing holds it");
}

#[test]
fn what_is_prepared_already_goes_first_and_is_taken_back_first() {
    let set = |replicas| hooked(replicas, 0, 1).converged();
    assert_eq!(
        set(3).writes("2Nrh NrhD Nuh"),
        none(),
        "the surplus is being prepared"
    );
    assert_eq!(set(4).writes("3Nrh NrhD"), states(&["Normal"]));
    let both = Writes {
        states: vec!["Normal"],
        ..create(1, 0)
    };
    assert_eq!(set(5).writes("3Nrh NrhD"), both);
    assert_eq!(excluding(set(4)).writes("3Nrh NrhD"), states(&["Normal"]));
    assert_eq!(excluding(set(3)).writes("3Nrh NrhD"), none());
    assert_eq!(excluding(set(3)).writes("3Nrh NrD"), delete(1, 0));
    assert_eq!(set(4).writes("3Nrh NrdhD"), none(), "a named one goes");
}

/// A Pod that is to be replaced is not taken back to make up for itself.
#[test]
fn replacing_does_not_take_back() {
    let recreate = |case: Case| case.with("podUpdatePolicy", json!("ReCreate"));
    let set = || hooked(3, 0, 1);
    assert_eq!(recreate(set()).writes("3Orh"), states(&["PreparingDelete"]));
    assert_eq!(recreate(set()).writes("2Orh OrhD"), none());
    assert_eq!(recreate(set()).writes("2Orh OrD"), delete(0, 1));
    assert_eq!(recreate(excluding(set())).writes("2Orh OrhD"), create(1, 0));
    // Once the partition keeps it, it is.
    assert_eq!(
        recreate(hooked(3, 3, 1)).writes("2Orh OrhD"),
        states(&["Normal"])
    );
}

#[test]
fn updates_are_asked_for_within_the_budget() {
    assert_eq!(
        hooked(5, 0, 2).writes("5Orh"),
        states(&["PreparingUpdate"; 2])
    );
    assert_eq!(
        hooked(5, 0, 2).writes("4Orh Orhp"),
        states(&["PreparingUpdate"])
    );
    assert_eq!(hooked(5, 0, 2).writes("3Orh 2Orhp"), none());
    assert_eq!(hooked(5, 0, 2).writes("3Orh Orhp Orp"), begin(1));
    assert_eq!(
        hooked(5, 4, 2).writes("4Or Orhp"),
        none(),
        "it has the one place"
    );
    assert_eq!(
        hooked(5, 0, 1).writes("5Or"),
        begin(1),
        "nothing holds them"
    );
    assert_eq!(
        hooked(5, 5, 2).writes("4Orh Orhp"),
        states(&["Normal"]),
        "kept after all"
    );
}

#[test]
fn a_pod_that_is_prepared_for_deletion_is_not_updated() {
    let both = Writes {
        states: vec!["Normal"],
        ..begin(1)
    };
    assert_eq!(
        hooked(2, 0, 2).writes("Or OrhD"),
        both,
        "it is wanted again, and updated from then on"
    );
    assert_eq!(hooked(2, 0, 2).writes("2Nr OrhD"), none());
    assert_eq!(
        hooked(2, 0, 1).writes("Nr Or OrhD"),
        begin(1),
        "it takes no place"
    );
}

/// OpenKruise has a feature that counts such Pods as updated. It is off unless asked for, and then
/// the sums are as here: the Pod is still an old one.
#[test]
fn pods_that_prepare_for_an_update_are_old_ones() {
    let set = |partition| excluding(hooked(4, 0, 4).with("partition", partition));
    let both = Writes {
        states: vec!["Normal"],
        ..create(1, 0)
    };
    // OpenKruise with the feature: one old Pod. Without it the new Pod takes the one place.
    assert_eq!(set(json!("90%")).writes("Orhp 2Or"), both);
    assert_eq!(set(json!(2)).writes("Orhp 2Or"), create(1, 0));
}

/// Without hooks a state means nothing, wherever it comes from.
#[test]
fn states_without_hooks_are_not_read() {
    assert_eq!(case(3, 0, 1).converged().writes("Nrp Nrx NrD"), none());
    assert_eq!(case(2, 0, 1).converged().writes("2Nr NrD"), delete(1, 0));
    assert_eq!(case(3, 0, 1).writes("2Nr OrD"), begin(1));
}
