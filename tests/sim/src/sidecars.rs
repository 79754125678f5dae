//! A SidecarSet on the Pods of the CloneSet: the door that injects it, the process that updates what was
//! injected, and whoever edits it. A Pod is in two hands then.

use std::collections::{BTreeMap, BTreeSet};

use apis::names;
use apis::sidecar_set::white_list::WhiteList;
use apis::{SidecarSet, Valid};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use manager::cache::Key;
use manager::holds::Holds;
use model::object::Object;
use model::server::Server;
use model::set::{self, Part};
use planner::effect::Resource;
use planner::sidecar_set::{Plan, Revision, Snapshot, plan};
use planner::{Effect, Pod};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::life::Trouble;
use crate::mutation::Mutation;
use crate::stream::{Kind, Stream};
use crate::told::Told;
use crate::world::World;

mod door;
pub(crate) mod judge;
mod users;

use judge::Judge;

/// The container that is injected.
const AGENT: &str = "agent";

pub(crate) struct Sidecars {
    rng: Rng,
    /// Every version of the set.
    versions: Vec<Object>,
    /// The places of those after which it was gone.
    gone: BTreeSet<usize>,
    /// The version that the process knows.
    known: usize,
    /// Its revisions are in a namespace of their own.
    revisions: Server,
    pods: Told<Pod>,
    stream: Stream,
    holds: Holds,
    /// What is left of a pass: effects, and the sum of Pods that they may take away.
    due: Vec<Effect>,
    most: usize,
    /// Whether the set asked in that pass to have Pods drained.
    drains: bool,
    is_asked: bool,
    again_at: Option<Timestamp>,
    judge: Judge,
    mutation: Mutation,
}

fn key() -> Key {
    Key::new("", "log")
}

/// As long as the manager waits after a view proved old.
const STALE_AGAIN: SignedDuration = SignedDuration::from_secs(1);

impl Sidecars {
    /// A set whose container is a native sidecar or not.
    pub(crate) fn new(seed: u64, mutation: Mutation, world: &mut World) -> Self {
        world.kubelet.injected.insert(AGENT.into());
        let mut rng = Rng::with_seed(seed.rotate_left(13));
        let mut spec = json!({"selector": {"matchLabels": {"app": "web"}}});
        let mut agent = json!({"name": AGENT, "image": "agent:1"});
        if rng.bool() {
            agent["restartPolicy"] = "Always".into();
            spec["initContainers"] = json!([agent]);
        } else {
            // Everybody else looks at the first container for what the set's template says.
            agent["podInjectPolicy"] = "AfterAppContainer".into();
            spec["containers"] = json!([agent]);
        }
        let set = json!({
            "apiVersion": "apps.kruise.io/v1beta1",
            "kind": "SidecarSet",
            "metadata": {"name": "log", "uid": "log-uid", "creationTimestamp": "2026-03-01T11:00:00Z"},
            "spec": spec,
        });
        let mut sidecars = Self {
            rng,
            versions: vec![set::create(set)],
            gone: BTreeSet::new(),
            known: 0,
            revisions: Server::default(),
            pods: Told::default(),
            stream: Stream::after_list(Kind::Pod, 0),
            holds: Holds::default(),
            due: Vec::new(),
            most: 0,
            drains: false,
            is_asked: true,
            again_at: None,
            judge: Judge::default(),
            mutation,
        };
        sidecars.start(world);
        sidecars
    }

    /// A new process reads its lists.
    fn start(&mut self, world: &World) {
        self.pods = Told::default();
        self.holds = Holds::default();
        self.due.clear();
        self.known = self.versions.len() - 1;
        self.list(world, world.journal.len());
        self.stream.is_listing = false;
        self.pods.end_list();
    }

    fn list(&mut self, world: &World, length: usize) {
        let state = crate::stream::state_at(&world.journal, Kind::Pod, length);
        self.stream = Stream::after_list(Kind::Pod, length);
        self.pods.list(&state);
        self.is_asked = true;
    }

    /// One thing happens, or nothing.
    pub(crate) fn step(&mut self, world: &mut World, trouble: Trouble) {
        match self.rng.u32(..24) {
            0..8 => self.deliver_one(world),
            8..16 => {
                self.act(world, trouble);
            }
            16 if trouble.edits => self.edit(world),
            17 if trouble.watches => {
                let (told, all) = (self.stream.told(), world.journal.len());
                let length = self.rng.usize(told..=all);
                self.list(world, length);
                world.tell(|| format!("sidecars: the list is {} changes old", all - length));
            }
            18 if trouble.crashes && self.rng.bool() => {
                // What was about to be written reaches the server, or does not.
                if self.rng.bool()
                    && let Some(effect) = self.due.pop()
                {
                    self.write(world, &effect, Trouble::none());
                }
                self.start(world);
                world.tell(|| "sidecars: CRASH, and a new process".into());
            }
            _ => {}
        }
    }

    fn deliver_one(&mut self, world: &World) {
        if self.stream.is_listing {
            self.stream.is_listing = false;
            self.pods.end_list();
        } else if self.known + 1 < self.versions.len() && self.rng.bool() {
            self.known += 1;
        } else if let Some(at) = self.stream.pop(&world.journal, &mut self.rng) {
            self.pods.tell(&world.journal[at]);
        }
        self.is_asked = true;
    }

    /// The watches tell everything.
    pub(crate) fn deliver_all(&mut self, world: &World) {
        if self.stream.is_listing {
            self.stream.is_listing = false;
            self.pods.end_list();
            self.is_asked = true;
        }
        while let Some(at) = self.stream.pop(&world.journal, &mut self.rng) {
            self.pods.tell(&world.journal[at]);
            self.is_asked = true;
        }
        if self.known + 1 < self.versions.len() {
            self.known = self.versions.len() - 1;
            self.is_asked = true;
        }
    }

    fn snapshot(&mut self, now: Timestamp) -> Snapshot {
        let set = Valid::new(decode(&self.versions[self.known])).map_err(|(_, errors)| errors);
        let mut all = self.pods.cache.owned("set-uid");
        all.extend(self.pods.cache.orphans("shop"));
        let is_injected = |pod: &Pod| {
            let list = pod.annotations().get(names::SIDECAR_LIST_ANNOTATION);
            list.is_some_and(|list| list.split(',').any(|name| name == "log"))
        };
        let (pods, without) = all.into_iter().partition(|pod| is_injected(pod));
        let revisions = self.revisions.revisions.values();
        let revisions = revisions.map(|r| Revision::deserialize(&**r).expect("it decodes"));
        Snapshot {
            now,
            set: set.expect("the simulation writes sound sets"),
            pods,
            without,
            namespaces: BTreeMap::new(),
            disruption_budgets: Vec::new(),
            revisions: revisions.map(Into::into).collect(),
            revision_namespace: "insitu-system".into(),
            white_list: WhiteList::nothing(),
            held: self.holds.held(&key()).0,
            effects_max: 100,
        }
    }

    /// One write, or a pass. Returns whether there was one.
    pub(crate) fn act(&mut self, world: &mut World, trouble: Trouble) -> bool {
        if let Some(effect) = self.due.pop() {
            self.write(world, &effect, trouble);
            return true;
        }
        let now = world.server.now;
        if !self.is_asked && self.again_at.is_none_or(|at| at > now) {
            return false;
        }
        self.is_asked = false;
        let snapshot = self.snapshot(now);
        if self.gone.contains(&self.known) {
            self.again_at = None;
            let pods = snapshot.pods.iter().map(|pod| &**pod);
            let released = planner::sidecar_set::release("log", pods, now);
            self.due = released.into_iter().map(|(_, effect)| effect).collect();
            return true;
        }
        let plan = plan(&snapshot);
        plan.check().expect("the plan keeps its own budget");
        self.again_at = plan.wake_at;
        if let (_, Some(until)) = self.holds.held(&key()) {
            self.again(now + until);
        }
        let max = snapshot.set.update.max_unavailable;
        let matched = u32::try_from(plan.pods.len()).unwrap_or(u32::MAX);
        self.most = max.budget_of(matched, apis::int_or_percent::Round::Up) as usize;
        self.drains = snapshot.set.update.mark_pod_not_ready;
        self.report(world, &plan);
        self.due = plan.effects.into_iter().map(|(_, effect)| effect).collect();
        self.rng.shuffle(&mut self.due);
        true
    }

    fn again(&mut self, at: Timestamp) {
        self.again_at = Some(self.again_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn report(&mut self, world: &mut World, plan: &Plan) {
        let last = self.versions.len() - 1;
        if self.known != last || self.gone.contains(&last) {
            self.again(world.server.now + STALE_AGAIN);
            return;
        }
        let status = serde_json::to_value(&plan.status).expect("a status is JSON");
        let new = set::change(&self.versions[last], Part::Status, |set| {
            set["status"] = status;
        });
        if !new.is(&self.versions[last]) {
            world.written += 1;
            self.versions.push(new);
            self.known += 1;
            world.tell(|| format!("sidecars: status, {:?}", plan.pods));
        }
    }

    fn write(&mut self, world: &mut World, effect: &Effect, trouble: Trouble) {
        let mut request = effect.request();
        self.mutation.strip_sidecars(&mut request);
        let now = world.server.now;
        if !matches!(request.resource, Resource::Pods | Resource::PodsStatus) {
            self.is_asked = true;
            world.written += 1;
            // Somebody else may have been there before, or it is gone.
            let _ = self.revisions.perform(&request);
            return;
        }
        let fault = if trouble.calls {
            self.rng.u32(..30)
        } else {
            99
        };
        if fault == 0 {
            self.holds
                .failed(&key(), &effect.held_as(), "refused", None);
            self.is_asked = true;
            return;
        }
        let before = world.read(&request);
        let answer = world.server.perform(&request);
        world.collect();
        world.tell(|| {
            let short: String = format!("{effect:?}").chars().take(60).collect();
            format!("sidecars: {short} -> {:?}", answer.as_ref().map(|_| ()))
        });
        match answer {
            Ok(after) => {
                world.written += 1;
                world.judge.observe(&world.server, false);
                let (Some(before), Some(after)) = (before, after) else {
                    panic!("a Pod is neither made nor removed: {effect:?}")
                };
                let promise = (self.most, self.drains);
                self.judge.check((&before, &after), promise, world);
                self.pods.learn(&after);
                if fault == 1 {
                    self.holds
                        .failed(&key(), &effect.held_as(), "no answer", None);
                } else {
                    self.holds.succeeded(&key(), &effect.held_as());
                }
                self.is_asked = true;
            }
            Err(refused) => {
                assert!(!refused.is_fault(), "{refused:?}: {effect:?}");
                self.again(now + STALE_AGAIN);
            }
        }
    }

    /// Reads live what the watch keeps silent on, as the manager does every second.
    pub(crate) fn settle_overdue(&self, server: &Server) {
        self.pods.settle_overdue(&server.pods);
    }

    /// When there is something to do, if nothing happens until then.
    pub(crate) fn again_at(&self) -> Option<Timestamp> {
        self.again_at
    }

    /// Whether it has anything to do now.
    pub(crate) fn is_asked(&self, now: Timestamp) -> bool {
        let is_due = self.again_at.is_some_and(|at| at <= now);
        self.is_asked || is_due || !self.due.is_empty() || self.pods.cache.unconfirmed() > 0
    }

    /// Nothing is left to do, and nobody has to look again.
    pub(crate) fn check_rest(&mut self, now: Timestamp) {
        let plan = plan(&self.snapshot(now));
        assert_eq!(plan.effects, [], "no rest of the sidecars");
        assert_eq!(plan.wake_at, None, "no rest of the sidecars");
        let status = serde_json::to_value(&plan.status).expect("a status is JSON");
        let there = &self.versions[self.versions.len() - 1]["status"];
        assert_eq!(status, *there, "no rest of the sidecars");
    }

    /// Every Pod that has the container has it with `image`, and that runs.
    pub(crate) fn check_end(world: &World, image: &str) {
        let injected = world
            .active()
            .into_iter()
            .filter_map(|pod| find(pod, AGENT));
        let images: BTreeSet<&str> = injected.filter_map(|c| c["image"].as_str()).collect();
        let wanted: BTreeSet<&str> = [image].into_iter().collect();
        assert!(images.is_subset(&wanted), "end of the sidecars: {images:?}");
    }
}

fn find<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    let lists = ["containers", "initContainers"].into_iter();
    let mut all = lists
        .filter_map(|list| pod["spec"][list].as_array())
        .flatten();
    all.find(|c| c["name"] == name)
}

fn decode(set: &Object) -> SidecarSet {
    SidecarSet::deserialize(&**set).expect("the model's objects decode")
}
