//! How many Pods there are: creating what is missing, deleting what is too much or asked for.

use super::Context;
use super::create::{Ids, claim_bodies, pod_body};
use crate::budget::Loss;
use crate::claim::held_as;
use crate::effect::Effect;
use crate::order::spread::{self, Rank};
use crate::{Pod, order};

impl<'a> Context<'a> {
    /// Deletes Pods that were named for it, then brings the number of Pods to what is wanted.
    pub(super) fn scale(&mut self) {
        let leaving = self.delete_leaving();
        // A named Pod that waits for the budget still goes, so it is not made up for by another.
        self.delete_surplus((self.size.surplus as usize).saturating_sub(leaving));
        self.create();
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
            .filter(|i| !self.pods[*i].leaving)
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
        //
        // With a surge only those updated Pods go first that are too many: others stand in for
        // old ones, and would be made again at once.
        let new_surplus = if self.goal.max_surge > 0 {
            let wanted = (self.goal.replicas - self.goal.kept()) as usize;
            new.len().saturating_sub(wanted)
        } else {
            new.len()
        };
        let (new_first, new_last) = new.split_at(new_surplus);
        let mut first: Vec<&usize> = old_first.iter().chain(new_first).collect();
        first.sort_by_key(|i| (self.pods[**i].held, self.pods[**i].loss() != Loss::Nothing));
        let all = first.into_iter().chain(new_last).chain(old_last);
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
        // A Pod that is left alone for a while is gone around within its revision. It is waited
        // for where it is the only one too many: another one would be made again at once.
        ranked.sort_by_key(|(i, _)| self.pods[*i].held);
        ranked.into_iter().map(|(i, _)| i).collect()
    }

    fn delete(&mut self, index: usize, why: &str) {
        // A Pod on its way out is not updated on top.
        self.pods[index].target = None;
        self.pods[index].leaving = true;
        if self.pods[index].held {
            return;
        }
        self.pods[index].reason = self.remove(index, why);
    }

    /// Creates what is missing, as far as it may be made now.
    fn create(&mut self) {
        let current = self.size.create_current as usize;
        let missing = current.saturating_add(self.size.create_update as usize);
        if missing == 0 {
            return;
        }
        let mut ids = Ids::new(self.s, &self.claims);
        for n in 0..missing.min(self.s.effects_max) {
            let revision = if n < current {
                &self.goal.current
            } else {
                &self.goal.update
            };
            let (id, claims) = self.place(&mut ids);
            if !claims.is_empty() {
                // The Pod follows when they are seen. A crash between leaves an id without a Pod,
                // which is the first to be used.
                for claim in claims {
                    self.choose(|| claim);
                }
                continue;
            }
            let (name, body) = pod_body(self.s, revision, &id);
            let revision = revision.name().to_owned();
            self.choose(move || Effect::CreatePod {
                name,
                revision,
                body,
            });
        }
    }

    /// The next id for a Pod, and the claims that it lacks. An id of which a claim's name is taken
    /// by somebody else is passed over.
    fn place(&self, ids: &mut Ids) -> (String, Vec<Effect>) {
        loop {
            let id = ids.next_id();
            let bodies = claim_bodies(self.s, &id).into_iter();
            let lacking: Vec<_> = bodies
                .filter(|(name, _)| !self.claims.has(&id, name))
                .collect();
            let is_foreign = |(name, _): &(String, _)| self.s.held.contains_key(&held_as(name));
            if !lacking.iter().any(is_foreign) {
                let create = |(name, body)| Effect::CreateClaim {
                    name,
                    pod: None,
                    body,
                };
                return (id, lacking.into_iter().map(create).collect());
            }
        }
    }
}
