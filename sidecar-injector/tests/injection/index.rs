//! Which sets are looked at, and that changes of sets are followed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sidecar_injector::SetIndex;

use crate::world::{one, prepared};

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs.iter();
    owned
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn within(name: &str, namespaces: Value, selector: Value) -> Value {
    let mut set = one(name, json!({}));
    if !namespaces.is_null() {
        set["spec"]["namespaceSelector"] = json!({"matchExpressions":
            [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}]});
    }
    set["spec"]["selector"] = selector;
    set
}

fn found(index: &SetIndex, namespace: &str, pod: &[(&str, &str)]) -> Vec<String> {
    let sets = index.matching(namespace, &BTreeMap::new(), &labels(pod));
    sets.iter().map(|set| set.name().to_owned()).collect()
}

#[test]
fn sets_are_found_by_namespace_and_label_in_the_order_of_their_names() {
    let web = json!({"matchLabels": {"app": "web"}});
    let any = json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]});
    let sets = [
        within("z-any", json!(null), any),
        within("a-web", json!(null), web.clone()),
        within("m-shop", json!(["shop", "bank"]), web.clone()),
        within("b-bank", json!(["bank"]), web),
        within(
            "n-api",
            json!(["shop"]),
            json!({"matchLabels": {"app": "api"}}),
        ),
    ];
    let index: SetIndex = sets.into_iter().map(|set| prepared(set, &[])).collect();
    assert_eq!(
        found(&index, "shop", &[("app", "web")]),
        ["a-web", "m-shop", "z-any"]
    );
    assert_eq!(
        found(&index, "bank", &[("app", "web")]),
        ["a-web", "b-bank", "m-shop", "z-any"]
    );
    assert_eq!(found(&index, "else", &[("app", "api")]), ["z-any"]);
    assert!(found(&index, "shop", &[]).is_empty());
}

#[test]
fn sets_that_a_pod_missed_are_found() {
    let web = json!({"matchLabels": {"app": "web"}});
    let sets = ["a", "b", "c"].map(|name| prepared(within(name, json!(null), web.clone()), &[]));
    let index: SetIndex = sets.into_iter().collect();
    let missed = |annotations: &[(&str, &str)]| {
        let (pod, annotations) = (labels(&[("app", "web")]), labels(annotations));
        let sets = index.not_injected("shop", &BTreeMap::new(), &pod, &annotations);
        sets.iter()
            .map(|set| set.name().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        missed(&[("kruise.io/sidecarset-injected-list", "a,c")]),
        ["b"]
    );
    assert_eq!(missed(&[]), ["a", "b", "c"]);
}

/// Random changes; after each the index says what a look at every set says.
#[test]
fn the_index_is_what_a_look_at_every_set_would_say() {
    let selectors = [
        json!({"matchLabels": {"app": "web"}}),
        json!({"matchLabels": {"app": "web", "tier": "1"}}),
        json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["2"]}]}),
    ];
    let namespaces = [json!(null), json!(["shop"]), json!(["shop", "bank"])];
    let mut index = SetIndex::default();
    let mut all = BTreeMap::new();
    let mut state = 7_u64;
    let mut below = |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from((state >> 33) % n).unwrap()
    };
    for _ in 0..300 {
        let name = format!("set-{}", below(12));
        if below(3) == 0 {
            index.remove(&name);
            all.remove(&name);
        } else {
            let set = within(
                &name,
                namespaces[below(3)].clone(),
                selectors[below(3)].clone(),
            );
            index.apply(prepared(set.clone(), &[]));
            all.insert(name, set);
        }
        let anew: SetIndex = all.values().map(|set| prepared(set.clone(), &[])).collect();
        assert_eq!(index.len(), all.len());
        for namespace in ["shop", "bank", "else"] {
            for pod in [
                &[("app", "web")][..],
                &[("app", "web"), ("tier", "1")],
                &[("tier", "2")],
            ] {
                assert_eq!(found(&index, namespace, pod), found(&anew, namespace, pod));
            }
        }
    }
    for name in all.into_keys() {
        index.remove(&name);
    }
    assert!(index.is_empty());
    assert_eq!(
        format!("{index:?}"),
        format!("{:?}", SetIndex::default()),
        "nothing is left"
    );
}
