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
use manager::cache::{Change, Key};
use manager::holds::{CREATION, Holds};
use manager::status;
use model::object::Object;
use model::server::Server;
use planner::effect::{Request, Resource, Verb};
use planner::status::{Outcome, with_outcome};
use planner::{Claim, Effect, Memo, Plan, Pod, Revision, Snapshot, claim};
use serde_json::Value;

use crate::judge::Promise;
use crate::mutation::Mutation;
use crate::stream::{Entry, Kind, Stream, state_at};
use crate::told::Told;

/// What the server said to a write, on its way back.
#[derive(Debug)]
pub(crate) enum Answer {
    Object(Object),
    Gone,
    /// A precondition failed.
    Stale,
    /// 429 or 5xx before anything was done.
    Refused(Option<Duration>),
    /// Nobody knows: what a read after the deadline finds.
    Unknown(Option<Object>),
}

/// An effect on its way.
pub(crate) enum Step {
    Due(Effect),
    Sent(Sent),
}

/// A write whose answer is on its way back.
pub(crate) struct Sent {
    pub(crate) effect: Effect,
    pub(crate) request: Request,
    pub(crate) answer: Answer,
}

impl Step {
    pub(crate) fn effect(&self) -> &Effect {
        match self {
            Self::Due(effect) | Self::Sent(Sent { effect, .. }) => effect,
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
    sets: Told<CloneSet>,
    pods: Told<Pod>,
    claims: Told<Claim>,
    revisions: Told<Revision>,
    /// The set as it was last checked.
    valid: Option<Valid<CloneSet>>,
    memo: Memo,
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

impl Controller {
    /// A process that has just read its lists.
    pub(crate) fn new(journal: &[Entry], mutation: Mutation) -> Self {
        let asked = Arc::new(AtomicBool::new(true));
        let mut new = Self {
            sets: Told::default(),
            pods: Told::default(),
            claims: Told::default(),
            revisions: Told::default(),
            valid: None,
            memo: Memo::default(),
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
                let is_orphan = change.owner_uid.is_none();
                if is_ours || (or_orphan && is_orphan) {
                    asked.store(true, Ordering::Relaxed);
                }
            }
        };
        self.sets.cache.subscribe(asks(&self.asked));
        self.pods.cache.subscribe(asks_owned(&self.asked, true));
        self.claims.cache.subscribe(asks_owned(&self.asked, false));
        let asked = Arc::clone(&self.asked);
        self.claims.cache.subscribe(move |change| {
            // All Pods that could miss it are ours.
            let mut pods = claim::namesakes(&change.key.name);
            if change.deleted && pods.any(|pod| pod.starts_with("web-")) {
                asked.store(true, Ordering::Relaxed);
            }
        });
        self.revisions
            .cache
            .subscribe(asks_owned(&self.asked, true));
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
            Kind::Set => self.sets.list(&state),
            Kind::Pod => self.pods.list(&state),
            Kind::Claim => self.claims.list(&state),
            Kind::Revision => self.revisions.list(&state),
        }
    }

    pub(crate) fn end_list(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        stream.is_listing = false;
        match stream.kind {
            Kind::Set => self.sets.end_list(),
            Kind::Pod => self.pods.end_list(),
            Kind::Claim => self.claims.end_list(),
            Kind::Revision => self.revisions.end_list(),
        }
    }

    pub(crate) fn tell(&mut self, entry: &Entry) {
        match entry.kind {
            Kind::Set => self.sets.tell(entry),
            Kind::Pod => self.pods.tell(entry),
            Kind::Claim => self.claims.tell(entry),
            Kind::Revision => self.revisions.tell(entry),
        }
    }

    /// Reads live what the watch keeps silent on, as the manager does every second.
    pub(crate) fn settle_overdue(&self, server: &Server) {
        self.pods.settle_overdue(&server.pods);
        self.claims.settle_overdue(&server.claims);
        self.revisions.settle_overdue(&server.revisions);
    }

    /// Own writes that no watch has told of.
    pub(crate) fn unconfirmed(&self) -> usize {
        let (pods, claims) = (&self.pods.cache, &self.claims.cache);
        pods.unconfirmed() + claims.unconfirmed() + self.revisions.cache.unconfirmed()
    }

    fn snapshot(&mut self, now: Timestamp, effects_max: usize) -> Option<Snapshot> {
        let set = self.sets.cache.get("shop", "web")?;
        let version = &set.metadata.resource_version;
        let is_known = |v: &Valid<CloneSet>| v.object().metadata.resource_version == *version;
        let set = self.valid.take().filter(is_known).unwrap_or_else(|| {
            let set = Valid::new((*set).clone()).map_err(|(_, errors)| errors);
            set.expect("the simulation writes sound specs")
        });
        let uid = set.object().metadata.uid.clone().unwrap_or_default();
        let uids = self.flights.iter().filter_map(|f| f.step.effect().uid());
        let pods = self.pods.cache.owned(&uid);
        let owners = std::iter::once(&*uid).chain(pods.iter().map(|pod| pod.uid()));
        let mut claims = self.claims.cache.owned_by_any(owners);
        let awaited = pods.iter().flat_map(|pod| pod.awaited_claims());
        claims.extend(awaited.filter_map(|(_, name)| self.claims.cache.get("shop", name)));
        claims.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        claims.dedup_by(|a, b| a.name() == b.name());
        let in_flight: BTreeSet<String> = uids.map(str::to_owned).collect();
        Some(Snapshot {
            now,
            set,
            orphans: self.pods.cache.orphans("shop"),
            claims,
            nodes: Vec::new(),
            pods,
            revisions: self.revisions.cache.owned(&uid),
            orphan_revisions: self.revisions.cache.orphans("shop"),
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
        let mut plan = self.memo.plan(&snapshot);
        plan.check().expect("the plan keeps its own budget");
        self.asked.store(false, Ordering::Relaxed);
        self.awaits = false;
        if !snapshot.in_flight.is_empty() && !plan.effects.iter().all(Effect::is_step) {
            // What is made or removed is decided from a view with no gaps in it.
            self.asked.store(true, Ordering::Relaxed);
            self.awaits = true;
            self.valid = Some(snapshot.set);
            return;
        }
        self.again_at = None;
        let mut status = plan.status.clone();
        self.mutation.bend(&mut status);
        let promise = Rc::new(promise(&snapshot, &plan));
        // A plan that is remembered, and so shared, has no effects.
        let effects = Arc::get_mut(&mut plan).map(|plan| std::mem::take(&mut plan.effects));
        let mut effects = effects.unwrap_or_default();
        for flight in &self.flights {
            flight.promise.renew(&promise);
        }
        if snapshot.held.contains_key(CREATION) {
            effects.retain(|effect| !effect.is_creation());
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
            status,
            old: object.status.clone().unwrap_or_default(),
            wake_at: plan.wake_at,
            set: object.metadata.clone(),
        });
        self.valid = Some(snapshot.set);
    }

    /// The answer to a flight comes in: it asks for another pass.
    pub(crate) fn land(&mut self, sent: Sent, now: Timestamp) {
        if !matches!(sent.answer, Answer::Stale) {
            self.asked.store(true, Ordering::Relaxed);
        }
        self.receive(sent, now);
    }

    /// What goes over the wire.
    pub(crate) fn request(&self, effect: &Effect) -> Request {
        let mut request = effect.request();
        self.mutation.strip(&mut request);
        request
    }

    /// An answer comes in.
    pub(crate) fn receive(&mut self, sent: Sent, now: Timestamp) {
        let Sent {
            effect,
            request,
            answer,
        } = sent;
        let held_as = effect.held_as();
        match answer {
            Answer::Object(object) => {
                self.learn(&request, &object);
                self.holds.succeeded(&key(), &held_as);
            }
            Answer::Gone => {
                self.gone(&request, &held_as);
                self.holds.succeeded(&key(), &held_as);
            }
            Answer::Stale => {
                if let Effect::CreateClaim { name, .. } = &effect {
                    let held_as = claim::held_as(name);
                    self.holds.failed(&key(), &held_as, claim::EXISTS, None);
                }
                self.stale(now);
            }
            Answer::Refused(asked) => {
                self.holds.failed(&key(), &held_as, "refused", asked);
            }
            Answer::Unknown(found) => {
                match found {
                    Some(object) => self.learn(&request, &object),
                    None => self.gone(&request, &held_as),
                }
                self.holds.failed(&key(), &held_as, "no answer", None);
            }
        }
    }

    /// The answer to a write of the status comes in.
    pub(crate) fn learn_set(&mut self, set: &Object) {
        self.sets.learn(set);
    }

    fn learn(&mut self, request: &Request, object: &Object) {
        if self.mutation.forgets_own_writes() {
            return;
        }
        match request.resource {
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize => {
                self.pods.learn(object);
            }
            Resource::Claims => self.claims.learn(object),
            Resource::ControllerRevisions => self.revisions.learn(object),
        }
    }

    fn gone(&self, request: &Request, uid: &str) {
        if self.mutation.forgets_own_writes() || request.verb == Verb::Create {
            return;
        }
        match request.resource {
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize => {
                self.pods.cache.observe_gone("shop", &request.name, uid);
            }
            Resource::Claims => self.claims.cache.observe_gone("shop", &request.name, uid),
            Resource::ControllerRevisions => {
                let revisions = &self.revisions.cache;
                revisions.observe_gone("shop", &request.name, uid);
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
        let outcome = Outcome::of(held);
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
    pub(crate) fn plan(&mut self, now: Timestamp) -> Option<(Plan, Arc<CloneSet>, Vec<Arc<Pod>>)> {
        let set = self.sets.cache.get("shop", "web")?;
        let snapshot = self.snapshot(now, 100)?;
        Some((planner::clone_set::plan(&snapshot), set, snapshot.pods))
    }
}
