//! What must hold after every step, as the server sees it.
//!
//! A loss of traffic is ours if the step that caused it was a write of ours. A Pod that somebody
//! else took away counts as serving for as long as the pass could not know of it.

use std::cell::{Cell, Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apis::lifecycle::Lifecycle;
use apis::update_strategy::{PodUpdatePolicy, UpdateStrategyType};
use model::hooks;
use model::object::Object;
use model::server::{Server, claims_of};
use model::watchdog::{check_claims, is_active, is_ready, serves};
use planner::effect::{Request, Resource, Verb};
use planner::pod::Gate;
use planner::{Effect, Plan, Pod, Snapshot, budget};
use serde_json::Value;

use crate::sidecars::judge::is_ours as is_of_sidecars;

/// What a pass has promised, from what it knew.
pub(crate) struct Promise {
    floor: Cell<usize>,
    update_hash: String,
    /// Updated Pods there may be.
    updated_max: Cell<usize>,
    /// Pods there may be.
    active_max: usize,
    excludes: bool,
    in_place_only: bool,
    lifecycle: Option<Lifecycle>,
    /// The pass saw a rollout that is complete by its spec.
    pub(crate) is_complete: bool,
    /// Pods as the pass saw them.
    view: Vec<Arc<Pod>>,
}

/// What is asked of every Pod after every write, found once per version.
#[allow(clippy::struct_excessive_bools, reason = "each an answer of its own")]
struct Seen {
    pod: Object,
    is_ours: bool,
    is_active: bool,
    serves: bool,
    /// Whoever edits a Pod out of the selector takes it out of the count; warmers never were in it.
    is_selected: bool,
    /// A hook prepares it for deletion.
    leaves: bool,
}

impl Seen {
    fn of(pod: &Object) -> Self {
        Self {
            is_ours: is_ours(pod),
            is_active: is_active(pod),
            serves: serves(pod),
            is_selected: pod["metadata"]["labels"]["app"] == "web",
            leaves: hooks::label(pod) == "PreparingDelete",
            pod: pod.clone(),
        }
    }

    fn counts(&self) -> bool {
        self.is_ours && self.is_active && self.is_selected
    }
}

impl Promise {
    /// What is still under way was taken into account by a later pass, whose spec may allow more.
    pub(crate) fn renew(&self, later: &Self) {
        self.floor.set(self.floor.get().min(later.floor.get()));
        if self.update_hash == later.update_hash {
            let max = self.updated_max.get().max(later.updated_max.get());
            self.updated_max.set(max);
        }
    }
}

#[derive(Default)]
pub(crate) struct Judge {
    /// The Pods at the server, in its order, as they were when they were last looked at.
    seen: RefCell<Vec<Seen>>,
    /// Pods that were ours at some time, by UID.
    were_ours: RefCell<BTreeSet<String>>,
    serving: BTreeSet<String>,
    /// Pods that stopped serving, and whether by our doing.
    lost: BTreeMap<String, bool>,
    /// Pods without a gate that we patched: doomed, though they still look well.
    doomed: BTreeSet<String>,
    /// The revision that the partition keeps Pods at, by what was rightly reported.
    pub(crate) current: Option<String>,
    /// Names of claims that somebody deleted.
    pub(crate) taken: BTreeSet<String>,
    /// Claims of somebody else, by names that we would use.
    pub(crate) foreign: Vec<Object>,
    /// Two processes act at once: neither can know what the other one does.
    pub(crate) is_blurred: bool,
    /// Claims (UID) that one of two processes handed to somebody (UID) under a Pod that the other
    /// one had made on them.
    disputed: BTreeMap<String, String>,
}

pub(crate) fn is_ours(object: &Value) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    let mut owners = owners.into_iter().flatten();
    owners.any(|o| o["controller"] == true && o["uid"] == "set-uid")
}

fn has_controller(object: &Value) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners
        .into_iter()
        .flatten()
        .any(|o| o["controller"] == true)
}

pub(crate) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

fn hash(pod: &Value) -> &str {
    let label = pod["metadata"]["labels"]["controller-revision-hash"].as_str();
    let label = label.unwrap_or_default();
    label.rsplit('-').next().unwrap_or_default()
}

fn view_serves(pod: &Pod) -> bool {
    pod.is_active() && pod.is_ready() && !matches!(pod.gate(), Gate::Closed { .. })
}

impl Judge {
    pub(crate) fn promise(&self, s: &Snapshot, plan: &Plan, server: &Server) -> Promise {
        let replicas = s.set.replicas;
        let max = budget::max_unavailable(&s.set);
        let update = plan.status.update_revision.clone().unwrap_or_default();
        let update_hash = update.rsplit('-').next().unwrap_or_default().to_owned();
        let rolling = s.set.strategy == UpdateStrategyType::RollingUpdate;
        let partition = budget::partition(s.set.partition, replicas);
        let partition = if rolling { partition } else { 0 };
        let is_first = self.current.as_ref().is_none_or(|name| *name == update);
        let kept = if is_first { 0 } else { partition };
        let there = self.updated(server, &update_hash);
        let is_selected = |p: &&Arc<Pod>| p.labels().get("app").is_some_and(|app| app == "web");
        let active = s.pods.iter().filter(|p| p.is_active());
        let active: Vec<&Arc<Pod>> = active.filter(is_selected).collect();
        let at_update = |p: &&&Arc<Pod>| p.revision_hash() == Some(&update_hash);
        let new = active.iter().filter(at_update).count();
        Self::check_counts(plan, &active, &update_hash);
        let surge = budget::max_surge(&s.set);
        let excludes = s.set.exclude_preparing_delete;
        // All are to be updated: what stands in for them may be too.
        let beside = if kept == 0 { surge } else { 0 };
        Promise {
            floor: Cell::new(replicas.saturating_sub(max) as usize),
            updated_max: Cell::new(there.max((replicas - kept + beside) as usize)),
            active_max: self
                .counted(server, excludes)
                .max((replicas + surge) as usize),
            excludes,
            lifecycle: s.set.object().spec.lifecycle.clone(),
            in_place_only: s.set.policy == PodUpdatePolicy::InPlaceOnly,
            is_complete: partition == 0 && new == active.len() && new == replicas as usize,
            view: s.pods.clone(),
            update_hash,
        }
    }

    /// The status speaks of nothing that was not seen.
    fn check_counts(plan: &Plan, active: &[&Arc<Pod>], update_hash: &str) {
        let status = &plan.status;
        // A template that is not recorded yet leaves the counts as they were.
        // Nor is anything counted by whoever knows only an older spec than another process does.
        let is_behind = plan.effects.is_empty() && plan.pods.is_empty();
        if is_behind || plan.effects.iter().any(writes_revision) {
            return;
        }
        let count = |holds: &dyn Fn(&Pod) -> bool| {
            let n = active.iter().filter(|p| holds(p)).count();
            i32::try_from(n).unwrap_or(i32::MAX)
        };
        let is_new = |p: &Pod| p.revision_hash() == Some(update_hash);
        let sums = [
            ("updated", status.updated_replicas, count(&is_new)),
            ("ready", status.ready_replicas, count(&|p| view_serves(p))),
            ("available", status.available_replicas, count(&view_serves)),
            (
                "updatedReady",
                status.updated_ready_replicas,
                count(&|p| is_new(p) && view_serves(p)),
            ),
            (
                "updatedAvailable",
                status.updated_available_replicas,
                count(&|p| is_new(p) && view_serves(p)),
            ),
        ];
        for (what, said, seen) in sums {
            assert!(
                said <= seen,
                "status ahead: {what} is {said}, {seen} were seen"
            );
        }
    }

    /// The Pods at the server.
    fn seen(&self, server: &Server) -> Ref<'_, Vec<Seen>> {
        let mut seen = self.seen.borrow_mut();
        let mut were_ours = self.were_ours.borrow_mut();
        let mut look_at = |pod: &Object| {
            let seen = Seen::of(pod);
            if seen.is_ours {
                were_ours.insert(uid(pod).to_owned());
            }
            seen
        };
        seen.truncate(server.pods.len());
        for (index, pod) in server.pods.values().enumerate() {
            match seen.get_mut(index) {
                Some(known) if known.pod.is(pod) => {}
                Some(known) => *known = look_at(pod),
                None => seen.push(look_at(pod)),
            }
        }
        drop(seen);
        self.seen.borrow()
    }

    /// Pods that count, by the rule of the set on those that a hook prepares for deletion.
    fn counted(&self, server: &Server, excludes: bool) -> usize {
        let seen = self.seen(server);
        let counted = seen.iter().filter(|p| p.counts());
        counted.filter(|p| !(excludes && p.leaves)).count()
    }

    fn updated(&self, server: &Server, update_hash: &str) -> usize {
        let seen = self.seen(server);
        let counted = seen.iter().filter(|p| p.counts());
        // One that a hook prepares for deletion has made room for another already.
        let counted = counted.filter(|p| !p.leaves);
        counted.filter(|p| hash(&p.pod) == update_hash).count()
    }

    /// Takes in a step. Returns the Pods that stopped serving by it.
    pub(crate) fn observe(&mut self, server: &Server, by_us: bool) {
        let seen = self.seen(server);
        let serving = seen.iter().filter(|p| p.is_ours && p.serves);
        let now: BTreeSet<&str> = serving.map(|p| uid(&p.pod)).collect();
        if now.iter().eq(&self.serving) {
            return;
        }
        let now: BTreeSet<String> = now.into_iter().map(str::to_owned).collect();
        drop(seen);
        for lost in self.serving.difference(&now) {
            self.lost.insert(lost.clone(), by_us);
            self.doomed.remove(lost);
        }
        for back in now.difference(&self.serving) {
            self.lost.remove(back);
        }
        self.serving = now;
    }

    /// Judges one write that the server has just made. `before` is the object before it.
    pub(crate) fn check(
        &mut self,
        (effect, request): (&Effect, &Request),
        promise: &Promise,
        before: Option<&Value>,
        server: &Server,
    ) {
        let is_pod = matches!(
            request.resource,
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize
        );
        let after = server.read(request.resource, &request.name);
        let after = after.map(|object| &**object);
        let served = before.is_some_and(|b| self.serving.contains(uid(b)));
        if is_pod {
            self.check_drained(effect, before, after);
        }
        self.observe(server, true);
        if let Some(before) = before {
            assert_ne!(request.verb, Verb::Create, "created over something");
            self.check_owner(effect, promise, before, server);
        }
        // Another process may delete a claim that only this one has a use for.
        if !self.is_blurred && !self.lost_claims_to_others(effect) {
            check_claims(effect, server);
        }
        if let (Some(lifecycle), Some(before)) = (&promise.lifecycle, before) {
            hooks::check(lifecycle, effect, before);
        }
        if let (Some(before), Some(after)) = (before, after) {
            assert_eq!(uid(before), uid(after), "another Pod after {effect:?}");
        }
        if let Effect::DeletePod { why, .. } = effect {
            let replaces = why.contains("replaced");
            let breaks = promise.in_place_only && replaces;
            assert!(!breaks, "InPlaceOnly deletes nothing: {why}");
        }
        if self.is_blurred || !is_pod {
            return;
        }
        let took =
            before.is_some_and(|b| !self.serving.contains(uid(b)) || self.doomed.contains(uid(b)));
        // Whoever edits a Pod out of the selector wants it to go.
        if served && took && !matches!(effect, Effect::Release { .. }) {
            self.check_budget(effect, promise, server);
        }
        if matches!(effect, Effect::CreatePod { .. }) {
            let (there, max) = (self.counted(server, promise.excludes), promise.active_max);
            assert!(
                there <= max,
                "too many: {there} Pods, {max} allowed, after {effect:?}"
            );
        }
        let was_new = before.is_some_and(|b| is_active(b) && hash(b) == promise.update_hash);
        let is_new = after.is_some_and(|a| is_active(a) && hash(a) == promise.update_hash);
        if is_new && !was_new {
            let there = self.updated(server, &promise.update_hash);
            let max = promise.updated_max.get();
            assert!(
                there <= max,
                "partition broken: {there} updated Pods, {max} allowed, after {effect:?}"
            );
        }
    }

    /// No claim goes that a Pod stands on.
    pub(crate) fn check_claim(&self, name: &str, claim: &Value, is_gone: bool, server: &Server) {
        // Another process may delete a claim that only this one has a use for.
        if self.is_blurred || self.taken.contains(name) {
            return;
        }
        if !is_gone && claim["metadata"]["deletionTimestamp"].is_null() {
            return;
        }
        let heir = self.disputed.get(uid(claim));
        if let Some(pod) = user(name, server).filter(|_| heir.is_none_or(|h| h != owner(claim))) {
            panic!("claim lost: {name} of {}", pod["metadata"]["name"]);
        }
    }

    /// Only one process acts from now on. What two of them did to each other's claims may come to
    /// an end later: the garbage collector takes its time.
    pub(crate) fn clear(&mut self, server: &Server) {
        self.is_blurred = false;
        for (name, claim) in &server.claims {
            let is_anothers = |pod: &Object| ![uid(pod), "set-uid"].contains(&owner(claim));
            let leaves = !claim["metadata"]["deletionTimestamp"].is_null();
            if leaves || user(name, server).is_some_and(is_anothers) {
                let entry = (uid(claim).to_owned(), owner(claim).to_owned());
                self.disputed.extend([entry]);
            }
        }
    }

    /// Whether it makes a Pod whose claims somebody took away, which we need not know yet.
    fn lost_claims_to_others(&self, effect: &Effect) -> bool {
        let Effect::CreatePod { body, .. } = effect else {
            return false;
        };
        claims_of(body).any(|claim| self.taken.contains(claim))
    }

    /// At rest every Pod that is to stay has its claims, and what is somebody else's is as they made it.
    pub(crate) fn check_rest(&self, server: &Server) {
        for (name, pod) in &server.pods {
            // One that waits for nothing but to be deleted needs none.
            let leaves = model::hooks::label(pod) == "PreparingDelete";
            if is_ours(pod) && is_active(pod) && !leaves {
                let is_lost = |claim: &&str| !server.claims.contains_key(*claim);
                let lost = claims_of(pod).find(is_lost);
                assert_eq!(lost, None, "no rest: Pod {name} waits for a claim");
            }
        }
        for claim in &self.foreign {
            let name = claim["metadata"]["name"].as_str().unwrap_or_default();
            let there = server.claims.get(name);
            let same = there.is_some_and(|there| there.is(claim));
            assert!(same, "not ours: claim {name} was written to");
        }
    }

    fn check_budget(&self, effect: &Effect, promise: &Promise, server: &Server) {
        let mut left = self.serving.difference(&self.doomed).count();
        for pod in promise.view.iter().filter(|p| view_serves(p)) {
            let stands = self.serving.contains(pod.uid());
            // Gone without having been seen to stop: others did that.
            let by_others = self.lost.get(pod.uid()) == Some(&false);
            left += usize::from(!stands && by_others);
        }
        let floor = promise.floor.get();
        let all = server.pods.len();
        assert!(
            left >= floor,
            "budget broken: {left} of {all} Pods serve, {floor} have to, after {effect:?}"
        );
    }

    fn check_owner(&self, effect: &Effect, promise: &Promise, before: &Value, server: &Server) {
        let adopts = matches!(effect, Effect::Adopt { .. } | Effect::AdoptRevision { .. });
        if adopts {
            assert!(!has_controller(before), "stolen: {effect:?}");
        } else {
            assert!(
                is_ours(before) || self.is_of_ours(before, promise, server),
                "not ours: {effect:?}"
            );
        }
    }

    /// A claim that was handed to a Pod of ours, which may be gone by now, or another's since this
    /// process last heard of it.
    fn is_of_ours(&self, object: &Value, promise: &Promise, server: &Server) -> bool {
        let owner = &object["metadata"]["ownerReferences"][0];
        let uid = owner["uid"].as_str().unwrap_or_default();
        let was_ours = self.were_ours.borrow().contains(uid);
        let in_view = || promise.view.iter().any(|pod| pod.uid() == uid);
        let is_owner = |p: &&Object| p["metadata"]["uid"] == owner["uid"];
        owner["kind"] == "Pod"
            && match server.pods.values().find(is_owner) {
                Some(pod) => is_ours(pod) || (was_ours && in_view()),
                None => was_ours,
            }
    }

    fn check_drained(&mut self, effect: &Effect, before: Option<&Value>, after: Option<&Value>) {
        let (Some(before), Some(after)) = (before, after) else {
            return;
        };
        let (was, is) = (is_of_sidecars(before), is_of_sidecars(after));
        assert!(was == is, "gate of the sidecars: not ours: {effect:?}");
        if images(before) == images(after) {
            return;
        }
        assert!(!was, "in other hands: {effect:?}");
        if before["spec"]["readinessGates"].is_array() {
            assert!(
                !is_ready(before),
                "traffic on a restart: patched while it served: {effect:?}"
            );
        } else {
            self.doomed.insert(uid(before).to_owned());
        }
    }
}

/// Whose the claim is.
fn owner(claim: &Value) -> &str {
    let owner = claim["metadata"]["ownerReferences"][0]["uid"].as_str();
    owner.unwrap_or_default()
}

/// The Pod of ours that stands on the claim called `name`.
fn user<'a>(name: &str, server: &'a Server) -> Option<&'a Object> {
    let mut pods = server.pods.values().filter(|p| is_ours(p) && is_active(p));
    pods.find(|pod| claims_of(pod).any(|claim| claim == name))
}

fn images(pod: &Value) -> Vec<&Value> {
    let lists = ["containers", "initContainers"].into_iter();
    lists
        .filter_map(|list| pod["spec"][list].as_array())
        .flatten()
        .map(|c| &c["image"])
        .collect()
}

fn writes_revision(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::CreateRevision { .. }
            | Effect::RenumberRevision { .. }
            | Effect::AdoptRevision { .. }
    )
}
