//! A decision that need not be taken twice: most passes over a set at rest see exactly what the
//! pass before saw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::findings::same;
use crate::{Claim, Findings, Node, Plan, Pod, Revision, Snapshot, clone_set};

/// The last decision about one set, for as long as it is the answer.
///
/// It answers while the world is the very same (the same objects, not equal ones), the plan had
/// nothing to write, and its time to look again has not come. That is sound because of two rules
/// that hold for every decision: time enters a status only where something else changes in it, and
/// whatever would be decided differently later is in [`Plan::wake_at`].
#[derive(Debug, Default)]
pub struct Memo {
    last: Option<(Seen, Arc<Plan>)>,
    findings: Findings,
}

impl Memo {
    /// What [`clone_set::plan`] says about `s`.
    pub fn plan(&mut self, s: &Snapshot) -> Arc<Plan> {
        if let Some((seen, plan)) = &self.last
            && seen.is_still(s)
            && plan.wake_at.is_none_or(|at| s.now < at)
        {
            return Arc::clone(plan);
        }
        let plan = Arc::new(clone_set::plan_knowing(s, &mut self.findings));
        self.last = if is_rest(s, &plan) {
            Seen::of(s).map(|seen| (seen, Arc::clone(&plan)))
        } else {
            None
        };
        plan
    }
}

/// Nothing is to be written, not even the status.
fn is_rest(s: &Snapshot, plan: &Plan) -> bool {
    plan.effects.is_empty() && s.set.object().status.as_ref() == Some(&plan.status)
}

/// Which objects a snapshot held. They are kept, so that no other one can be at their address.
#[derive(Debug)]
struct Seen {
    now: Timestamp,
    set: (String, String),
    pods: Vec<Arc<Pod>>,
    orphans: Vec<Arc<Pod>>,
    claims: Vec<Arc<Claim>>,
    nodes: Vec<Arc<Node>>,
    revisions: Vec<Arc<Revision>>,
    orphan_revisions: Vec<Arc<Revision>>,
    held: BTreeMap<String, String>,
    in_flight: BTreeSet<String>,
    effects_max: usize,
}

impl Seen {
    /// None where the set has no version that could tell it from another one.
    fn of(s: &Snapshot) -> Option<Self> {
        let (uid, version) = identity(&s.set.object().metadata)?;
        // No `..`: whoever adds a fact has to say what it means for the facts to be the same.
        let Snapshot {
            now,
            set: _,
            pods,
            orphans,
            claims,
            nodes,
            revisions,
            orphan_revisions,
            held,
            in_flight,
            effects_max,
        } = s;
        Some(Self {
            now: *now,
            set: (uid.to_owned(), version.to_owned()),
            pods: pods.clone(),
            orphans: orphans.clone(),
            claims: claims.clone(),
            nodes: nodes.clone(),
            revisions: revisions.clone(),
            orphan_revisions: orphan_revisions.clone(),
            held: held.clone(),
            in_flight: in_flight.clone(),
            effects_max: *effects_max,
        })
    }

    fn is_still(&self, s: &Snapshot) -> bool {
        let Self {
            now,
            set: (uid, version),
            pods,
            orphans,
            claims,
            nodes,
            revisions,
            orphan_revisions,
            held,
            in_flight,
            effects_max,
        } = self;
        // A clock that was set back knows less than the decision did.
        *now <= s.now
            && identity(&s.set.object().metadata) == Some((uid, version))
            && *effects_max == s.effects_max
            && *held == s.held
            && *in_flight == s.in_flight
            && same(pods, &s.pods)
            && same(orphans, &s.orphans)
            && same(claims, &s.claims)
            && same(nodes, &s.nodes)
            && same(revisions, &s.revisions)
            && same(orphan_revisions, &s.orphan_revisions)
    }
}

/// UID and version of a set; None where it has none that could tell it from another one.
pub(crate) fn identity(metadata: &ObjectMeta) -> Option<(&str, &str)> {
    metadata
        .uid
        .as_deref()
        .zip(metadata.resource_version.as_deref())
}
