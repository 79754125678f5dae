//! Which sets are looked at, and that changes of sets are followed.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
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

/// What a look at every set says: by its selectors, as Kubernetes understands them.
fn looked_at(
    sets: &BTreeMap<String, Value>,
    namespace: &BTreeMap<String, String>,
    pod: &[(&str, &str)],
) -> Vec<String> {
    let matches = |selector: &Value, labels: &BTreeMap<String, String>| {
        let selector: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
        Selector::try_from(selector).unwrap().matches(labels)
    };
    let pod = labels(pod);
    let matching = sets.iter().filter(|(_, set)| {
        let spec = &set["spec"];
        let in_namespace = match spec.get("namespaceSelector") {
            None => true,
            Some(selector) => matches(selector, namespace),
        };
        in_namespace && matches(&spec["selector"], &pod)
    });
    matching.map(|(name, _)| name.clone()).collect()
}

/// Selectors of namespaces of every kind; null is none.
fn namespace_selectors() -> [Value; 8] {
    let named = |values: &[&str]| {
        json!({"matchExpressions":
            [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": values}]})
    };
    let team = json!({"key": "team", "operator": "In", "values": ["front", "back"]});
    [
        json!(null),
        named(&["shop"]),
        named(&["shop", "bank"]),
        json!({"matchLabels": {"team": "front"}}),
        json!({"matchLabels": {"team": "front", "kubernetes.io/metadata.name": "bank"}}),
        json!({"matchLabels": {"zone": "a"}, "matchExpressions": [team]}),
        json!({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}),
        json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["front"]}]}),
    ]
}

/// Random changes; after each the index says what a look at every set says.
#[test]
fn the_index_is_what_a_look_at_every_set_would_say() {
    let selectors = [
        json!({"matchLabels": {"app": "web"}}),
        json!({"matchLabels": {"app": "web", "tier": "1"}}),
        json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["2"]}]}),
    ];
    let namespaces = namespace_selectors();
    let worlds = [
        ("shop", labels(&[])),
        ("shop", labels(&[("team", "front"), ("zone", "a")])),
        ("bank", labels(&[("team", "front")])),
        ("bank", labels(&[("team", "back"), ("zone", "a")])),
        ("else", labels(&[("zone", "b")])),
    ];
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
            let mut set = within(&name, json!(null), selectors[below(3)].clone());
            let namespaces = &namespaces[below(8)];
            if !namespaces.is_null() {
                set["spec"]["namespaceSelector"] = namespaces.clone();
            }
            index.apply(prepared(set.clone(), &[]));
            all.insert(name, set);
        }
        assert_eq!(index.len(), all.len());
        for (namespace, of_namespace) in &worlds {
            let mut whole = of_namespace.clone();
            whole.extend(labels(&[("kubernetes.io/metadata.name", namespace)]));
            for pod in [
                &[("app", "web")][..],
                &[("app", "web"), ("tier", "1")],
                &[("tier", "2")],
            ] {
                let sets = index.matching(namespace, of_namespace, &labels(pod));
                let found: Vec<_> = sets.iter().map(|set| set.name().to_owned()).collect();
                assert_eq!(found, looked_at(&all, &whole, pod), "{namespace}: {pod:?}");
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
