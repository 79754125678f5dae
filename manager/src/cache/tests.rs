use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{api::ObjectMeta, runtime::watcher::Event};
use parking_lot::Mutex;

use super::{CONFIRM_WITHIN, Cache, Change, state::compare_versions, without_managed_fields};

/// `name` in namespace "ns", with this UID, version and controller owner ("" for none).
fn object(name: &str, uid: &str, rv: u64, owner: &str) -> ConfigMap {
    let controller = OwnerReference {
        uid: owner.to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    };
    ConfigMap {
        metadata: ObjectMeta {
            namespace: Some("ns".into()),
            name: Some(name.into()),
            uid: Some(uid.into()),
            resource_version: Some(rv.to_string()),
            owner_references: (!owner.is_empty()).then(|| vec![controller]),
            managed_fields: Some(vec![]),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    }
}

mod interleavings;

type Told = Arc<Mutex<Vec<String>>>;

fn line(change: &Change) -> String {
    let sign = if change.deleted { '-' } else { '+' };
    let owner = change.owner_uid.as_deref().unwrap_or("none");
    let from = change
        .old_owner_uid
        .as_deref()
        .map(|old| format!(" from {old}"));
    format!(
        "{sign}{}@{} {owner}{}",
        change.uid,
        change.rv,
        from.unwrap_or_default()
    )
}

fn cache() -> (Arc<Cache<ConfigMap>>, Told) {
    let (cache, told) = (
        Arc::new(Cache::new(without_managed_fields)),
        Told::default(),
    );
    let sink = Arc::clone(&told);
    cache.subscribe(move |change| sink.lock().push(line(change)));
    (cache, told)
}

fn take(told: &Told) -> Vec<String> {
    std::mem::take(&mut told.lock())
}

fn list(cache: &Cache<ConfigMap>, objects: &[ConfigMap]) {
    cache.event(Event::Init);
    for object in objects {
        cache.event(Event::InitApply(object.clone()));
    }
    cache.event(Event::InitDone);
}

fn uids(cache: &Cache<ConfigMap>, owner: &str) -> Vec<String> {
    let name = |object: &Arc<ConfigMap>| object.metadata.uid.clone().unwrap();
    cache.owned(owner).iter().map(name).collect()
}

#[test]
fn versions_compare_as_numbers() {
    assert!(compare_versions("9", "10").is_lt());
    assert!(compare_versions("101", "100").is_gt());
    assert!(compare_versions("", "1").is_lt());
}

#[tokio::test(start_paused = true)]
async fn the_first_complete_list_makes_it_ready() {
    let (cache, _) = cache();
    cache.event(Event::Init);
    cache.event(Event::InitApply(object("a", "a1", 1, "x")));
    assert!(!cache.ready());
    let waiting = cache.wait_ready();
    cache.event(Event::InitDone);
    waiting.await;
    cache.event(Event::Init);
    assert!(cache.ready(), "a relist does not take readiness away");
}

#[test]
fn objects_are_found_by_name_owner_and_as_orphans() {
    let (cache, _) = cache();
    list(
        &cache,
        &[
            object("b", "b1", 2, "x"),
            object("a", "a1", 1, "x"),
            object("c", "c1", 3, ""),
        ],
    );
    assert_eq!(uids(&cache, "x"), ["a1", "b1"]);
    assert_eq!(cache.orphans("ns").len(), 1);
    assert!(cache.orphans("other").is_empty() && cache.owned("y").is_empty());
    assert!(cache.get("ns", "a").is_some() && cache.get("ns", "z").is_none());
    assert_eq!((cache.len(), cache.keys().len()), (3, 3));
}

#[test]
fn objects_are_trimmed_from_every_source() {
    let (cache, _) = cache();
    list(&cache, &[object("a", "a1", 1, "x")]);
    cache.observe_write(object("b", "b1", 2, "x"));
    assert!(
        cache
            .owned("x")
            .iter()
            .all(|object| object.metadata.managed_fields.is_none())
    );
}

#[test]
fn a_relist_announces_what_vanished_and_what_is_new_and_nothing_else() {
    let (cache, told) = cache();
    list(
        &cache,
        &[
            object("a", "a1", 1, "x"),
            object("b", "b1", 2, "x"),
            object("c", "c1", 3, "y"),
        ],
    );
    assert_eq!(take(&told), ["+a1@1 x", "+b1@2 x", "+c1@3 y"]);
    list(
        &cache,
        &[object("a", "a1", 1, "x"), object("c", "c1", 5, "y")],
    );
    assert_eq!(take(&told), ["+c1@5 y", "-b1@2 x"]);
    assert_eq!(uids(&cache, "x"), ["a1"]);
}

#[test]
fn a_name_that_comes_back_announces_the_old_object_gone_first() {
    let (cache, told) = cache();
    list(&cache, &[object("a", "a1", 1, "x")]);
    cache.event(Event::Apply(object("a", "a2", 7, "y")));
    assert_eq!(take(&told), ["+a1@1 x", "-a1@1 x", "+a2@7 y"]);
    assert!(cache.owned("x").is_empty());
    cache.event(Event::Delete(object("a", "a1", 6, "x")));
    assert_eq!(
        uids(&cache, "y"),
        ["a2"],
        "the late deletion is of another object"
    );
}

#[test]
fn a_change_of_owner_names_both() {
    let (cache, told) = cache();
    cache.event(Event::Apply(object("a", "a1", 1, "")));
    cache.event(Event::Apply(object("a", "a1", 2, "x")));
    cache.event(Event::Apply(object("a", "a1", 3, "y")));
    cache.event(Event::Apply(object("a", "a1", 4, "")));
    assert_eq!(
        take(&told),
        [
            "+a1@1 none",
            "+a1@2 x",
            "+a1@3 y from x",
            "+a1@4 none from y"
        ]
    );
    assert!(cache.owned("x").is_empty() && cache.owned("y").is_empty());
    assert_eq!(cache.orphans("ns").len(), 1);
}

#[test]
fn nothing_goes_back_in_time_from_any_source() {
    let (cache, told) = cache();
    cache.observe_write(object("a", "a1", 10, "x"));
    cache.event(Event::Apply(object("a", "a1", 9, "y")));
    cache.observe_write(object("a", "a1", 8, "y"));
    list(&cache, &[object("a", "a1", 7, "y")]);
    cache.resolve_live("a1", Some(object("a", "a1", 6, "y")));
    assert_eq!(take(&told), ["+a1@10 x"]);
    // The predecessor under the same name, whose deletion the watch has not told yet.
    cache.event(Event::Apply(object("a", "a0", 5, "y")));
    assert_eq!(uids(&cache, "x"), ["a1"]);
}

#[test]
fn a_late_answer_does_not_bring_a_deleted_object_back() {
    let (cache, told) = cache();
    list(&cache, &[object("a", "a1", 1, "x")]);
    cache.event(Event::Delete(object("a", "a1", 3, "x")));
    cache.observe_write(object("a", "a1", 2, "x"));
    cache.resolve_live("a1", Some(object("a", "a1", 2, "x")));
    assert_eq!(take(&told), ["+a1@1 x", "-a1@1 x"]);
    // Created and deleted before our create call returned.
    cache.event(Event::Apply(object("b", "b1", 4, "x")));
    cache.event(Event::Delete(object("b", "b1", 5, "x")));
    cache.observe_write(object("b", "b1", 4, "x"));
    assert!(cache.is_empty() && cache.unconfirmed() == 0);
}

#[test]
fn an_object_reported_not_found_is_gone_although_the_watch_lags() {
    let (cache, told) = cache();
    list(&cache, &[object("a", "a1", 1, "x")]);
    cache.observe_gone("ns", "a", "a1");
    cache.event(Event::Apply(object("a", "a1", 2, "x")));
    cache.event(Event::Delete(object("a", "a1", 3, "x")));
    assert_eq!(take(&told), ["+a1@1 x", "-a1@1 x"]);
}

#[test]
fn a_list_that_was_wrong_is_corrected_by_the_watch_but_not_by_late_answers() {
    let (cache, told) = cache();
    list(&cache, &[object("a", "a1", 5, "x")]);
    list(&cache, &[]);
    cache.observe_write(object("a", "a1", 6, "x"));
    assert!(cache.is_empty());
    cache.event(Event::Apply(object("a", "a1", 5, "x")));
    assert_eq!(take(&told), ["+a1@5 x", "-a1@5 x", "+a1@5 x"]);
}

#[test]
fn a_relist_keeps_own_writes_that_it_may_be_too_old_to_show() {
    let (cache, told) = cache();
    list(&cache, &[]);
    cache.observe_write(object("a", "a1", 10, "x"));
    list(&cache, &[]);
    assert_eq!((cache.len(), cache.unconfirmed()), (1, 1));
    cache.event(Event::Apply(object("a", "a1", 10, "x")));
    assert_eq!(
        (take(&told), cache.unconfirmed()),
        (vec!["+a1@10 x".to_owned()], 0)
    );
    list(&cache, &[]);
    assert_eq!(
        take(&told),
        ["-a1@10 x"],
        "once confirmed, the list decides"
    );
}

#[tokio::test(start_paused = true)]
async fn a_live_read_during_a_relist_settles_nothing_for_the_list_may_be_of_any_age() {
    let (cache, _) = cache();
    cache.event(Event::Init);
    cache.observe_write(object("a", "a1", 10, "x"));
    cache.resolve_live("a1", Some(object("a", "a1", 10, "x")));
    cache.event(Event::InitDone);
    assert_eq!((cache.len(), cache.unconfirmed()), (1, 1));
    tokio::time::advance(CONFIRM_WITHIN).await;
    assert_eq!(cache.overdue(CONFIRM_WITHIN).len(), 1);
    cache.resolve_live("a1", Some(object("a", "a1", 10, "x")));
    assert_eq!((cache.len(), cache.unconfirmed()), (1, 0));
}

#[test]
fn a_late_answer_during_a_relist_does_not_save_an_object_that_the_list_does_not_show() {
    let (cache, told) = cache();
    list(&cache, &[object("a", "a1", 5, "x")]);
    cache.event(Event::Init);
    cache.observe_write(object("a", "a1", 5, "x"));
    cache.event(Event::InitDone);
    assert_eq!(take(&told), ["+a1@5 x", "-a1@5 x"]);
}

#[tokio::test(start_paused = true)]
async fn an_unconfirmed_write_is_overdue_until_a_live_read_settles_it() {
    let (cache, told) = cache();
    list(&cache, &[]);
    cache.observe_write(object("a", "a1", 10, "x"));
    cache.observe_write(object("b", "b1", 11, "x"));
    assert!(cache.overdue(CONFIRM_WITHIN).is_empty());
    tokio::time::advance(CONFIRM_WITHIN).await;
    let overdue: Vec<_> = cache
        .overdue(CONFIRM_WITHIN)
        .into_iter()
        .map(|o| o.uid)
        .collect();
    assert_eq!(overdue, ["a1", "b1"]);
    cache.resolve_live("a1", None);
    cache.resolve_live("b1", Some(object("b", "b1", 12, "x")));
    assert_eq!(
        take(&told),
        ["+a1@10 x", "+b1@11 x", "-a1@10 x", "+b1@12 x"]
    );
    assert!(cache.overdue(Duration::ZERO).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_live_read_that_finds_a_successor_replaces_the_object() {
    let (cache, told) = cache();
    cache.observe_write(object("a", "a1", 10, "x"));
    cache.resolve_live("a1", Some(object("a", "a2", 20, "x")));
    assert_eq!(take(&told), ["+a1@10 x", "-a1@10 x", "+a2@20 x"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_moves_is_not_overdue_but_a_stuck_one_is_however_much_we_write() {
    let (cache, _) = cache();
    cache.observe_write(object("a", "a1", 10, "x"));
    tokio::time::advance(Duration::from_secs(6)).await;
    cache.event(Event::Apply(object("a", "a1", 9, "x")));
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(cache.overdue(CONFIRM_WITHIN).is_empty());
    cache.observe_write(object("a", "a1", 11, "x"));
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(cache.overdue(CONFIRM_WITHIN).len(), 1);
}

#[test]
fn an_answer_that_the_watch_was_faster_than_needs_no_confirmation() {
    let (cache, told) = cache();
    cache.event(Event::Apply(object("a", "a1", 10, "x")));
    cache.observe_write(object("a", "a1", 10, "x"));
    cache.observe_write(object("a", "a1", 9, "x"));
    assert_eq!(
        (cache.unconfirmed(), take(&told)),
        (0, vec!["+a1@10 x".to_owned()])
    );
}

#[test]
fn a_subscriber_may_read_the_cache_and_write_to_it() {
    let (cache, told) = cache();
    let inner = Arc::downgrade(&cache);
    cache.subscribe(move |change| {
        let cache = inner.upgrade().unwrap();
        if change.uid == "a1" && !change.deleted {
            assert!(cache.get("ns", "a").is_some());
            cache.observe_write(object("b", "b1", 2, "x"));
        }
    });
    cache.event(Event::Apply(object("a", "a1", 1, "x")));
    assert_eq!(take(&told), ["+a1@1 x", "+b1@2 x"]);
}

#[test]
fn changes_are_told_in_order_whoever_makes_them() {
    let (cache, _) = cache();
    let last = Arc::new(Mutex::new(BTreeMap::<String, u64>::new()));
    let sink = Arc::clone(&last);
    cache.subscribe(move |change| {
        let rv: u64 = change.rv.parse().unwrap();
        let before = sink.lock().insert(change.uid.clone(), rv).unwrap_or(0);
        assert!(before < rv, "{} went from {before} to {rv}", change.uid);
    });
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                for rv in 1..2000 {
                    let object = object("a", "a1", rv, "x");
                    if thread == 0 {
                        cache.event(Event::Apply(object));
                    } else {
                        cache.observe_write(object);
                    }
                }
            });
        }
    });
    assert_eq!(last.lock().get("a1"), Some(&1999));
}
