use serde_json::json;

use super::*;

const KEY: &str = names::LIFECYCLE_STATE_LABEL;

/// A Pod in `state` with the labels and finalizers of `has`, separated by spaces.
fn pod(state: &str, has: &str) -> Pod {
    let mut labels = json!({"app": "web"});
    if !state.is_empty() {
        labels[KEY] = state.into();
    }
    let mut finalizers = Vec::new();
    for word in has.split_whitespace() {
        match word.split_once('=') {
            Some((key, value)) => labels[key] = value.into(),
            None => finalizers.push(word),
        }
    }
    let pod = json!({"metadata": {"name": "a", "labels": labels, "finalizers": finalizers}});
    serde_json::from_value(pod).unwrap()
}

/// A hook of one label and one finalizer.
fn hook() -> serde_json::Value {
    json!({"labelsHandler": {"hold": "yes"}, "finalizersHandler": ["ex.io/hold"]})
}

fn lifecycle(hooks: &[&str]) -> Lifecycle {
    let hooks: serde_json::Map<_, _> = hooks.iter().map(|h| ((*h).to_owned(), hook())).collect();
    serde_json::from_value(serde_json::Value::Object(hooks)).unwrap()
}

#[test]
fn a_hook_holds_by_any_of_its_parts_and_is_complete_by_all() {
    let lifecycle = lifecycle(&["preDelete"]);
    let hook = Hooks::of(&lifecycle).pre_delete.unwrap();
    for (has, held, complete) in [
        ("", false, false),
        ("hold=no", false, false),
        ("other=yes ex.io/other", false, false),
        ("hold=yes", true, false),
        ("ex.io/hold", true, false),
        ("hold=yes ex.io/hold", true, true),
    ] {
        let pod = pod("Normal", has);
        assert_eq!(holds(hook, &pod), held, "{has:?} holds");
        assert_eq!(is_complete(hook, &pod), complete, "{has:?} is complete");
    }
}

#[test]
fn a_hook_that_names_nothing_is_none() {
    let empty = json!({"preNormal": {}, "preDelete": {"markPodNotReady": true}});
    let lifecycle: Lifecycle = serde_json::from_value(empty).unwrap();
    assert!(Hooks::of(&lifecycle).is_empty());
    assert_eq!(Hooks::of(&lifecycle).first_state(), State::Normal);
}

/// Label, hooks of the set, parts of the hook that the Pod has; how the label is read, and what
/// the Pod becomes when nothing more is wanted of it.
#[allow(clippy::too_many_lines, reason = "a table")]
#[test]
fn what_a_label_means_and_what_comes_next() {
    const ALL: &str = "hold=yes ex.io/hold";
    let table = [
        // Without its hook a state means nothing.
        ("PreparingNormal", "", "", "Normal", "Normal"),
        ("PreparingUpdate", "preDelete", "", "Normal", "Normal"),
        ("Updated", "preNormal preDelete", "", "Normal", "Normal"),
        ("PreparingDelete", "inPlaceUpdate", ALL, "Normal", "Normal"),
        // Nobody can tell whether it was let in before it was to be deleted.
        (
            "PreparingDelete",
            "preNormal",
            "hold=yes",
            "PreparingNormal",
            "PreparingNormal",
        ),
        ("PreparingDelete", "preNormal", ALL, "Normal", "Normal"),
        ("Waiting", "preNormal", "", "Normal", "Normal"),
        (
            "",
            "preNormal inPlaceUpdate preDelete",
            "",
            "Normal",
            "Normal",
        ),
        // With it:
        (
            "PreparingNormal",
            "preNormal",
            "",
            "PreparingNormal",
            "PreparingNormal",
        ),
        (
            "PreparingNormal",
            "preNormal",
            "hold=yes",
            "PreparingNormal",
            "PreparingNormal",
        ),
        (
            "PreparingNormal",
            "preNormal",
            ALL,
            "PreparingNormal",
            "Normal",
        ),
        (
            "PreparingUpdate",
            "inPlaceUpdate",
            "ex.io/hold",
            "PreparingUpdate",
            "Updated",
        ),
        (
            "PreparingUpdate",
            "inPlaceUpdate",
            ALL,
            "PreparingUpdate",
            "Normal",
        ),
        ("Updating", "inPlaceUpdate", "", "Updating", "Updated"),
        ("Updating", "inPlaceUpdate", ALL, "Updating", "Normal"),
        ("Updated", "inPlaceUpdate", "hold=yes", "Updated", "Updated"),
        ("Updated", "inPlaceUpdate", ALL, "Updated", "Normal"),
        (
            "PreparingDelete",
            "preDelete",
            "",
            "PreparingDelete",
            "Normal",
        ),
        (
            "PreparingDelete",
            "preDelete preNormal",
            "",
            "PreparingDelete",
            "PreparingNormal",
        ),
        (
            "PreparingDelete",
            "preDelete preNormal",
            ALL,
            "PreparingDelete",
            "Normal",
        ),
    ];
    for (label, hooks, has, state, rest) in table {
        let hooks: Vec<&str> = hooks.split_whitespace().collect();
        let lifecycle = lifecycle(&hooks);
        let hooks = Hooks::of(&lifecycle);
        let pod = pod(label, has);
        let case = format!("{label} with {hooks:?} and {has:?}");
        assert_eq!(hooks.state(&pod).as_str(), state, "{case}");
        assert_eq!(hooks.rest(&pod, hooks.state(&pod)).as_str(), rest, "{case}");
    }
}

#[test]
fn a_label_is_written_only_where_hooks_read_it() {
    let some = lifecycle(&["preDelete"]);
    let none = Lifecycle::default();
    for (label, hooks, writes) in [
        ("Updated", &none, false),
        ("Updated", &some, true),
        ("Normal", &some, false),
        ("", &some, false),
    ] {
        let write = Hooks::of(hooks).must_write(&pod(label, ""), State::Normal);
        assert_eq!(write, writes, "{label:?}");
    }
}
