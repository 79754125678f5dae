use serde_json::json;

use super::*;

fn set(name: &str, spec: &Value) -> (Followed, Value) {
    let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
        "metadata": {"name": name}, "spec": spec});
    (Followed::SidecarSets, set)
}

fn agent() -> Value {
    json!({"selector": {"matchLabels": {"app": "web"}},
        "containers": [{"name": "agent", "image": "agent:2"}]})
}

fn revision(set: &str) -> Value {
    json!({"metadata": {"name": "log-1", "labels": {"kruise.io/sidecarset-name": set}},
        "revision": 1, "data": {"spec": {"containers": [{"name": "agent", "image": "agent:1"}]}}})
}

#[test]
fn what_makes_no_sense_is_not_injected_and_hides_nobody_else() {
    let mut unreadable = agent();
    unreadable["containers"][0]["env"] = json!([{"name": "PORT", "value": 80}]);
    let mut strange = agent();
    strange["updateStrategy"] = "whenever".into();
    let sets = Sets::of(&[
        set("a", &strange),
        set("b", &unreadable),
        set("c", &agent()),
        set("d", &json!({"selector": {}})),
    ]);
    let names = |sets: &Sets| {
        let view = sets.read();
        view.index()
            .iter()
            .map(|set| set.name().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&sets), ["c"]);
    let (followed, changed) = set("c", &unreadable);
    sets.put(followed, &changed);
    assert!(names(&sets).is_empty(), "what is stored now is what counts");
}

#[test]
fn a_revision_may_come_after_the_set_that_is_pinned_to_it() {
    let mut pinned = agent();
    pinned["injectionStrategy"] = json!({"revision": {"revisionName": "log-1"}});
    let sets = Sets::of(&[set("log", &pinned)]);
    let is_usable = || {
        let view = sets.read();
        view.index()
            .get("log")
            .unwrap()
            .unusable_revision()
            .is_none()
    };
    assert!(!is_usable());
    sets.put(Followed::Revisions, &revision("other"));
    assert!(!is_usable(), "it is another set's");
    sets.put(Followed::Revisions, &revision("log"));
    assert!(is_usable());
    sets.remove(Followed::Revisions, "log-1");
    assert!(!is_usable());
}

#[test]
fn the_white_list_allows_nothing_unless_it_can_be_read() {
    let sets = Sets::of(&[]);
    let allows = || {
        sets.read()
            .white_list()
            .allows(&BTreeMap::new(), "mesh/port")
    };
    let list =
        |text: &str| json!({"metadata": {"name": "kruise-configuration"}, "data": {KEY: text}});
    assert!(!allows());
    sets.put(
        Followed::WhiteList,
        &list(r#"{"rules": [{"allowedAnnotationKeyExprs": ["^mesh/"]}]}"#),
    );
    assert!(allows());
    sets.put(Followed::WhiteList, &list("["));
    assert!(!allows());
}

#[test]
fn it_is_ready_once_everything_is_listed_or_others_have_waited_long_enough() {
    let sets = Sets::default();
    for followed in [
        Followed::SidecarSets,
        Followed::Namespaces,
        Followed::Revisions,
    ] {
        sets.list_is_complete(followed, None);
        assert!(sets.ask(Duration::ZERO).is_err(), "{followed:?}");
    }
    assert!(sets.ask(READY_WITHOUT).is_ok());
    sets.list_is_complete(Followed::WhiteList, None);
    assert!(sets.ask(Duration::ZERO).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_question_waits_a_moment_for_the_first_lists() {
    let sets = Arc::new(Sets::default());
    let begun = Instant::now();
    sets.learn(&Missing::Everything).await;
    assert_eq!(begun.elapsed().as_secs(), LEARN_WITHIN.as_secs());
    let listing = Arc::clone(&sets);
    let lists = async move {
        for followed in Followed::ALL {
            listing.list_is_complete(followed, None);
        }
    };
    let asked = Instant::now();
    tokio::join!(sets.learn(&Missing::Everything), lists);
    assert!(asked.elapsed() < LEARN_WITHIN);
    assert!(sets.read().is_filled());
}
