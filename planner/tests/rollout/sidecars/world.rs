//! A SidecarSet, Pods that it was injected into, and the model of their kubelet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apis::sidecar_set::white_list::WhiteList;
use apis::{SidecarSet, SidecarSetStatus, Valid, names};
use jiff::SignedDuration;
use model::kubelet::Kubelet;
use model::object::Object;
use model::server::Server;
use planner::effect::{Request, Resource, Verb};
use planner::sidecar_set::{Plan, Revision, Snapshot, plan};
use planner::{DisruptionBudget, Effect};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) kubelet: Kubelet,
    pub(crate) set: Value,
    /// Writes to each Pod.
    pub(crate) writes: BTreeMap<String, usize>,
    pub(crate) without: Vec<Value>,
    pub(crate) held: BTreeMap<String, String>,
    /// PodDisruptionBudgets, and whether their controller looks at them.
    pub(crate) budgets: Vec<Value>,
    pub(crate) is_counted: bool,
    pub(crate) white_list: WhiteList,
    /// The fewest Pods that served after any write of the kubelet.
    pub(crate) fewest: usize,
}

/// A SidecarSet with one container.
pub(crate) fn sidecar_set(spec: &Value) -> Value {
    let mut set = json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
        "metadata": {"name": "log", "uid": "set-uid", "generation": 1, "resourceVersion": "7",
            "creationTimestamp": "2026-03-01T10:00:00Z"},
        "spec": {"selector": {"matchLabels": {"app": "web"}},
            "containers": [{"name": "agent", "image": "agent:1"}]}});
    for (key, value) in spec.as_object().unwrap() {
        set["spec"][key] = value.clone();
    }
    set
}

fn of_budget(budget: &Value) -> Arc<DisruptionBudget> {
    Arc::new(DisruptionBudget::deserialize(budget).unwrap())
}

impl World {
    /// `count` Pods that the set was injected into, running.
    pub(crate) fn running(count: usize, spec: &Value) -> Self {
        let mut world = Self::empty(spec);
        for n in 0..count {
            world.add(&format!("web-{n:02}"), |_| {});
        }
        world.settle();
        world.writes.clear();
        world.fewest = count;
        world
    }

    pub(crate) fn empty(spec: &Value) -> Self {
        Self {
            server: Server::default(),
            kubelet: Kubelet::default(),
            set: sidecar_set(spec),
            writes: BTreeMap::new(),
            without: Vec::new(),
            held: BTreeMap::new(),
            budgets: Vec::new(),
            is_counted: true,
            white_list: WhiteList::nothing(),
            fewest: usize::MAX,
        }
    }

    pub(crate) fn valid(&self) -> Valid<SidecarSet> {
        let set = SidecarSet::deserialize(&self.set).unwrap();
        Valid::new(set).map_err(|(_, errors)| errors).unwrap()
    }

    /// A Pod as the webhook makes it, changed by `change`.
    pub(crate) fn add(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut pod = self.pod(name);
        change(&mut pod);
        let request = Request {
            verb: Verb::Create,
            resource: Resource::Pods,
            name: name.to_owned(),
            body: pod,
        };
        self.server.perform(&request).unwrap();
    }

    /// Pods with a gate that their workload has opened.
    pub(crate) fn gated(count: usize, spec: &Value) -> Self {
        let mut world = Self::empty(spec);
        for n in 0..count {
            let name = format!("web-{n:02}");
            world.add(&name, |pod| {
                let gate = json!({"conditionType": names::IN_PLACE_READY_CONDITION});
                pod["spec"]["readinessGates"] = json!([gate]);
            });
            world.settle();
            world.gate(&name, "True");
        }
        world.settle();
        world.writes.clear();
        world.fewest = count;
        world
    }

    /// Sets the gate of a Pod as its workload does.
    pub(crate) fn gate(&mut self, name: &str, status: &str) {
        let mut pod = (*self.server.pods[name]).clone();
        let gate = json!({"type": names::IN_PLACE_READY_CONDITION, "status": status,
            "reason": names::REASON_START_UPDATE, "lastTransitionTime": "2026-03-01T12:00:00Z"});
        model::server::merge_condition(&mut pod, &gate);
        self.server.write_status(name, pod);
    }

    /// The condition of the gate of a Pod.
    pub(crate) fn gate_of(&self, name: &str) -> &Value {
        let conditions = &self.server.pods[name]["status"]["conditions"];
        let mut all = conditions.as_array().unwrap().iter();
        all.find(|c| c["type"] == names::IN_PLACE_READY_CONDITION)
            .unwrap()
    }

    pub(crate) fn pod(&self, name: &str) -> Value {
        let set = self.valid();
        let mut app = vec![json!({"name": "main", "image": "web:1"})];
        let mut init = Vec::new();
        let mut annotations = self.record();
        let mut lists = [
            (&set.containers, &mut app),
            (&set.init_containers, &mut init),
        ];
        let mut working: BTreeMap<&str, String> = BTreeMap::new();
        for (sidecars, list) in &mut lists {
            for sidecar in *sidecars {
                let mut body = Value::Object(sidecar.body.clone());
                let Some(hot) = &sidecar.hot else {
                    list.push(body);
                    continue;
                };
                let [first, second] = sidecar.twins();
                body["name"] = first.clone().into();
                list.push(body.clone());
                body["name"] = second.clone().into();
                body["image"] = hot.empty_image.clone().into();
                list.push(body);
                for (key, value) in [
                    (format!("{}{first}", names::TWIN_VERSION_PREFIX), "1"),
                    (format!("{}{second}", names::TWIN_VERSION_PREFIX), "0"),
                    (format!("{}{first}", names::TWIN_OTHER_VERSION_PREFIX), "0"),
                    (format!("{}{second}", names::TWIN_OTHER_VERSION_PREFIX), "1"),
                ] {
                    annotations[&key] = value.into();
                }
                working.insert(&sidecar.name, first);
            }
        }
        if !working.is_empty() {
            annotations[names::WORKING_TWIN_ANNOTATION] = json!(working).to_string().into();
        }
        json!({"metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"},
                "annotations": annotations},
            "spec": {"containers": app, "initContainers": init}})
    }

    /// What a Pod remembers that is injected now.
    pub(crate) fn record(&self) -> Value {
        let set = self.valid();
        let entry = |hash: &str| {
            json!({"log": {"updateTimestamp": "2026-03-01T11:00:00Z", "hash": hash,
                "sidecarSetName": "log", "sidecarList": ["agent"]}})
            .to_string()
        };
        json!({names::SIDECAR_HASH_ANNOTATION: entry(&set.hash),
            names::SIDECAR_HASH_WITHOUT_IMAGE_ANNOTATION: entry(&set.hash_without_image),
            names::SIDECAR_LIST_ANNOTATION: "log"})
    }

    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.set["spec"]);
        let generation = self.set["metadata"]["generation"].as_i64().unwrap() + 1;
        self.set["metadata"]["generation"] = generation.into();
        self.set["metadata"]["resourceVersion"] = (generation + 100).to_string().into();
    }

    pub(crate) fn set_image(&mut self, image: &str) {
        self.edit(|spec| spec["containers"][0]["image"] = image.into());
    }

    pub(crate) fn update(&mut self, strategy: &Value) {
        self.edit(|spec| spec["updateStrategy"] = strategy.clone());
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let decode = |pod: &Value| Arc::new(planner::Pod::deserialize(pod).unwrap());
        let injected = self.server.pods.values();
        let injected = injected.filter(|pod| {
            pod["metadata"]["annotations"][names::SIDECAR_LIST_ANNOTATION]
                .as_str()
                .is_some_and(|list| list.split(',').any(|name| name == "log"))
        });
        Snapshot {
            now: self.server.now,
            set: self.valid(),
            pods: injected.map(|pod| decode(pod)).collect(),
            without: self.without.iter().map(decode).collect(),
            namespaces: BTreeMap::new(),
            disruption_budgets: self.budgets.iter().map(of_budget).collect(),
            revisions: self
                .server
                .revisions
                .values()
                .map(|r| Arc::new(Revision::deserialize(&**r).unwrap()))
                .collect(),
            revision_namespace: "insitu-system".into(),
            white_list: self.white_list.clone(),
            held: self.held.clone(),
            effects_max: 1000,
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        let plan = plan(&self.snapshot());
        plan.check().unwrap();
        plan
    }

    pub(crate) fn status(&self) -> SidecarSetStatus {
        SidecarSetStatus::deserialize(&self.set["status"]).unwrap_or_default()
    }

    /// One pass; how much it wrote.
    pub(crate) fn reconcile(&mut self) -> usize {
        let plan = self.plan();
        let mut written = 0;
        for (namespace, effect) in &plan.effects {
            self.server.perform(&effect.request()).unwrap();
            written += 1;
            if let Effect::PatchPod { .. } | Effect::Drain { .. } | Effect::OpenGate { .. } = effect
            {
                assert_eq!(namespace, "shop");
                *self.writes.entry(effect.name().to_owned()).or_default() += 1;
            } else {
                assert_eq!(namespace, "insitu-system");
            }
        }
        let status = serde_json::to_value(&plan.status).unwrap();
        if self.set["status"] != status {
            self.set["status"] = status;
            written += 1;
        }
        written
    }

    /// A second passes, and everybody acts once.
    pub(crate) fn step(&mut self) -> bool {
        self.server.now += SignedDuration::from_secs(1);
        let wrote = self.reconcile();
        let names: Vec<String> = self.server.pods.keys().cloned().collect();
        let mut moved = false;
        for name in names {
            moved |= self.kubelet.sync(&mut self.server, &name);
        }
        self.fewest = self.fewest.min(self.serving());
        if self.is_counted {
            self.count_budgets();
        }
        wrote > 0 || moved || self.plan().wake_at.is_some()
    }

    /// Runs until nothing changes any more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..500 {
            if !self.step() {
                for _ in 0..2 {
                    self.server.now += SignedDuration::from_secs(1);
                    let plan = self.plan();
                    assert_eq!(plan.effects, [], "at rest nothing is written");
                    assert_eq!(plan.status, self.status(), "at rest the status stays");
                }
                return;
            }
        }
        panic!("does not settle: {:#}", self.set["status"]);
    }

    /// A PodDisruptionBudget of the Pods that `desired` of have to be healthy.
    pub(crate) fn protect(&mut self, name: &str, selector: &Value, desired: i64) {
        self.budgets.push(json!({
            "metadata": {"name": name, "namespace": "shop", "generation": 1},
            "spec": {"selector": selector}, "status": {"desiredHealthy": desired}}));
        self.count_budgets();
    }

    /// The controller of PodDisruptionBudgets comes by. It knows selectors of one label.
    pub(crate) fn count_budgets(&mut self) {
        for budget in &mut self.budgets {
            let labels = budget["spec"]["selector"]["matchLabels"]
                .as_object()
                .unwrap();
            let is_its = |pod: &&Object| {
                let of_pod = &pod["metadata"]["labels"];
                labels.iter().all(|(key, value)| of_pod[key] == *value)
            };
            let pods: Vec<&Object> = self.server.pods.values().filter(is_its).collect();
            let healthy = pods.iter().filter(|pod| model::watchdog::is_ready(pod));
            let healthy = i64::try_from(healthy.count()).unwrap();
            let generation = budget["metadata"]["generation"].clone();
            let status = &mut budget["status"];
            let allowed = healthy - status["desiredHealthy"].as_i64().unwrap();
            status["observedGeneration"] = generation;
            status["expectedPods"] = pods.len().into();
            status["disruptionsAllowed"] = allowed.max(0).into();
        }
    }

    pub(crate) fn serving(&self) -> usize {
        let pods = self.server.pods.values();
        pods.filter(|pod| model::watchdog::is_ready(pod)).count()
    }

    /// Images of the container `name`, by the names of Pods.
    pub(crate) fn images(&self, name: &str) -> Vec<String> {
        let image = |pod: &Value| {
            let lists = [&pod["spec"]["containers"], &pod["spec"]["initContainers"]];
            let mut all = lists.into_iter().filter_map(Value::as_array).flatten();
            let found = all.find(|c| c["name"] == name);
            found.map_or_else(String::new, |c| c["image"].as_str().unwrap().to_owned())
        };
        self.server.pods.values().map(|pod| image(pod)).collect()
    }

    /// What each container of each Pod runs as, but for those of `name`.
    pub(crate) fn others(&self, name: &str) -> BTreeSet<(String, String, String)> {
        let mut all = BTreeSet::new();
        for (pod_name, pod) in &self.server.pods {
            for list in ["containerStatuses", "initContainerStatuses"] {
                for status in pod["status"][list].as_array().into_iter().flatten() {
                    if status["name"] != name {
                        let text = |key: &str| status[key].as_str().unwrap_or("").to_owned();
                        all.insert((pod_name.clone(), text("name"), text("containerID")));
                    }
                }
            }
        }
        all
    }

    pub(crate) fn condition(&self, type_: &str) -> (String, String) {
        let status = self.status();
        let found = status.conditions.iter().find(|c| c.type_ == type_).cloned();
        let found = found.unwrap();
        (found.status, found.reason.unwrap_or_default())
    }

    /// Reasons and how many Pods have them.
    pub(crate) fn reasons(&self) -> Vec<(String, i32)> {
        let status = self.status();
        status
            .reasons
            .into_iter()
            .map(|r| (r.reason, r.pods))
            .collect()
    }

    /// Matched, updated, ready, updated and ready.
    pub(crate) fn counts(&self) -> [i32; 4] {
        let s = self.status();
        [
            s.matched_pods,
            s.updated_pods,
            s.ready_pods,
            s.updated_ready_pods,
        ]
    }
}
