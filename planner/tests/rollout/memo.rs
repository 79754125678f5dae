//! A remembered decision is the decision that would be taken: whatever happens to Pods, to the set
//! and to the clock, [`Memo`] says what [`planner::clone_set::plan`] says of Pods that are kin of none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apis::{CloneSet, Valid};
use jiff::{SignedDuration, Timestamp};
use planner::pod::Kins;
use planner::{Memo, Pod, Revision, Snapshot};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde::Deserialize;
use serde_json::{Value, json};

/// What happens between two passes.
#[derive(Clone, Debug)]
enum Event {
    /// Nothing, but another snapshot of the same objects.
    Nothing,
    /// Seconds pass; a negative number is a clock that was set back.
    Time(i64),
    /// The watch tells of a Pod.
    Pod(usize, Look),
    /// A write to a Pod failed, or its back-off is over.
    Hold(usize),
    /// The status is written.
    Report,
    /// A Pod is gone, or is there again.
    Come(usize),
    /// A Pod loses a label that the selector asks for, or may ask for.
    Stray(usize, bool),
    /// Somebody changes a Pod's image by hand.
    Edit(usize),
    /// Somebody annotates a Pod with what one of three templates says.
    Note(usize, usize),
    /// The template changes to one of three.
    Template(usize),
    /// The selector changes, which no API server allows.
    Selector(bool),
}

/// How a Pod looks.
#[allow(clippy::struct_excessive_bools, reason = "any of them with any other")]
#[derive(Clone, Copy, Debug)]
struct Look {
    is_new: bool,
    is_ready: bool,
    /// Its gate is open.
    is_open: bool,
    /// Its container cannot be started, a moment after it was patched.
    is_broken: bool,
    /// Since how many seconds all of that.
    age: u32,
}

const NAMES: [&str; 3] = ["web-old", "web-new", "web-third"];

const SERVES: Look = Look {
    is_new: true,
    is_ready: true,
    is_open: true,
    is_broken: false,
    age: 100,
};

fn look() -> impl Strategy<Value = Look> {
    let flag = |often| prop::bool::weighted(often);
    (flag(0.8), flag(0.9), flag(0.9), flag(0.1), 0..30u32).prop_map(
        |(is_new, is_ready, is_open, is_broken, age)| Look {
            is_new,
            is_ready,
            is_open,
            is_broken,
            age,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Nothing),
        4 => (-3..12i64).prop_map(Event::Time),
        1 => (0..4usize, look()).prop_map(|(n, look)| Event::Pod(n, look)),
        1 => (0..4usize).prop_map(Event::Hold),
        4 => Just(Event::Report),
        1 => (0..4usize).prop_map(Event::Come),
        1 => (0..4usize, any::<bool>()).prop_map(|(n, all)| Event::Stray(n, all)),
        1 => (0..4usize).prop_map(Event::Edit),
        1 => (0..4usize, 0..3usize).prop_map(|(n, name)| Event::Note(n, name)),
        1 => (0..3usize).prop_map(Event::Template),
        1 => prop::bool::weighted(0.2).prop_map(Event::Selector),
    ]
}

struct World {
    now: Timestamp,
    set: Value,
    pods: Vec<Arc<Pod>>,
    revisions: Vec<Arc<Revision>>,
    held: BTreeMap<String, String>,
}

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web", "track": "stable"}, "annotations": {"note": image}},
        "spec": {"containers": [{"name": "main", "image": image}]}})
}

fn revision(name: &str, number: i64) -> Arc<Revision> {
    let metadata = serde_json::from_value(json!({"name": name})).unwrap();
    Arc::new(Revision::new(metadata, number, template(name)))
}

fn pod(n: usize, look: Look, now: Timestamp) -> Arc<Pod> {
    let word = |yes| if yes { "True" } else { "False" };
    let revision = if look.is_new { "web-new" } else { "web-old" };
    let since = now - SignedDuration::from_secs(look.age.into());
    let state = if look.is_broken {
        json!({"waiting": {"reason": "ErrImagePull"}})
    } else {
        json!({"running": {}})
    };
    let mut annotations = json!({"note": revision});
    if look.is_broken {
        let record = json!({"revision": revision, "updateTimestamp": since, "generation": 1,
            "lastContainerStatuses": {"main": {"imageID": "y", "containerID": "x"}}});
        annotations["apps.kruise.io/inplace-update-state"] = record.to_string().into();
    }
    let pod = json!({
        "metadata": {"name": format!("web-{n}"), "uid": n.to_string(), "generation": 2,
            "annotations": annotations,
            "labels": {"app": "web", "track": "stable", "controller-revision-hash": revision}},
        "spec": {"nodeName": "n", "readinessGates": [{"conditionType": "InPlaceUpdateReady"}],
            "containers": [{"name": "main", "image": revision}]},
        "status": {"phase": "Running", "observedGeneration": 2, "conditions": [
                {"type": "InPlaceUpdateReady", "status": word(look.is_open),
                    "lastTransitionTime": since},
                {"type": "Ready", "status": word(look.is_ready && look.is_open),
                    "lastTransitionTime": since}],
            "containerStatuses": [{"name": "main", "containerID": "x", "imageID": "y",
                "state": state}]},
    });
    Arc::new(serde_json::from_value(pod).unwrap())
}

impl World {
    fn new(partition: u32, min_ready: u32, grace: u32) -> Self {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let rolling = json!({"partition": partition, "maxUnavailable": 1,
            "podUpdatePolicy": "InPlaceIfPossible",
            "inPlaceUpdateStrategy": {"gracePeriodSeconds": grace}});
        Self {
            now,
            set: json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
                "metadata": {"name": "web", "namespace": "shop", "uid": "set", "generation": 1,
                    "resourceVersion": "1"},
                "spec": {"replicas": 4, "minReadySeconds": min_ready,
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": template("web-new"), "updateStrategy": {"rollingUpdate": rolling}},
                "status": {"currentRevision": "web-old", "updateRevision": "web-new"}}),
            pods: (0..4).map(|n| pod(n, SERVES, now)).collect(),
            revisions: vec![revision("web-old", 1), revision("web-new", 2)],
            held: BTreeMap::new(),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let set = CloneSet::deserialize(&self.set).unwrap();
        Snapshot {
            now: self.now,
            set: Valid::new(set).map_err(|(_, errors)| errors).unwrap(),
            pods: self.pods.clone(),
            orphans: Vec::new(),
            claims: Vec::new(),
            nodes: Vec::new(),
            revisions: self.revisions.clone(),
            orphan_revisions: Vec::new(),
            held: self.held.clone(),
            in_flight: BTreeSet::new(),
            effects_max: 100,
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Nothing => {}
            Event::Time(seconds) => self.now += SignedDuration::from_secs(*seconds),
            Event::Pod(n, look) => {
                if let Ok(there) = self.place(*n) {
                    self.pods[there] = pod(*n, *look, self.now);
                }
            }
            Event::Hold(n) => {
                if self.held.remove(&n.to_string()).is_none() {
                    self.held.insert(n.to_string(), "refused".into());
                }
            }
            Event::Report => self.report(),
            Event::Come(n) => match self.place(*n) {
                Ok(there) => drop(self.pods.remove(there)),
                Err(missing) => self.pods.insert(missing, pod(*n, SERVES, self.now)),
            },
            Event::Stray(n, all) => self.change(*n, |pod| {
                let label = if *all { "app" } else { "track" };
                pod["metadata"]["labels"][label] = "x".into();
            }),
            Event::Edit(n) => self.change(*n, |pod| {
                pod["metadata"]["generation"] = 3.into();
                pod["spec"]["containers"][0]["image"] = "other".into();
            }),
            Event::Note(n, name) => self.change(*n, |pod| {
                pod["metadata"]["annotations"]["note"] = NAMES[*name].into();
            }),
            Event::Template(n) => {
                let name = NAMES[*n];
                self.set["spec"]["template"] = template(name);
                self.renew();
                self.revisions.retain(|r| r.name() != name);
                let newest = self.revisions.iter().map(|r| r.number).max();
                self.revisions
                    .push(revision(name, newest.unwrap_or_default() + 1));
            }
            Event::Selector(is_narrow) => {
                self.renew();
                self.set["spec"]["selector"]["matchLabels"] = if *is_narrow {
                    json!({"track": "stable"})
                } else {
                    json!({"app": "web"})
                };
            }
        }
    }

    /// Where Pod `n` is in the list, or would be.
    fn place(&self, n: usize) -> Result<usize, usize> {
        let name = format!("web-{n}");
        self.pods.binary_search_by(|pod| pod.name().cmp(&name))
    }

    fn change(&mut self, n: usize, change: impl FnOnce(&mut Value)) {
        if let Ok(there) = self.place(n) {
            let mut pod = serde_json::to_value(&*self.pods[there]).unwrap();
            change(&mut pod);
            self.pods[there] = Arc::new(serde_json::from_value(pod).unwrap());
        }
    }

    /// The set is written.
    fn renew(&mut self) {
        let version = self.set["metadata"]["resourceVersion"].as_str().unwrap();
        let version: u32 = version.parse().unwrap();
        self.set["metadata"]["resourceVersion"] = (version + 1).to_string().into();
    }

    fn report(&mut self) {
        let status = planner::clone_set::plan(&self.snapshot()).status;
        let status = serde_json::to_value(status).unwrap();
        if self.set["status"] != status {
            self.set["status"] = status;
            self.renew();
        }
    }
}

/// Pods as the manager keeps them: each is introduced to the others, once.
#[derive(Default)]
struct Kept {
    kins: Kins,
    pods: Vec<(Arc<Pod>, Arc<Pod>)>,
}

impl Kept {
    fn of(&mut self, pods: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
        let kept = pods.iter().map(|pod| {
            let mut kept = self.pods.iter();
            if let Some((_, kept)) = kept.find(|(known, _)| Arc::ptr_eq(known, pod)) {
                return Arc::clone(kept);
            }
            let mut own = Pod::clone(pod);
            self.kins.introduce(&mut own);
            let own = Arc::new(own);
            self.pods.push((Arc::clone(pod), Arc::clone(&own)));
            own
        });
        kept.collect()
    }
}

proptest! {
    #![proptest_config(Config {
        cases: 300,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    })]

    #[test]
    fn what_is_remembered_is_what_would_be_decided(
        shape in (0..4u32, 0..15u32, 0..10u32),
        events in prop::collection::vec(event(), 1..25),
    ) {
        let mut world = World::new(shape.0, shape.1, shape.2);
        let mut memo = Memo::default();
        let mut kept = Kept::default();
        for event in events {
            world.happen(&event);
            let snapshot = world.snapshot();
            let known = Snapshot { pods: kept.of(&world.pods), ..world.snapshot() };
            prop_assert_eq!(&*memo.plan(&known), &planner::clone_set::plan(&snapshot));
        }
    }
}

#[test]
fn a_set_at_rest_is_decided_about_once() {
    let mut world = World::new(0, 0, 0);
    let mut memo = Memo::default();
    let unreported = memo.plan(&world.snapshot());
    assert!(!Arc::ptr_eq(&unreported, &memo.plan(&world.snapshot())));
    world.report();
    let first = memo.plan(&world.snapshot());
    world.now += SignedDuration::from_hours(1);
    assert!(Arc::ptr_eq(&first, &memo.plan(&world.snapshot())));
    world.pods[2] = pod(2, SERVES, world.now);
    assert!(!Arc::ptr_eq(&first, &memo.plan(&world.snapshot())));
}

#[test]
fn a_pod_that_becomes_available_is_seen_when_its_time_has_come() {
    let mut world = World::new(0, 10, 0);
    world.pods[0] = pod(0, Look { age: 4, ..SERVES }, world.now);
    world.report();
    let mut memo = Memo::default();
    let waits = memo.plan(&world.snapshot());
    world.now += SignedDuration::from_secs(5);
    assert!(Arc::ptr_eq(&waits, &memo.plan(&world.snapshot())));
    world.now += SignedDuration::from_secs(1);
    assert_eq!(memo.plan(&world.snapshot()).status.available_replicas, 4);
}
