//! How many Pods there are: creating what is missing, deleting what is too much or asked for.

use apis::update_strategy::UpdateStrategyType;

use super::Context;
use super::create::{Ids, pod_body};
use crate::effect::{Effect, Target};
use crate::order::delete_key;
use crate::reason::Reason;

impl Context<'_> {
    /// Deletes Pods that were named for it, then brings the number of Pods to `replicas`.
    pub(super) fn scale(&mut self) {
        let active = self.pods.iter().filter(|p| p.active).count();
        let wanted = self.goal.replicas as usize;
        let specified = self.delete_specified();
        // A named Pod that waits for the budget still goes, so it is not made up for by another.
        if active < wanted {
            self.create(wanted - active);
        } else {
            self.delete_surplus((active - wanted).saturating_sub(specified));
        }
    }

    /// Returns how many Pods were named, deleted now or waiting.
    fn delete_specified(&mut self) -> usize {
        let named: Vec<usize> = (0..self.pods.len())
            .filter(|i| self.pods[*i].specified)
            .collect();
        for &index in &named {
            self.delete(index, "it was named for deletion");
        }
        named.len()
    }

    /// Deletes `surplus` Pods, of the revision that has too many first.
    fn delete_surplus(&mut self, surplus: usize) {
        let mut candidates: Vec<usize> = (0..self.pods.len())
            .filter(|i| self.pods[*i].active && !self.pods[*i].specified)
            .collect();
        candidates.sort_by_cached_key(|i| delete_key(self.pods[*i].pod));
        let (new, old): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|i| self.pods[*i].updated);
        let old_surplus = old
            .len()
            .saturating_sub(self.goal.partition as usize)
            .min(surplus);
        let (old_first, old_last) = old.split_at(old_surplus);
        // Where updated Pods are too few, old ones beyond the partition make up for them.
        let chosen: Vec<usize> = old_first
            .iter()
            .chain(&new)
            .chain(old_last)
            .take(surplus)
            .copied()
            .collect();
        for index in chosen {
            self.delete(index, "there are more Pods than replicas");
        }
    }

    fn delete(&mut self, index: usize, why: &str) {
        // A Pod on its way out is not updated on top.
        self.pods[index].target = None;
        if self.pods[index].held {
            return;
        }
        match self.disrupt(index) {
            Err(waiting) => self.pods[index].reason = waiting,
            Ok(disruption) => {
                let target = Target::of(&self.pods[index].pod.metadata);
                self.effects.push(Effect::DeletePod {
                    target,
                    why: why.into(),
                    disruption,
                });
                self.pods[index].reason = Reason::Terminating;
            }
        }
    }

    /// Creates `missing` Pods: of the current revision as far as the partition wants more of
    /// them, the rest of the update revision.
    fn create(&mut self, missing: usize) {
        let old = self.pods.iter().filter(|p| p.active && !p.updated).count();
        let two_revisions = self.goal.current.name() != self.goal.update.name();
        let from_current = match self.s.set.strategy {
            UpdateStrategyType::RollingUpdate if two_revisions => (self.goal.partition as usize)
                .saturating_sub(old)
                .min(missing),
            UpdateStrategyType::RollingUpdate | UpdateStrategyType::OnDelete => 0,
        };
        let mut ids = Ids::new(self.s);
        for n in 0..missing.min(self.s.effects_max) {
            let revision = if n < from_current {
                &self.goal.current
            } else {
                &self.goal.update
            };
            let id = ids.next_id();
            let (name, body) = pod_body(self.s, revision, &id);
            let revision = revision.name().to_owned();
            self.effects.push(Effect::CreatePod {
                name,
                revision,
                body,
            });
        }
    }
}
