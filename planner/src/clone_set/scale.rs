//! How many Pods there are: creating what is missing, deleting what is too much or asked for.

use super::Context;
use super::create::{Ids, pod_body};
use crate::budget::Loss;
use crate::effect::Effect;
use crate::order::spread::{self, Rank};
use crate::{Pod, order};

impl<'a> Context<'a> {
    /// Deletes Pods that were named for it, then brings the number of Pods to `replicas`.
    ///
    /// `adopted` Pods are about to become the set's own: none is created in their place.
    pub(super) fn scale(&mut self, adopted: usize) {
        let active = self.pods.iter().filter(|p| p.is_counted()).count();
        let wanted = self.goal.replicas as usize;
        let leaving = self.delete_leaving();
        // A named Pod that waits for the budget still goes, so it is not made up for by another.
        if active < wanted {
            self.create((wanted - active).saturating_sub(adopted));
        } else {
            self.delete_surplus((active - wanted).saturating_sub(leaving));
        }
    }

    /// Returns how many of the Pods that count are on their way out, deleted now or waiting.
    fn delete_leaving(&mut self) -> usize {
        let leaving: Vec<usize> = (0..self.pods.len())
            .filter(|i| self.pods[*i].leaving)
            .collect();
        for &index in &leaving {
            let why = if self.pods[index].specified {
                "it was named for deletion"
            } else {
                "there are more Pods than replicas"
            };
            self.delete(index, why);
        }
        let counts = |i: &&usize| self.pods[**i].is_counted();
        leaving.iter().filter(counts).count()
    }

    /// Deletes `surplus` Pods, of the revision that has too many first.
    fn delete_surplus(&mut self, surplus: usize) {
        if surplus == 0 {
            return;
        }
        let mut candidates: Vec<usize> = (0..self.pods.len())
            .filter(|i| self.pods[*i].is_counted())
            .filter(|i| !self.pods[*i].leaving && !self.pods[*i].held)
            .collect();
        candidates.sort_by_cached_key(|i| self.delete_key(*i, Rank::default()));
        let (new, old): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|i| self.pods[*i].updated);
        let (new, old) = (self.spread_out(new), self.spread_out(old));
        let old_surplus = old
            .len()
            .saturating_sub(self.goal.kept() as usize)
            .min(surplus);
        let (old_first, old_last) = old.split_at(old_surplus);
        // Pods that serve nobody go before those that do: of the old ones those beyond the
        // partition, of the updated ones any, because another takes their place. Where updated
        // Pods are too few, old ones within the partition make up for them.
        let is_free = |i: &&usize| self.pods[**i].loss() == Loss::Nothing;
        let (free, serving): (Vec<_>, Vec<_>) = old_first.iter().chain(&new).partition(is_free);
        let all = free.into_iter().chain(serving).chain(old_last);
        let chosen: Vec<usize> = all.take(surplus).copied().collect();
        for index in chosen {
            self.delete(index, "there are more Pods than replicas");
        }
    }

    fn delete_key(&self, index: usize, rank: Rank) -> impl Ord + use<'a> {
        let p = &self.pods[index];
        order::delete_key(p.pod, p.loss(), rank)
    }

    /// Of Pods of one revision, in the order in which they would be deleted, those that stand
    /// close together first.
    fn spread_out(&self, pods: Vec<usize>) -> Vec<usize> {
        let at: Vec<&Pod> = pods.iter().map(|i| self.pods[*i].pod).collect();
        let keys = spread::keys(&self.s.set.template);
        let ranks = spread::ranks(&at, &keys, &self.s.nodes);
        let mut ranked: Vec<_> = pods.into_iter().zip(ranks).collect();
        ranked.sort_by_cached_key(|(i, rank)| self.delete_key(*i, *rank));
        ranked.into_iter().map(|(i, _)| i).collect()
    }

    fn delete(&mut self, index: usize, why: &str) {
        // A Pod on its way out is not updated on top.
        self.pods[index].target = None;
        if self.pods[index].held {
            return;
        }
        self.pods[index].reason = self.remove(index, why);
    }

    /// Creates `missing` Pods: of the current revision as far as the partition wants more of
    /// them, the rest of the update revision.
    fn create(&mut self, missing: usize) {
        let old = self
            .pods
            .iter()
            .filter(|p| p.is_counted() && !p.updated)
            .count();
        let kept = self.goal.kept() as usize;
        let from_current = kept.saturating_sub(old).min(missing);
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
