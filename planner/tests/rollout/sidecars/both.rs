//! A CloneSet and a SidecarSet on the same Pods, each with its own view of them, and users, kubelets
//! and both controllers in random order.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use apis::sidecar_set::white_list::WhiteList;
use apis::{SidecarSet, Valid, names};
use model::object::Object;
use model::watchdog::is_ready;
use model::world::World as Shop;
use planner::sidecar_set::{Plan, Revision, Snapshot, plan};
use planner::{Effect, Pod};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde::Deserialize;
use serde_json::{Value, json};

use super::world::sidecar_set;

thread_local! {
    /// What new Pods are given.
    static SET: RefCell<Value> = const { RefCell::new(Value::Null) };
}

fn valid(set: &Value) -> Valid<SidecarSet> {
    let set = SidecarSet::deserialize(set).unwrap();
    Valid::new(set).map_err(|(_, errors)| errors).unwrap()
}

/// The door.
fn inject(pod: &mut Value) {
    // It is asked about changes, too.
    if !pod["metadata"]["annotations"][names::SIDECAR_LIST_ANNOTATION].is_null() {
        return;
    }
    SET.with_borrow(|set| {
        let valid = valid(set);
        let sidecar = set["spec"]["containers"][0].clone();
        let containers = pod["spec"]["containers"].as_array_mut().unwrap();
        containers.push(sidecar);
        let entry = |hash: &str| {
            json!({"log": {"updateTimestamp": "2026-03-01T11:00:00Z", "hash": hash,
                "sidecarSetName": "log", "sidecarList": ["agent"]}})
            .to_string()
        };
        let annotations = &mut pod["metadata"]["annotations"];
        if annotations.is_null() {
            *annotations = json!({});
        }
        annotations[names::SIDECAR_HASH_ANNOTATION] = entry(&valid.hash).into();
        annotations[names::SIDECAR_HASH_WITHOUT_IMAGE_ANNOTATION] =
            entry(&valid.hash_without_image).into();
        annotations[names::SIDECAR_LIST_ANNOTATION] = "log".into();
    });
}

struct Both {
    shop: Shop,
    set: Value,
    /// Pods as the SidecarSet's controller sees them.
    view: BTreeMap<String, Object>,
}

impl Both {
    fn running(replicas: u32) -> Self {
        let set = sidecar_set(&json!({}));
        SET.set(set.clone());
        let rolling = json!({"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 1});
        let mut shop = Shop::new(replicas, &rolling);
        shop.server.admission = Some(inject);
        shop.settle();
        let mut both = Self {
            shop,
            set,
            view: BTreeMap::new(),
        };
        both.settle();
        both
    }

    fn agent(&mut self, image: &str) {
        self.set["spec"]["containers"][0]["image"] = image.into();
        let generation = self.set["metadata"]["generation"].as_i64().unwrap() + 1;
        self.set["metadata"]["generation"] = generation.into();
        SET.set(self.set.clone());
    }

    fn drains(&mut self, drains: bool) {
        self.set["spec"]["updateStrategy"]["markPodNotReady"] = drains.into();
        let generation = self.set["metadata"]["generation"].as_i64().unwrap() + 1;
        self.set["metadata"]["generation"] = generation.into();
    }

    /// A pass over the CloneSet, which opens no gate that the SidecarSet closed.
    fn reconcile_shop(&mut self) -> usize {
        let before = self.shop.server.pods.clone();
        let written = self.shop.reconcile();
        for (name, pod) in &self.shop.server.pods {
            let before = before.get(name).map(|pod| closer(pod));
            let was_ours = before == Some(Some(names::REASON_START_SIDECAR_UPDATE));
            assert!(!was_ours || closer(pod).is_some(), "opened: {pod:?}");
        }
        written
    }

    fn plan(&self) -> Plan {
        let is_of_set = |r: &&Object| r["metadata"]["labels"][names::SIDECAR_SET_LABEL] == "log";
        let revisions = self.shop.server.revisions.values().filter(is_of_set);
        let plan = plan(&Snapshot {
            now: self.shop.server.now,
            set: valid(&self.set),
            pods: self
                .view
                .values()
                .map(|pod| Arc::new(Pod::deserialize(&**pod).unwrap()))
                .collect(),
            without: Vec::new(),
            namespaces: BTreeMap::new(),
            disruption_budgets: Vec::new(),
            revisions: revisions
                .map(|r| Arc::new(Revision::deserialize(&**r).unwrap()))
                .collect(),
            revision_namespace: "insitu-system".into(),
            white_list: WhiteList::nothing(),
            held: BTreeMap::new(),
            effects_max: 100,
        });
        plan.check().unwrap();
        plan
    }

    /// A pass over the SidecarSet. Returns how much it wrote.
    fn reconcile(&mut self) -> usize {
        let plan = self.plan();
        let mut written = 0;
        for (_, effect) in &plan.effects {
            let name = effect.name().to_owned();
            let before = self.shop.server.pods.get(&name).cloned();
            match self.shop.server.perform(&effect.request()) {
                Err(refused) => assert!(!refused.is_fault(), "{refused:?}: {effect:?}"),
                Ok(answer) => {
                    written += 1;
                    if let Some(before) = before.filter(|_| effect.uid().is_some()) {
                        assert_not_busy(&before);
                        let drains = self.set["spec"]["updateStrategy"]["markPodNotReady"] == true;
                        let patches =
                            matches!(effect, Effect::PatchPod { images, .. } if !images.is_empty());
                        assert!(!(drains && patches && is_ready(&before)), "{before:?}");
                        self.view.insert(name, answer.unwrap());
                    }
                }
            }
        }
        let status = serde_json::to_value(&plan.status).unwrap();
        written += usize::from(self.set["status"] != status);
        self.set["status"] = status;
        written
    }

    /// The model minds that a container stops in a Pod that serves. Here sidecars do.
    fn kubelets(&mut self) -> bool {
        for pod in self.shop.server.pods.values() {
            let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
            self.shop.kubelet.excused.insert(uid);
        }
        self.shop.kubelet_round()
    }

    fn down(&self) -> usize {
        let pods = self.shop.server.pods.values();
        pods.filter(|pod| !is_ready(pod)).count()
    }

    fn settle(&mut self) {
        for _ in 0..500 {
            self.shop.tick();
            self.shop.observe();
            let mut wrote = self.reconcile_shop();
            self.view = self.shop.server.pods.clone();
            wrote += self.reconcile();
            let moved = self.kubelets();
            self.view = self.shop.server.pods.clone();
            let waits = self.plan().wake_at.is_some() || self.shop.plan().wake_at.is_some();
            if wrote == 0 && !moved && !waits {
                return;
            }
        }
        panic!(
            "does not settle: {:#} {:#}",
            self.shop.set["status"], self.set["status"]
        );
    }

    fn images(&self) -> Vec<(String, String)> {
        let image = |pod: &Value, n: usize| {
            let image = &pod["spec"]["containers"][n]["image"];
            image.as_str().unwrap().to_owned()
        };
        let pods = self.shop.server.pods.values();
        pods.map(|pod| (image(pod, 0), image(pod, 1))).collect()
    }
}

/// Its workload is not in the middle of anything with it, whatever the controller's view was.
fn assert_not_busy(pod: &Value) {
    let closer = closer(pod);
    let ours = [None, Some(names::REASON_START_SIDECAR_UPDATE)];
    assert!(ours.contains(&closer), "{pod:#}");
}

/// The reason of a gate that is not open.
fn closer(pod: &Value) -> Option<&str> {
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    let gate = conditions
        .iter()
        .find(|c| c["type"] == names::IN_PLACE_READY_CONDITION);
    let gate = gate.filter(|gate| gate["status"] != "True")?;
    Some(gate["reason"].as_str().unwrap_or("not open"))
}

#[derive(Clone, Debug)]
enum Event {
    Web(&'static str),
    Agent(&'static str),
    Drains(bool),
    Kubelet(usize),
    Kubelets,
    CloneSet,
    SidecarSet,
    CloneSetSees,
    SidecarSetSees,
    Tick,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let web = prop::sample::select(vec!["web:1", "web:2", "web:3", "web:bad", "web:crash"]);
    let agent = prop::sample::select(vec!["agent:1", "agent:2", "agent:bad", "agent:crash"]);
    let event = prop_oneof![
        1 => web.prop_map(Event::Web),
        1 => agent.prop_map(Event::Agent),
        1 => any::<bool>().prop_map(Event::Drains),
        4 => (0..9usize).prop_map(Event::Kubelet),
        2 => Just(Event::Kubelets),
        4 => Just(Event::CloneSet),
        4 => Just(Event::SidecarSet),
        3 => Just(Event::CloneSetSees),
        3 => Just(Event::SidecarSetSees),
        2 => Just(Event::Tick),
    ];
    prop::collection::vec(event, 0..120)
}

fn play(both: &mut Both, event: &Event) {
    match event {
        Event::Web(image) => both.shop.set_image(image),
        Event::Agent(image) => both.agent(image),
        Event::Drains(drains) => both.drains(*drains),
        Event::Kubelet(n) => {
            let names: Vec<String> = both.shop.server.pods.keys().cloned().collect();
            let name = &names[n % names.len()];
            let uid = both.shop.server.pods[name]["metadata"]["uid"].clone();
            let uid = uid.as_str().unwrap().to_owned();
            both.shop.kubelet.excused.insert(uid);
            both.shop.kubelet.sync(&mut both.shop.server, name);
        }
        Event::Kubelets => drop(both.kubelets()),
        Event::CloneSet => drop(both.reconcile_shop()),
        Event::SidecarSet => drop(both.reconcile()),
        Event::CloneSetSees => both.shop.observe(),
        Event::SidecarSetSees => both.view = both.shop.server.pods.clone(),
        Event::Tick => both.shop.tick(),
    }
}

proptest! {
    #![proptest_config(Config {
        rng_seed: RngSeed::Fixed(6),
        failure_persistence: None,
        ..Config::with_cases(40)
    })]

    /// Whatever happens in which order, no sidecar is changed in a Pod that its workload has taken
    /// out of its Services, and in the end each gets what it wants in the same Pods.
    #[test]
    fn two_controllers_share_their_pods(events in events()) {
        let mut both = Both::running(4);
        let uids = both.shop.uids();
        for event in &events {
            play(&mut both, event);
        }
        both.shop.set_image("web:9");
        both.agent("agent:9");
        both.settle();
        let wanted = ("web:9".to_owned(), "agent:9".to_owned());
        prop_assert_eq!(both.images(), vec![wanted; 4]);
        prop_assert_eq!(both.shop.uids(), uids);
        prop_assert_eq!(both.down(), 0);
    }
}

/// Each looks before it acts, so one budget is as good as both of them.
#[test]
fn as_long_as_they_see_what_there_is_no_more_pods_are_down_than_one_of_them_may_take() {
    for drains in [false, true] {
        let mut both = Both::running(4);
        both.drains(drains);
        both.roll_out();
    }
}

impl Both {
    fn roll_out(&mut self) {
        let both = self;
        both.shop.set_image("web:2");
        both.agent("agent:2");
        for _ in 0..200 {
            both.shop.tick();
            both.shop.observe();
            both.shop.reconcile();
            both.view = both.shop.server.pods.clone();
            both.reconcile();
            both.kubelets();
            assert!(both.down() <= 1, "{} Pods are down", both.down());
        }
        let wanted = ("web:2".to_owned(), "agent:2".to_owned());
        assert_eq!(both.images(), vec![wanted; 4]);
    }
}
