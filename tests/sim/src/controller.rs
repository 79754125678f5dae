//! One process of the manager: its caches, its holds, and the pass that it is in the middle of.
//!
//! This is the pass of `manager/src/clone_set.rs` cut into its steps, so that anything may happen
//! between any two of them. Caches and holds are the manager's own.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apis::{CloneSet, CloneSetStatus, Valid};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;
use manager::cache::{CONFIRM_WITHIN, Cache, Change, Key};
use manager::holds::{CREATION, Holds};
use manager::status;
use model::server::Server;
use planner::effect::{Request, Resource, Verb};
use planner::status::{Outcome, with_outcome};
use planner::{Claim, Effect, Plan, Pod, Revision, Snapshot, claim};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::judge::Promise;
use crate::mutation::Mutation;
use crate::stream::{Entry, Kind, Stream, state_at};

/// What the server said to a write, on its way back.
#[derive(Debug)]
pub(crate) enum Answer {
    Object(Value),
    Gone,
    /// A precondition failed.
    Stale,
    /// 429 or 5xx before anything was done.
    Refused(Option<Duration>),
    /// Nobody knows: what a read after the deadline finds.
    Unknown(Option<Value>),
}

/// An effect on its way.
pub(crate) enum Step {
    Due(Effect),
    Sent(Effect, Answer),
}

impl Step {
    pub(crate) fn effect(&self) -> &Effect {
        match self {
            Self::Due(effect) | Self::Sent(effect, _) => effect,
        }
    }
}

/// A write that outlives the pass that began it.
pub(crate) struct Flight {
    pub(crate) step: Step,
    pub(crate) promise: Rc<Promise>,
}

/// A pass that was planned and is being carried out.
pub(crate) struct Pass {
    /// What it waits for.
    pub(crate) steps: Vec<Step>,
    pub(crate) promise: Rc<Promise>,
    pub(crate) status: CloneSetStatus,
    pub(crate) old: CloneSetStatus,
    set: ObjectMeta,
    pub(crate) wake_at: Option<Timestamp>,
}

pub(crate) struct Controller {
    pub(crate) sets: Cache<CloneSet>,
    pods: Cache<Pod>,
    claims: Cache<Claim>,
    revisions: Cache<Revision>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) holds: Holds,
    pub(crate) pass: Option<Pass>,
    pub(crate) flights: Vec<Flight>,
    /// The next pass begins when nothing is under way.
    awaits: bool,
    /// Look again then: the planner said so, something was refused, or is held until then.
    again_at: Option<Timestamp>,
    status_written: Option<Timestamp>,
    /// Something changed in the caches since the last pass began, as the manager is told it.
    asked: Arc<AtomicBool>,
    mutation: Mutation,
}

/// Counters alone are written no more often, as the manager does it.
const STATUS_PAUSE: SignedDuration = SignedDuration::from_millis(500);
/// As long as the manager waits after a view proved old.
const STALE_AGAIN: SignedDuration = SignedDuration::from_secs(1);

pub(crate) fn key() -> Key {
    Key::new("shop", "web")
}

fn event<K: DeserializeOwned>(entry: &Entry) -> Event<K> {
    let object = K::deserialize(&*entry.object).expect("the model's objects decode");
    if entry.deleted {
        Event::Delete(object)
    } else {
        Event::Apply(object)
    }
}

fn listed<K: DeserializeOwned>(entry: &Entry) -> Event<K> {
    Event::InitApply(K::deserialize(&*entry.object).expect("the model's objects decode"))
}

impl Controller {
    /// A process that has just read its lists.
    pub(crate) fn new(journal: &[Entry], mutation: Mutation) -> Self {
        let asked = Arc::new(AtomicBool::new(true));
        let mut new = Self {
            sets: Cache::new(|_| ()),
            pods: Cache::new(|_| ()),
            claims: Cache::new(|_| ()),
            revisions: Cache::new(|_| ()),
            streams: Vec::new(),
            holds: Holds::default(),
            pass: None,
            flights: Vec::new(),
            awaits: false,
            again_at: None,
            status_written: None,
            asked,
            mutation,
        };
        new.subscribe();
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            new.streams.push(Stream::after_list(kind, journal.len()));
            new.list(index, journal, journal.len());
            new.end_list(index);
        }
        new
    }

    /// A pass is asked for by what the manager lets ask for one.
    fn subscribe(&self) {
        let asks = |asked: &Arc<AtomicBool>| {
            let asked = Arc::clone(asked);
            move |_: &Change| asked.store(true, Ordering::Relaxed)
        };
        let asks_owned = |asked: &Arc<AtomicBool>, or_orphan: bool| {
            let asked = Arc::clone(asked);
            move |change: &Change| {
                let owners = [&change.owner_uid, &change.old_owner_uid];
                let is_ours = owners.into_iter().flatten().any(|uid| uid == "set-uid");
                let is_orphan = change.owner_uid.is_none() && !change.deleted;
                if is_ours || (or_orphan && is_orphan) {
                    asked.store(true, Ordering::Relaxed);
                }
            }
        };
        self.sets.subscribe(asks(&self.asked));
        self.pods.subscribe(asks_owned(&self.asked, true));
        self.claims.subscribe(asks_owned(&self.asked, false));
        self.revisions.subscribe(asks_owned(&self.asked, true));
    }

    /// Whether a pass would begin now.
    pub(crate) fn is_asked(&self, now: Timestamp) -> bool {
        let is_due = self.again_at.is_some_and(|at| at <= now);
        let waits = self.awaits && !self.flights.is_empty();
        !waits && (is_due || self.asked.load(Ordering::Relaxed))
    }

    /// When a pass will begin if nothing happens until then.
    pub(crate) fn again_at(&self) -> Option<Timestamp> {
        self.again_at
    }

    /// Looks again at `at`, or sooner.
    pub(crate) fn again(&mut self, at: Timestamp) {
        self.again_at = Some(self.again_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// The view proved old.
    pub(crate) fn stale(&mut self, now: Timestamp) {
        self.again(now + STALE_AGAIN);
    }

    /// The watch broke: the server lists what there was after `length` entries.
    pub(crate) fn list(&mut self, index: usize, journal: &[Entry], length: usize) {
        let kind = self.streams[index].kind;
        self.streams[index] = Stream::after_list(kind, length);
        let state = state_at(journal, kind, length);
        match kind {
            Kind::Set => begin(&self.sets, &state),
            Kind::Pod => begin(&self.pods, &state),
            Kind::Claim => begin(&self.claims, &state),
            Kind::Revision => begin(&self.revisions, &state),
        }
    }

    pub(crate) fn end_list(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        stream.is_listing = false;
        match stream.kind {
            Kind::Set => self.sets.event(Event::InitDone),
            Kind::Pod => self.pods.event(Event::InitDone),
            Kind::Claim => self.claims.event(Event::InitDone),
            Kind::Revision => self.revisions.event(Event::InitDone),
        }
    }

    pub(crate) fn tell(&self, entry: &Entry) {
        match entry.kind {
            Kind::Set => self.sets.event(event(entry)),
            Kind::Pod => self.pods.event(event(entry)),
            Kind::Claim => self.claims.event(event(entry)),
            Kind::Revision => self.revisions.event(event(entry)),
        }
    }

    /// Reads live what the watch keeps silent on, as the manager does every second.
    pub(crate) fn settle_overdue(&self, server: &Server) {
        for overdue in self.pods.overdue(CONFIRM_WITHIN) {
            let found = server.pods.get(&*overdue.key.name).map(decode);
            self.pods.resolve_live(&overdue.uid, found);
        }
        for overdue in self.claims.overdue(CONFIRM_WITHIN) {
            let found = server.claims.get(&*overdue.key.name).map(decode);
            self.claims.resolve_live(&overdue.uid, found);
        }
        for overdue in self.revisions.overdue(CONFIRM_WITHIN) {
            let found = server.revisions.get(&*overdue.key.name).map(decode);
            self.revisions.resolve_live(&overdue.uid, found);
        }
    }

    /// Own writes that no watch has told of.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.pods.unconfirmed() + self.claims.unconfirmed() + self.revisions.unconfirmed()
    }

    fn snapshot(&mut self, now: Timestamp, effects_max: usize) -> Option<Snapshot> {
        let set = self.sets.get("shop", "web")?;
        let set = Valid::new((*set).clone()).map_err(|(_, errors)| errors);
        let set = set.expect("the simulation writes sound specs");
        let uid = set.object().metadata.uid.clone().unwrap_or_default();
        let uids = self.flights.iter().filter_map(|f| f.step.effect().uid());
        let in_flight: BTreeSet<String> = uids.map(str::to_owned).collect();
        Some(Snapshot {
            now,
            set,
            pods: self.pods.owned(&uid),
            orphans: self.pods.orphans("shop"),
            claims: self.claims.owned(&uid),
            nodes: Vec::new(),
            revisions: self.revisions.owned(&uid),
            orphan_revisions: self.revisions.orphans("shop"),
            held: self.holds.held(&key()).0,
            effects_max: effects_max.saturating_sub(in_flight.len()),
            in_flight,
        })
    }

    /// Snapshot and plan. Effects are carried out in any order.
    pub(crate) fn begin_pass(
        &mut self,
        now: Timestamp,
        rng: &mut Rng,
        effects_max: usize,
        promise: impl FnOnce(&Snapshot, &Plan) -> Promise,
    ) {
        let Some(snapshot) = self.snapshot(now, effects_max) else {
            return;
        };
        let mut plan = planner::clone_set::plan(&snapshot);
        plan.check().expect("the plan keeps its own budget");
        self.asked.store(false, Ordering::Relaxed);
        self.awaits = false;
        if !snapshot.in_flight.is_empty() && !plan.effects.iter().all(Effect::is_step) {
            // What is made or removed is decided from a view with no gaps in it.
            self.asked.store(true, Ordering::Relaxed);
            self.awaits = true;
            return;
        }
        self.again_at = None;
        self.mutation.bend(&mut plan.status);
        let promise = Rc::new(promise(&snapshot, &plan));
        let mut effects = plan.effects;
        if snapshot.held.contains_key(CREATION) {
            effects.retain(|effect| {
                !matches!(
                    effect,
                    Effect::CreatePod { .. } | Effect::CreateClaim { .. }
                )
            });
        }
        rng.shuffle(&mut effects);
        let is_launched = effects.iter().all(Effect::is_step);
        let mut steps: Vec<Step> = effects.into_iter().map(Step::Due).collect();
        if is_launched {
            let flights = std::mem::take(&mut steps).into_iter().map(|step| Flight {
                step,
                promise: Rc::clone(&promise),
            });
            self.flights.extend(flights);
        }
        let object = snapshot.set.object();
        self.pass = Some(Pass {
            steps,
            promise,
            status: plan.status,
            old: object.status.clone().unwrap_or_default(),
            wake_at: plan.wake_at,
            set: object.metadata.clone(),
        });
    }

    /// The answer to a flight comes in: it asks for another pass.
    pub(crate) fn land(&mut self, effect: &Effect, answer: Answer, now: Timestamp) {
        if !matches!(answer, Answer::Stale) {
            self.asked.store(true, Ordering::Relaxed);
        }
        self.receive(effect, answer, now);
    }

    /// What goes over the wire.
    pub(crate) fn request(&self, effect: &Effect) -> Request {
        let mut request = effect.request();
        self.mutation.strip(&mut request);
        request
    }

    /// An answer comes in.
    pub(crate) fn receive(&mut self, effect: &Effect, answer: Answer, now: Timestamp) {
        // As the manager does: a warmer that is refused keeps no Pod from being made.
        let held_as = if let Effect::CreateWarmer { name, .. } = effect {
            name
        } else {
            effect.uid().unwrap_or(CREATION)
        };
        let held_as = held_as.to_owned();
        match answer {
            Answer::Object(object) => {
                self.learn(&effect.request(), &object);
                self.holds.succeeded(&key(), &held_as);
            }
            Answer::Gone => {
                self.gone(&effect.request(), &held_as);
                self.holds.succeeded(&key(), &held_as);
            }
            Answer::Stale => {
                if let Effect::CreateClaim { name, .. } = effect {
                    let held_as = claim::held_as(name);
                    self.holds
                        .failed(&key(), &held_as, "there is one already", None);
                }
                self.stale(now);
            }
            Answer::Refused(asked) => {
                self.holds.failed(&key(), &held_as, "refused", asked);
            }
            Answer::Unknown(found) => {
                match found {
                    Some(object) => self.learn(&effect.request(), &object),
                    None => self.gone(&effect.request(), &held_as),
                }
                self.holds.failed(&key(), &held_as, "no answer", None);
            }
        }
    }

    fn learn(&self, request: &Request, object: &Value) {
        if self.mutation.forgets_own_writes() {
            return;
        }
        match request.resource {
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize => {
                self.pods.observe_write(decode(object));
            }
            Resource::Claims => self.claims.observe_write(decode(object)),
            Resource::ControllerRevisions => self.revisions.observe_write(decode(object)),
        }
    }

    fn gone(&self, request: &Request, uid: &str) {
        if self.mutation.forgets_own_writes() || request.verb == Verb::Create {
            return;
        }
        match request.resource {
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize => {
                self.pods.observe_gone("shop", &request.name, uid);
            }
            Resource::Claims => self.claims.observe_gone("shop", &request.name, uid),
            Resource::ControllerRevisions => {
                self.revisions.observe_gone("shop", &request.name, uid);
            }
        }
    }

    /// The status of a pass that is through, with what failed, and the patch that writes it, where
    /// there is anything to write.
    pub(crate) fn report(
        &mut self,
        pass: &Pass,
        now: Timestamp,
    ) -> Option<(CloneSetStatus, Value)> {
        if let Some(at) = pass.wake_at {
            self.again(at);
        }
        let (held, until) = self.holds.held(&key());
        if let Some(until) = until.and_then(|until| SignedDuration::try_from(until).ok()) {
            self.again(now + until);
        }
        let mut outcome = Outcome::default();
        for (uid, error) in held.into_iter().filter(|(uid, _)| !claim::is_held_as(uid)) {
            let failed = match uid.as_str() {
                CREATION => &mut outcome.scale_error,
                _ => &mut outcome.update_error,
            };
            failed.get_or_insert(error);
        }
        let generation = pass.set.generation.unwrap_or_default();
        let status = with_outcome(pass.status.clone(), &outcome, generation, now);
        if status == pass.old {
            return None;
        }
        let next = self.status_written.map(|at| at + STATUS_PAUSE);
        if let Some(next) = next.filter(|next| *next > now)
            && !status::is_urgent(&pass.old, &status)
        {
            self.again(next);
            return None;
        }
        let mut patch = status::body(&pass.set, &pass.old, &status);
        self.mutation.strip_merge(&mut patch);
        Some((status, patch))
    }

    /// The status was written.
    pub(crate) fn status_written(&mut self, now: Timestamp) {
        self.status_written = Some(now);
    }

    /// What a pass would come to now.
    pub(crate) fn plan(&mut self, now: Timestamp) -> Option<(Plan, Arc<CloneSet>)> {
        let set = self.sets.get("shop", "web")?;
        let snapshot = self.snapshot(now, 100)?;
        Some((planner::clone_set::plan(&snapshot), set))
    }
}

fn begin<K>(cache: &Cache<K>, state: &[Entry])
where
    K: kube::Resource<DynamicType = ()> + Clone + Send + Sync + DeserializeOwned + 'static,
{
    cache.event(Event::Init);
    for entry in state {
        cache.event(listed(entry));
    }
}

pub(crate) fn decode<'a, K: Deserialize<'a>>(object: &'a Value) -> K {
    K::deserialize(object).expect("the model's objects decode")
}
