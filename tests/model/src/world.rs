//! One CloneSet in the model, and the planner driven on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use apis::{CloneSet, CloneSetStatus, Valid, names};
use jiff::SignedDuration;
use planner::effect::Resource;
use planner::{Claim, Effect, Plan, Pod, Revision, Snapshot};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kubelet::Kubelet;
use crate::object::Object;
use crate::server::Server;
use crate::set::{self, Part};
use crate::timeline::Timeline;
use crate::watchdog::Watchdog;

pub struct World {
    pub server: Server,
    pub kubelet: Kubelet,
    pub set: Object,
    /// Pods as the planner sees them: the server's at some time, never older than our own writes.
    pub view: BTreeMap<String, Object>,
    pub held: BTreeMap<String, String>,
    pub timeline: Timeline,
    /// Writes by Pod.
    pub writes: BTreeMap<String, usize>,
}

impl World {
    /// A set of `replicas` Pods of one container, with `rolling` as its rolling update.
    pub fn new(replicas: u32, rolling: &Value) -> Self {
        let set = json!({
            "apiVersion": "apps.kruise.io/v1beta1",
            "kind": "CloneSet",
            "metadata": {"name": "web", "namespace": "shop", "uid": "set-uid"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "main", "image": "web:1"}]},
                },
                "updateStrategy": {"rollingUpdate": rolling},
            },
        });
        Self {
            server: Server::default(),
            kubelet: Kubelet::default(),
            set: set::create(set),
            view: BTreeMap::new(),
            held: BTreeMap::new(),
            timeline: Timeline::default(),
            writes: BTreeMap::new(),
        }
    }

    /// The same, once its Pods are ready.
    pub fn running(replicas: u32, rolling: &Value) -> Self {
        let mut world = Self::new(replicas, rolling);
        world.settle();
        world.writes.clear();
        world.timeline.begin();
        world
    }

    /// A user changes the spec.
    pub fn edit(&mut self, what: &str, change: impl FnOnce(&mut Value)) {
        self.set = set::change(&self.set, Part::Whole, |set| change(&mut set["spec"]));
        self.timeline.user(what, &self.server);
    }

    pub fn set_image(&mut self, image: &str) {
        self.edit(&format!("image {image}"), |spec| {
            spec["template"]["spec"]["containers"][0]["image"] = image.into();
        });
    }

    pub fn set_rolling(&mut self, key: &str, value: Value) {
        self.edit(&format!("{key} {value}"), |spec| {
            spec["updateStrategy"]["rollingUpdate"][key] = value;
        });
    }

    /// `kubectl set image` on a Pod.
    pub fn hand_edit(&mut self, name: &str, image: &str) {
        let uid = self.server.pods[name]["metadata"]["uid"].as_str().unwrap();
        self.kubelet.excused.insert(uid.to_owned());
        self.server.edit_image(name, image);
    }

    /// The planner's view catches up with the server.
    pub fn observe(&mut self) {
        self.view = self.server.pods.clone();
    }

    pub fn valid(&self) -> Valid<CloneSet> {
        let set = CloneSet::deserialize(&*self.set).unwrap();
        Valid::new(set).map_err(|(_, errors)| errors).unwrap()
    }

    pub fn status(&self) -> CloneSetStatus {
        CloneSetStatus::deserialize(&self.set["status"]).unwrap_or_default()
    }

    pub fn plan(&self) -> Plan {
        let controlled = |pod: &&Object| {
            let owners = pod["metadata"]["ownerReferences"].as_array();
            owners
                .into_iter()
                .flatten()
                .any(|o| o["controller"] == true)
        };
        let decode = |pod: &Object| -> Arc<Pod> { Arc::new(Pod::deserialize(&**pod).unwrap()) };
        let awaited: Vec<String> = self.view.values().flat_map(|pod| awaited(pod)).collect();
        let decode_revision = |r: &Object| Arc::new(Revision::deserialize(&**r).unwrap());
        let (revisions, orphan_revisions) = self
            .server
            .revisions
            .values()
            .filter(|r| r["metadata"]["labels"][names::SIDECAR_SET_LABEL].is_null())
            .partition::<Vec<_>, _>(controlled);
        let mut snapshot = Snapshot {
            now: self.server.now,
            set: self.valid(),
            pods: self.view.values().filter(controlled).map(decode).collect(),
            orphans: self
                .view
                .values()
                .filter(|pod| !controlled(pod))
                .map(decode)
                .collect(),
            claims: self
                .server
                .claims
                .values()
                .filter(|claim| {
                    self.is_ours(claim)
                        || awaited
                            .iter()
                            .any(|name| claim["metadata"]["name"] == **name)
                })
                .map(|c| Arc::new(Claim::deserialize(&**c).unwrap()))
                .collect(),
            nodes: Vec::new(),
            revisions: revisions.into_iter().map(decode_revision).collect(),
            orphan_revisions: orphan_revisions.into_iter().map(decode_revision).collect(),
            held: self.held.clone(),
            in_flight: std::collections::BTreeSet::new(),
            effects_max: 100,
        };
        let plan = planner::clone_set::plan(&snapshot);
        if plan.effects.is_empty() && snapshot.set.object().status.as_ref() == Some(&plan.status) {
            assert_it_lasts(&mut snapshot, &plan);
        }
        plan
    }

    /// Whether the controller of `claim` is the set or one of the Pods.
    fn is_ours(&self, claim: &Value) -> bool {
        let owner = &claim["metadata"]["ownerReferences"][0]["uid"];
        let mut pods = self.server.pods.values();
        owner == "set-uid" || pods.any(|pod| pod["metadata"]["uid"] == *owner)
    }

    /// The plan for a changed spec, without changing it.
    pub fn plan_after(&mut self, change: impl FnOnce(&mut Value)) -> Plan {
        let before = self.set.clone();
        change(&mut self.set["spec"]);
        let plan = self.plan();
        self.set = before;
        plan
    }

    /// One pass of the controller: plan, perform, report. Returns how much it wrote.
    pub fn reconcile(&mut self) -> usize {
        let plan = self.plan();
        plan.check().unwrap();
        let watchdog = Watchdog::new(&self.valid(), &plan, &self.server);
        let mut written = 0;
        for effect in &plan.effects {
            written += usize::from(self.perform(effect, &watchdog));
        }
        let status = serde_json::to_value(&plan.status).unwrap();
        if self.set["status"] != status {
            written += 1;
            self.set = set::change(&self.set, Part::Status, |set| set["status"] = status);
            self.timeline.status(&plan.status, &self.server);
        }
        written
    }

    /// A pass of a controller that ends half-way: effects go out in another order, only those of
    /// `mask` reach the server, and nothing is reported.
    pub fn reconcile_partly(&mut self, mask: u8) {
        let plan = self.plan();
        plan.check().unwrap();
        let watchdog = Watchdog::new(&self.valid(), &plan, &self.server);
        for (i, effect) in plan.effects.iter().enumerate().rev() {
            if mask >> (i % 8) & 1 == 1 {
                self.perform(effect, &watchdog);
            }
        }
    }

    fn perform(&mut self, effect: &Effect, watchdog: &Watchdog) -> bool {
        let view: Vec<&Object> = self.view.values().collect();
        let name = effect.name().to_owned();
        let before = self.server.pods.get(&name).cloned();
        let answer = match self.server.perform(&effect.request()) {
            Ok(answer) => answer,
            Err(refused) => {
                assert!(!refused.is_fault(), "{refused:?}: {effect:?}");
                return false;
            }
        };
        watchdog.check(effect, &view, before.as_deref(), &self.server);
        self.timeline.effect(effect, &self.server);
        if is_of_pod(effect) {
            *self.writes.entry(name.clone()).or_default() += 1;
            match answer {
                Some(pod) => self.view.insert(name, pod),
                None => self.view.remove(&name),
            };
        }
        true
    }

    /// The kubelet takes every Pod one stage further.
    pub fn kubelet_round(&mut self) -> bool {
        let names: Vec<String> = self.server.pods.keys().cloned().collect();
        let mut changed = false;
        for name in names {
            changed |= self.kubelet.sync(&mut self.server, &name);
        }
        self.timeline.kubelet(&self.server);
        changed
    }

    pub fn tick(&mut self) {
        self.server.now += SignedDuration::from_secs(1);
        for claim in self.server.collect_claims() {
            self.timeline.collected(&claim, &self.server);
        }
    }

    /// A second passes, and everybody acts once.
    pub fn step(&mut self) {
        self.tick();
        self.observe();
        self.reconcile();
        self.kubelet_round();
    }

    /// Runs until nothing changes any more, and checks that it is a rest: two more passes find
    /// nothing to do and report the very same status.
    pub fn settle(&mut self) {
        for _ in 0..500 {
            self.tick();
            self.observe();
            let wrote = self.reconcile();
            let moved = self.kubelet_round();
            if wrote == 0 && !moved && self.plan().wake_at.is_none() {
                self.assert_at_rest();
                return;
            }
        }
        panic!("does not settle: {}", self.timeline.render("unsettled"));
    }

    fn assert_at_rest(&mut self) {
        for _ in 0..2 {
            self.tick();
            let plan = self.plan();
            assert_eq!(plan.effects, [], "at rest nothing is written");
            assert_eq!(
                plan.status,
                self.status(),
                "at rest the status stays as it is"
            );
            assert_eq!(plan.wake_at, None, "at rest nobody has to look again");
        }
    }

    /// Whether the Ready condition of the set is True.
    pub fn is_ready(&self) -> bool {
        let status = self.status();
        let ready = planner::status::condition(&status, apis::condition::ConditionType::Ready);
        ready.is_some_and(|c| c.status == "True")
    }

    pub fn ready_reason(&self) -> String {
        let status = self.status();
        let ready = planner::status::condition(&status, apis::condition::ConditionType::Ready);
        ready.and_then(|c| c.reason.clone()).unwrap_or_default()
    }

    /// Images of the first container, sorted.
    pub fn images(&self) -> Vec<String> {
        let image = |p: &Object| {
            p["spec"]["containers"][0]["image"]
                .as_str()
                .map(str::to_owned)
        };
        let mut images: Vec<String> = self.server.pods.values().filter_map(image).collect();
        images.sort();
        images
    }

    pub fn uids(&self) -> Vec<String> {
        let uid = |p: &Object| p["metadata"]["uid"].as_str().map(str::to_owned);
        self.server.pods.values().filter_map(uid).collect()
    }
}

/// Names of the claims that a Pod cannot start without.
fn awaited(pod: &Value) -> Vec<String> {
    let pod: Pod = Pod::deserialize(pod).unwrap();
    pod.awaited_claims()
        .map(|(_, claim)| claim.to_owned())
        .collect()
}

/// A plan with nothing to write is the same until it says to look again: `planner::Memo` answers
/// with it until then.
fn assert_it_lasts(snapshot: &mut Snapshot, plan: &Plan) {
    let last = match plan.wake_at {
        Some(at) => at - SignedDuration::from_nanos(1),
        None => snapshot.now + SignedDuration::from_hours(24),
    };
    snapshot.now = last.max(snapshot.now);
    let later = planner::clone_set::plan(snapshot);
    assert_eq!(
        *plan, later,
        "time alone changed it, and it did not say when"
    );
}

fn is_of_pod(effect: &Effect) -> bool {
    matches!(
        effect.request().resource,
        Resource::Pods | Resource::PodsStatus | Resource::PodsResize
    )
}
