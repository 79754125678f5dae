//! What must hold after every single write, as the model server sees it.

use apis::lifecycle::Lifecycle;
use apis::{CloneSet, Valid};
use planner::effect::{Effect, Resource};
use planner::{Plan, budget};
use serde_json::Value;

use crate::hooks;
use crate::object::Object;
use crate::server::{Server, claims_of};

/// Promises of the set as they stood when a pass began.
pub struct Watchdog {
    floor: usize,
    active_max: usize,
    excludes: bool,
    updated_max: usize,
    update_hash: String,
    in_place_only: bool,
    lifecycle: Lifecycle,
}

impl Watchdog {
    pub fn new(set: &Valid<CloneSet>, plan: &Plan, server: &Server) -> Self {
        let replicas = set.replicas;
        let max = budget::max_unavailable(set);
        let surge = budget::max_surge(set);
        let update = plan.status.update_revision.clone().unwrap_or_default();
        let current = plan.status.current_revision.clone().unwrap_or_default();
        let update_hash = update.rsplit('-').next().unwrap().to_owned();
        let rolling = set.strategy == apis::update_strategy::UpdateStrategyType::RollingUpdate;
        // One revision alone has no Pods to keep from another.
        let partition = if rolling && update != current {
            budget::partition(set.partition, replicas)
        } else {
            0
        };
        let updated = count(server, |pod| counts_as_updated(pod, &update_hash));
        let in_place_only = set.policy == apis::update_strategy::PodUpdatePolicy::InPlaceOnly;
        Self {
            floor: replicas.saturating_sub(max) as usize,
            active_max: (replicas + surge) as usize,
            excludes: set.exclude_preparing_delete,
            updated_max: updated.max(match partition {
                // All are to be updated: what stands in for them may be too.
                0 => (replicas + surge) as usize,
                partition => (replicas - partition) as usize,
            }),
            update_hash,
            in_place_only,
            lifecycle: set.lifecycle.clone(),
        }
    }

    /// `view` is what the planner knew of the Pods when it asked for `effect`, its own writes
    /// included; `before` is the Pod at the server before the write, `after` is all of it after.
    pub fn check(&self, effect: &Effect, view: &[&Object], before: Option<&Value>, after: &Server) {
        let name = effect.name();
        if let Some(pod) = view.iter().find(|p| p["metadata"]["name"] == name) {
            self.check_budget(effect, pod, view);
        }
        if matches!(effect, Effect::PatchPod { .. } | Effect::CreatePod { .. }) {
            let updated = count(after, |p| counts_as_updated(p, &self.update_hash));
            assert!(
                updated <= self.updated_max,
                "{updated} updated Pods, {} allowed, after {effect:?}",
                self.updated_max
            );
        }
        if matches!(effect, Effect::CreatePod { .. }) {
            let leaves = |p: &Value| {
                let state = &p["metadata"]["labels"]["lifecycle.apps.kruise.io/state"];
                self.excludes && state == "PreparingDelete"
            };
            let active = count(after, |p| is_active(p) && !leaves(p));
            assert!(active <= self.active_max, "{active} Pods after {effect:?}");
        }
        if let Some(before) = before {
            hooks::check(&self.lifecycle, effect, before);
        }
        check_claims(effect, after);
        if effect.request().resource == Resource::Pods {
            check_drained(before, after.pods.get(name).map(|pod| &**pod));
        }
        if let Effect::DeletePod { why, .. } = effect {
            let replaces = why.contains("replaced");
            assert!(
                !(self.in_place_only && replaces),
                "InPlaceOnly deletes nothing: {why}"
            );
        }
    }

    fn check_budget(&self, effect: &Effect, pod: &Value, view: &[&Object]) {
        let has_gate = !pod["spec"]["readinessGates"].is_null();
        let takes = match effect {
            Effect::Drain { .. } | Effect::DeletePod { .. } => true,
            Effect::Transition { drain, .. } => *drain,
            Effect::PatchPod { images, .. } => !has_gate && !images.is_empty(),
            _ => false,
        };
        if takes && serves(pod) {
            let left = view.iter().filter(|p| serves(p)).count() - 1;
            assert!(
                left >= self.floor,
                "{left} Pods serve, {} have to, after {effect:?}",
                self.floor
            );
        }
    }
}

fn count(server: &Server, holds: impl Fn(&Value) -> bool) -> usize {
    let ours = |p: &&Value| p["metadata"]["labels"]["app"] == "web";
    server
        .pods
        .values()
        .map(|p| &**p)
        .filter(ours)
        .filter(|p| holds(p))
        .count()
}

/// One that a hook prepares for deletion has made room for another already.
fn counts_as_updated(pod: &Value, update: &str) -> bool {
    is_active(pod) && hash(pod) == update && hooks::label(pod) != "PreparingDelete"
}

fn hash(pod: &Value) -> &str {
    let label = pod["metadata"]["labels"]["controller-revision-hash"].as_str();
    label.unwrap_or_default().rsplit('-').next().unwrap()
}

pub fn is_active(pod: &Value) -> bool {
    let finished = matches!(
        pod["status"]["phase"].as_str(),
        Some("Failed" | "Succeeded")
    );
    pod["metadata"]["deletionTimestamp"].is_null() && !finished
}

pub fn condition<'a>(pod: &'a Value, name: &str) -> &'a str {
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|c| c["type"] == name);
    found
        .and_then(|c| c["status"].as_str())
        .unwrap_or("Unknown")
}

/// Counts as one that serves; a drained Pod does not, even before the kubelet has said so.
pub fn serves(pod: &Value) -> bool {
    is_ready(pod) && condition(pod, "InPlaceUpdateReady") != "False"
}

/// Endpoints list it.
pub fn is_ready(pod: &Value) -> bool {
    is_active(pod) && condition(pod, "Ready") == "True"
}

/// No image reaches a Pod that is in its Services, and no write makes another Pod of it.
fn check_drained(before: Option<&Value>, after: Option<&Value>) {
    let (Some(before), Some(after)) = (before, after) else {
        return;
    };
    assert_eq!(before["metadata"]["uid"], after["metadata"]["uid"]);
    let gated = before["spec"]["readinessGates"].is_array();
    if before["spec"] != after["spec"] && gated {
        assert!(!is_ready(before), "patched while it served: {before}");
    }
}

/// A Pod is made when its claims are there, and no claim is deleted under a Pod.
pub fn check_claims(effect: &Effect, after: &Server) {
    if let Effect::CreatePod { name, body, .. } = effect {
        for claim in claims_of(body).filter(|claim| claim.ends_with(name.as_str())) {
            let claim = &after.claims[claim];
            assert_eq!(claim["metadata"]["ownerReferences"][0]["uid"], "set-uid");
        }
    }
    if let Effect::DeleteClaim { target } = effect {
        let is_its = |name: &&String| target.name.ends_with(name.as_str());
        assert_eq!(after.pods.keys().find(is_its), None, "{target:?} is in use");
    }
}
