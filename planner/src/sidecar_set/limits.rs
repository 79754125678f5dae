//! What PodDisruptionBudgets leave: restarting the sidecars of a Pod that serves is a disruption like
//! any other.
//!
//! What such a budget says is as old as its controller's last look. Pods that are on their way out by
//! now may be counted in it or not, so what it allows is counted anew from the Pods, and the lower
//! number holds.

use std::sync::Arc;

use kube::core::{Selector, SelectorExt};

use super::{Snapshot, namespace};
use crate::reason::Reason;
use crate::{DisruptionBudget, Pod};

/// Every budget that may be about Pods of the set, with what is left of it.
pub(super) struct Limits<'a>(Vec<Limit<'a>>);

struct Limit<'a> {
    budget: &'a DisruptionBudget,
    selector: Selector,
    left: i64,
}

impl<'a> Limits<'a> {
    pub(super) fn new(s: &'a Snapshot) -> Self {
        let limits = s.disruption_budgets.iter().filter_map(|budget| {
            let selector = budget.selector()?;
            let mut limit = Limit {
                budget,
                selector,
                left: 0,
            };
            limit.left = limit.counted(s);
            Some(limit)
        });
        Self(limits.collect())
    }

    /// Takes `pod`, which is healthy, from every budget that is about it, if all of them allow it.
    ///
    /// # Errors
    /// Which one does not.
    pub(super) fn take(&mut self, pod: &Pod) -> Result<(), Reason> {
        let concerned = |limit: &&mut Limit<'_>| limit.is_about(pod);
        let mut refusing = self.0.iter().filter(|limit| limit.left <= 0);
        if let Some(limit) = refusing.find(|limit| limit.is_about(pod)) {
            return Err(Reason::WaitingDisruptionBudget {
                budget: limit.budget.name().into(),
            });
        }
        for limit in self.0.iter_mut().filter(concerned) {
            limit.left -= 1;
        }
        Ok(())
    }
}

impl Limit<'_> {
    fn is_about(&self, pod: &Pod) -> bool {
        namespace(pod) == self.budget.namespace() && self.selector.matches(&pod.labels().to_map())
    }

    /// What it allows. Where we know all of its Pods, these are counted; otherwise each of them that
    /// is away may be one that it still counts on.
    fn counted(&self, s: &Snapshot) -> i64 {
        let allowed = self.budget.allowed();
        if allowed <= 0 {
            return 0;
        }
        let all = s.pods.iter().chain(&s.without).map(Arc::as_ref);
        let ours = all.filter(|pod: &&Pod| pod.is_active() && self.is_about(pod));
        let (mut known, mut healthy, mut away) = (0_i64, 0_i64, 0_i64);
        for pod in ours {
            known += 1;
            healthy += i64::from(is_healthy(pod));
            away += i64::from(is_away(pod));
        }
        let status = &self.budget.status;
        let left = if known >= status.expected_pods {
            healthy - status.desired_healthy
        } else {
            allowed - away
        };
        left.min(allowed)
    }
}

/// Serves, and goes on serving unless somebody touches it.
pub(super) fn is_healthy(pod: &Pod) -> bool {
    pod.is_ready() && !is_away(pod)
}

/// Taken out of its Services, or about to restart containers: whoever counts it among the healthy
/// ones has not heard of that.
fn is_away(pod: &Pod) -> bool {
    let facts = pod.facts();
    facts.is_shut() || !facts.is_settled || facts.awaits_sidecars || pod.is_unseen()
}
