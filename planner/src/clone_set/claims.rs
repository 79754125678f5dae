//! The claims of a set: which instance they belong to, and who keeps them when a Pod goes.
//!
//! A claim belongs to the set as long as some Pod is to use it, and is handed to its Pod when it
//! is to go with that Pod: the garbage collector does the rest. So at any moment the owner says
//! what becomes of a claim, whoever deletes the Pod.

use std::collections::{BTreeMap, BTreeSet};

use apis::names;
use serde_json::{Value, json};

use super::{Context, Fate};
use crate::effect::{Effect, Target};
use crate::in_place::Way;
use crate::reason::Reason;
use crate::{Claim, Pod, Snapshot, ownership};

/// The claims of a set and of its Pods.
#[derive(Debug)]
pub(crate) struct Claims<'a> {
    /// Those whose controller is the set.
    by_id: BTreeMap<&'a str, Vec<&'a Claim>>,
    /// Those that were handed to a Pod, by its UID.
    handed: BTreeMap<&'a str, Vec<&'a Claim>>,
    /// Instance ids of Pods, terminating ones included.
    used: BTreeSet<&'a str>,
}

impl<'a> Claims<'a> {
    pub(crate) fn new(s: &'a Snapshot) -> Self {
        let mut by_id: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
        let mut handed: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
        for claim in &s.claims {
            let controller = claim.controller_uid().unwrap_or_default();
            if controller != s.uid() {
                handed.entry(controller).or_default().push(claim);
            } else if let Some(id) = claim.instance_id() {
                by_id.entry(id).or_default().push(claim);
            }
        }
        let pods = s.pods.iter().chain(&s.orphans);
        // Where there are no claims nobody asks.
        let pods = pods.filter(|_| !by_id.is_empty());
        let used = pods.filter_map(|pod| instance_id(pod)).collect();
        Self {
            by_id,
            handed,
            used,
        }
    }

    /// Those that `pod` would take along.
    fn handed_to(&self, pod: &Pod) -> Vec<&'a Claim> {
        let claims = self.handed.get(pod.uid()).into_iter().flatten().copied();
        claims.filter(|claim| !claim.is_terminating()).collect()
    }

    /// Those of `pod` that would outlive it.
    pub(super) fn of(&self, pod: &Pod) -> Vec<&'a Claim> {
        let claims = instance_id(pod).and_then(|id| self.by_id.get(id));
        let claims = claims.into_iter().flatten().copied();
        claims.filter(|claim| !claim.is_terminating()).collect()
    }

    /// Instances without a Pod, each with its claims. One whose claims are on their way out is no
    /// place for a Pod.
    pub(super) fn free(&self) -> impl Iterator<Item = (&'a str, &[&'a Claim])> {
        let unused = self.by_id.iter().filter(|(id, _)| !self.used.contains(*id));
        unused
            .filter(|(_, claims)| !claims.iter().any(|claim| claim.is_terminating()))
            .map(|(id, claims)| (*id, claims.as_slice()))
    }

    /// Every instance that has a claim.
    pub(super) fn ids(&self) -> impl Iterator<Item = &'a str> {
        self.by_id.keys().copied()
    }

    /// Whether instance `id` has the claim called `name`.
    pub(super) fn has(&self, id: &str, name: &str) -> bool {
        let claims = self.by_id.get(id);
        claims.is_some_and(|claims| claims.iter().any(|claim| claim.name() == name))
    }

    /// How many Pods on their way out leave claims to Pods that are made when they are gone: a new
    /// Pod cannot have the name, and mostly not the volumes, of one that is still there.
    pub(crate) fn awaited(&self, s: &Snapshot) -> u32 {
        if self.by_id.is_empty() {
            return 0;
        }
        let leaves = |pod: &&std::sync::Arc<Pod>| {
            !pod.is_active() && outlive(s, pod) && !self.of(pod).is_empty()
        };
        u32::try_from(s.pods.iter().filter(leaves).count()).unwrap_or(u32::MAX)
    }
}

/// Which instance of the set it is.
pub(super) fn instance_id(pod: &Pod) -> Option<&str> {
    pod.labels().get(names::INSTANCE_ID_LABEL)
}

/// Whether the claims of a Pod that is going stay for another one.
fn outlive(s: &Snapshot, pod: &Pod) -> bool {
    s.set.reuse_claims || is_kept(pod)
}

/// Whether it is noted on the Pod that another one takes its place and its claims.
fn is_kept(pod: &Pod) -> bool {
    pod.annotations()
        .contains_key(names::KEEP_CLAIMS_ANNOTATION)
}

impl<'a> Context<'a> {
    /// Before a Pod is deleted: sees to it that its claims go with it, or stay for the Pod that
    /// takes its place. Returns what the Pod waits for meanwhile.
    pub(super) fn settle_claims(&mut self, index: usize) -> Option<Reason> {
        let p = &self.pods[index];
        let pod = p.pod;
        match p.target.clone() {
            Some((revision, Way::Recreate(reason))) => {
                let waits = self.keep_claims(pod, revision.name());
                waits.then_some(reason)
            }
            Some((_, Way::Arrived | Way::InPlace(_))) | None => self.hand_claims(pod),
        }
    }

    /// Before a Pod is deleted for good: hands its claims to it. Returns why the Pod itself has to
    /// wait for that, if so.
    fn hand_claims(&mut self, pod: &Pod) -> Option<Reason> {
        let claims = self.claims.of(pod);
        let mut wait = None;
        for claim in claims {
            wait = Some(match hand(self.s, claim, self.s.uid(), of_pod(pod)) {
                Ok(effect) => {
                    self.choose(|| effect);
                    Reason::Terminating
                }
                Err(error) => Reason::BackingOff {
                    error: error.into(),
                },
            });
        }
        wait
    }

    /// A Pod that was given its claims to take along, and then is spared, gives them back: when it
    /// is replaced later the next one is to have them.
    pub(super) fn take_back_claims(&mut self) {
        if self.claims.handed.is_empty() {
            return;
        }
        for index in 0..self.pods.len() {
            let p = &self.pods[index];
            if !p.is_active() || p.leaving || p.fate != Fate::Stays {
                continue;
            }
            for claim in self.claims.handed_to(p.pod) {
                let owner = ownership::owner_reference(self.s);
                if let Ok(effect) = hand(self.s, claim, self.pods[index].pod.uid(), owner) {
                    self.push(|| effect);
                }
            }
        }
    }

    /// Before a Pod is deleted so that another takes its place: notes on it that its claims are for
    /// that one. Returns whether the Pod has to wait for that.
    fn keep_claims(&mut self, pod: &'a Pod, revision: &'a str) -> bool {
        if !self.claims.handed_to(pod).is_empty() {
            // They are on their way back.
            return true;
        }
        let must = !is_kept(pod) && !self.claims.of(pod).is_empty();
        if must {
            self.push(|| Effect::KeepClaims {
                target: Target::of(&pod.metadata),
                revision: revision.to_owned(),
            });
        }
        must
    }

    /// Whether the claims of `pod`, which ran to its end, have to become its own first.
    pub(super) fn takes_claims(&self, pod: &Pod) -> bool {
        !outlive(self.s, pod) && !self.claims.of(pod).is_empty()
    }

    /// Without `enablePVCReuse` claims go with a Pod that somebody else deleted, and one that no
    /// Pod will use goes as well.
    pub(super) fn tend_claims(&mut self) {
        let s = self.s;
        if s.set.reuse_claims || s.claims.is_empty() {
            return;
        }
        for pod in s.pods.iter().filter(|pod| !pod.is_active()) {
            if self.takes_claims(pod) {
                // What it waits for is told by nobody: the Pod is on its way out already.
                let _ = self.hand_claims(pod);
            }
        }
        if self.size.is_even() && self.claims.awaited(s) == 0 {
            let unused: Vec<&Claim> = self
                .claims
                .free()
                .flat_map(|(_, claims)| claims)
                .copied()
                .collect();
            for claim in unused.into_iter().filter(|claim| !is_held(s, claim)) {
                self.push(|| Effect::DeleteClaim {
                    target: Target::of(&claim.metadata),
                });
            }
        }
    }
}

fn is_held(s: &Snapshot, claim: &Claim) -> bool {
    let uid = claim.metadata.uid.as_deref();
    uid.is_some_and(|uid| s.held.contains_key(uid))
}

/// The owner reference that makes `pod` a claim's controller.
fn of_pod(pod: &Pod) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "name": pod.name(), "uid": pod.uid(),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// The effect that makes `owner` the controller of `claim`, in place of the one with UID `from`.
fn hand(s: &Snapshot, claim: &Claim, from: &str, owner: Value) -> Result<Effect, String> {
    let metadata = &claim.metadata;
    if let Some(error) = metadata.uid.as_deref().and_then(|uid| s.held.get(uid)) {
        return Err(error.clone());
    }
    let mut owners = metadata.owner_references.iter().flatten();
    let index = owners.position(|owner| owner.uid == from);
    Ok(Effect::HandClaim {
        target: Target::of(metadata),
        index: index.ok_or("the claim is not the set's")?,
        owner,
    })
}
