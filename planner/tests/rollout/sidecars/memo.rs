//! A decision is taken anew where anything that it looked at is another one.

use std::sync::Arc;

use jiff::SignedDuration;
use planner::sidecar_set::{Memo, Snapshot};
use serde_json::json;

use super::world::World;

/// The snapshot again, of the very same objects.
fn again(s: &Snapshot, world: &World) -> Snapshot {
    let fresh = world.snapshot();
    Snapshot {
        pods: s.pods.clone(),
        without: s.without.clone(),
        disruption_budgets: s.disruption_budgets.clone(),
        revisions: s.revisions.clone(),
        ..fresh
    }
}

#[test]
fn a_set_at_rest_of_which_nothing_changed_is_not_decided_about_again() {
    let mut world = World::running(2, &json!({}));
    let snapshot = world.snapshot();
    let mut memo = Memo::default();
    let first = memo.plan(&snapshot);
    assert!(first.effects.is_empty());
    let mut is_known = |s: &Snapshot| Arc::ptr_eq(&first, &memo.plan(s));
    assert!(is_known(&again(&snapshot, &world)));
    world.server.now += SignedDuration::from_secs(60);
    assert!(is_known(&again(&snapshot, &world)));

    let mut other = again(&snapshot, &world);
    other.pods = world.snapshot().pods;
    assert!(!is_known(&other), "other Pods");
}

#[test]
fn whatever_it_looks_at_makes_a_difference() {
    type Change = fn(&mut Snapshot, &World);
    let changes: [(&str, Change); 7] = [
        ("a Pod less", |s, _| drop(s.pods.pop())),
        ("missed Pods", |s, w| s.without = w.snapshot().pods),
        ("revisions", |s, w| s.revisions = w.snapshot().revisions),
        ("a refusal", |s, _| {
            drop(s.held.insert("uid-001".into(), "no".into()));
        }),
        ("labels of a namespace", |s, _| {
            s.namespaces
                .insert("shop".into(), [("a".into(), "b".into())].into());
        }),
        ("a budget", |s, _| s.disruption_budgets.push(Arc::default())),
        ("a clock that went back", |s, _| {
            s.now -= SignedDuration::from_secs(9);
        }),
    ];
    let world = World::running(2, &json!({}));
    for (what, change) in changes {
        let snapshot = world.snapshot();
        let mut memo = Memo::default();
        let first = memo.plan(&snapshot);
        let mut other = again(&snapshot, &world);
        change(&mut other, &world);
        assert!(!Arc::ptr_eq(&first, &memo.plan(&other)), "{what}");
    }
    let mut world = world;
    let snapshot = world.snapshot();
    let mut memo = Memo::default();
    let first = memo.plan(&snapshot);
    world.set["metadata"]["resourceVersion"] = "8".into();
    let other = memo.plan(&again(&snapshot, &world));
    assert!(!Arc::ptr_eq(&first, &other), "another version of the set");
}

#[test]
fn as_long_as_there_is_something_to_write_nothing_is_remembered() {
    let mut world = World::running(1, &json!({}));
    world.set_image("agent:2");
    let snapshot = world.snapshot();
    let mut memo = Memo::default();
    let first = memo.plan(&snapshot);
    assert!(!Arc::ptr_eq(&first, &memo.plan(&again(&snapshot, &world))));
}
