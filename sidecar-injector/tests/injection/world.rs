//! Pods and SidecarSets to ask with, and answers to look at.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sidecar_injector::{
    Injection, Prepared, Reason, Request, Revision, SetIndex, WhiteList, inject,
};

/// Sets, with what a cluster has beside them.
pub(crate) struct World {
    pub(crate) index: SetIndex,
    pub(crate) white_list: WhiteList,
    pub(crate) namespace: String,
    pub(crate) namespace_labels: BTreeMap<String, String>,
    pub(crate) seed: String,
}

pub(crate) fn world<const N: usize>(sets: [Value; N]) -> World {
    with_revisions(sets, &[])
}

pub(crate) fn with_revisions<const N: usize>(sets: [Value; N], revisions: &[Revision]) -> World {
    let prepare = |set: Value| prepared(set, revisions);
    World {
        index: sets.into_iter().map(prepare).collect(),
        white_list: WhiteList::Everything,
        namespace: "shop".to_owned(),
        namespace_labels: BTreeMap::new(),
        seed: "seed".to_owned(),
    }
}

pub(crate) fn prepared(set: Value, revisions: &[Revision]) -> Prepared {
    let set = serde_json::from_value(set).unwrap();
    Prepared::new(set, revisions).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// What came of it, and the Pod that it makes.
pub(crate) struct Answer {
    pub(crate) injection: Injection,
    pub(crate) pod: Value,
}

impl World {
    pub(crate) fn inject(&self, pod: &Value) -> Answer {
        let request = Request {
            pod,
            namespace: &self.namespace,
            namespace_labels: &self.namespace_labels,
            now: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            seed: &self.seed,
        };
        let injection = inject(&request, &self.index, &self.white_list);
        let pod = patched(pod, &injection);
        Answer { injection, pod }
    }
}

pub(crate) fn patched(pod: &Value, injection: &Injection) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(injection.patch.clone().into()).unwrap();
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch).unwrap_or_else(|error| panic!("{error}: {pod}"));
    pod
}

impl Answer {
    fn names_in(&self, list: &str) -> Vec<&str> {
        let containers = self.pod["spec"][list].as_array();
        let containers = containers.into_iter().flatten();
        containers.map(|c| c["name"].as_str().unwrap()).collect()
    }

    pub(crate) fn containers(&self) -> Vec<&str> {
        self.names_in("containers")
    }

    pub(crate) fn init_containers(&self) -> Vec<&str> {
        self.names_in("initContainers")
    }

    pub(crate) fn container(&self, name: &str) -> &Value {
        let lists = ["containers", "initContainers"].map(|list| &self.pod["spec"][list]);
        let all = lists.into_iter().filter_map(Value::as_array).flatten();
        let mut all = all.filter(|c| c["name"] == name);
        all.next()
            .unwrap_or_else(|| panic!("no {name} in {}", self.pod))
    }

    /// Name and value of each variable.
    pub(crate) fn env(&self, name: &str) -> Vec<(&str, &str)> {
        let env = self.container(name)["env"].as_array().unwrap().iter();
        env.map(|v| {
            (
                v["name"].as_str().unwrap(),
                v["value"].as_str().unwrap_or("-"),
            )
        })
        .collect()
    }

    pub(crate) fn mounts(&self, name: &str) -> Vec<(&str, &str)> {
        let mounts = self.container(name)["volumeMounts"].as_array();
        let mounts = mounts.into_iter().flatten();
        mounts
            .map(|m| {
                (
                    m["name"].as_str().unwrap(),
                    m["mountPath"].as_str().unwrap(),
                )
            })
            .collect()
    }

    pub(crate) fn annotation(&self, key: &str) -> &str {
        let annotations = &self.pod["metadata"]["annotations"];
        annotations[key].as_str().unwrap_or_default()
    }

    pub(crate) fn reasons(&self) -> Vec<Reason> {
        let warnings = self.injection.warnings.iter();
        warnings.map(|w| w.reason.clone()).collect()
    }

    pub(crate) fn is_unchanged(&self) -> bool {
        self.injection.patch.is_empty()
    }
}

/// A Pod with the label `app: web` and one container `main`.
pub(crate) fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-1", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]}
    })
}

/// [`pod`] with these containers.
pub(crate) fn pod_of(containers: Value) -> Value {
    let mut pod = pod();
    pod["spec"]["containers"] = containers;
    pod
}

/// A set for `app: web`.
pub(crate) fn set(name: &str, spec: Value) -> Value {
    let mut set = json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
        "metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": "web"}}}
    });
    let fields = spec.as_object().unwrap().clone();
    set["spec"].as_object_mut().unwrap().extend(fields);
    set
}

/// A set with one container.
pub(crate) fn one(name: &str, container: Value) -> Value {
    let mut whole = json!({"name": name, "image": "side:1"});
    let fields = container.as_object().unwrap().clone();
    whole.as_object_mut().unwrap().extend(fields);
    set(name, json!({"containers": [whole]}))
}
