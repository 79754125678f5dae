//! What a Pod of 20 containers costs: with 50 SidecarSets to inject, with none, when it is asked
//! about again, and with 10,000 sets of other namespaces and labels beside.

#![allow(clippy::unwrap_used, reason = "a measurement")]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use sidecar_injector::{Injection, Prepared, Request, SetIndex, WhiteList, inject};

fn pod() -> Value {
    let container = |i: usize| {
        let env: Vec<_> = (0..20)
            .map(|n| json!({"name": format!("VAR_{n}"), "value": "some value"}))
            .collect();
        json!({"name": format!("app-{i}"), "image": "registry.example.com/app:1", "env": env,
            "volumeMounts": [{"name": "data", "mountPath": format!("/data/{i}")},
                {"name": "logs", "mountPath": format!("/logs/{i}"), "subPathExpr": "$(VAR_3)"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"},
                "requests": {"cpu": "100m", "memory": "256Mi"}}})
    };
    let containers: Vec<_> = (0..20).map(container).collect();
    json!({"metadata": {"labels": {"app": "web", "tier": "front", "version": "v1"},
            "annotations": {"a": "b"}},
        "spec": {"containers": containers, "volumes": [{"name": "data", "emptyDir": {}},
            {"name": "logs", "emptyDir": {}}]}})
}

/// What a sidecar asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Little,
    /// Every mount of the Pod, variables, and resources computed from all containers.
    Everything,
}

fn set(name: &str, labels: &Value, namespace: Option<(&str, &str)>, asks: Asks) -> Prepared {
    let mut container = json!({"name": name, "image": "registry.example.com/sidecar:1",
        "env": [{"name": "OWN", "value": "1"}],
        "volumeMounts": [{"name": name, "mountPath": "/own"}]});
    if asks == Asks::Everything {
        container["shareVolumePolicy"] = json!({"type": "enabled"});
        container["transferEnv"] =
            json!([{"sourceContainerName": "app-7", "envNames": ["VAR_1", "VAR_2"]}]);
        container["resourcesPolicy"] = json!({"targetContainersMode": "sum", "resourcesExpr":
            {"limits": {"cpu": "max(cpu*10%, 50m)", "memory": "memory*10%"}}});
    }
    let mut set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
        "metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels},
        "containers": [container], "volumes": [{"name": name, "emptyDir": {}}],
        "patchPodMetadata": [{"annotations": {(name): "1"}}]}});
    if let Some((key, value)) = namespace {
        set["spec"]["namespaceSelector"] = json!({"matchLabels": {(key): value}});
    }
    Prepared::new(serde_json::from_value(set).unwrap(), &[]).unwrap()
}

fn matching(asks: Asks) -> Vec<Prepared> {
    (0..50)
        .map(|i| set(&format!("set-{i}"), &json!({"app": "web"}), None, asks))
        .collect()
}

/// In turns for a namespace of another name, for namespaces with another label, and for Pods with
/// another label.
fn others() -> Vec<Prepared> {
    let web = json!({"app": "web"});
    let other = |i: usize| {
        let (name, value) = (format!("other-{i}"), format!("n-{i}"));
        match i % 3 {
            0 => {
                let namespace = ("kubernetes.io/metadata.name", &*value);
                set(&name, &web, Some(namespace), Asks::Little)
            }
            1 => set(&name, &web, Some(("team", &value)), Asks::Little),
            _ => set(&name, &json!({"app": value}), None, Asks::Little),
        }
    };
    (0..10_000).map(other).collect()
}

fn ask(pod: &Value, index: &SetIndex) -> Injection {
    let request = Request {
        pod,
        namespace: "shop",
        namespace_labels: &BTreeMap::new(),
        now: "2026-01-02T03:04:05Z".parse().unwrap(),
        seed: "seed",
    };
    inject(&request, index, &WhiteList::Everything)
}

fn injected(pod: &Value, index: &SetIndex) -> Value {
    let injection = ask(pod, index);
    assert_eq!(injection.injected.len(), 50);
    assert!(injection.warnings.is_empty());
    let patch: json_patch::Patch = serde_json::from_value(injection.patch.into()).unwrap();
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}

fn benchmark(criterion: &mut Criterion) {
    let pod = pod();
    let few: SetIndex = matching(Asks::Little).into_iter().collect();
    let greedy: SetIndex = matching(Asks::Everything).into_iter().collect();
    let many: SetIndex = matching(Asks::Little).into_iter().chain(others()).collect();
    let only_others: SetIndex = others().into_iter().collect();
    let mut group = criterion.benchmark_group("injection");
    group.bench_function("50 sets", |b| b.iter(|| black_box(ask(&pod, &few))));
    group.bench_function("50 sets that ask for everything", |b| {
        b.iter(|| black_box(ask(&pod, &greedy)));
    });
    group.bench_function("50 sets, 10,000 others", |b| {
        b.iter(|| black_box(ask(&pod, &many)));
    });
    let again = injected(&pod, &few);
    group.bench_function("50 sets, again", |b| {
        b.iter(|| black_box(ask(&again, &few)));
    });
    group.bench_function("no set, 10,000 others", |b| {
        b.iter(|| black_box(ask(&pod, &only_others)));
    });
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
