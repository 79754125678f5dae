//! Claims that are gone before their Pod has started: somebody deleted them, or another process did
//! that did not know of the Pod yet. Nothing protects a claim that no scheduled Pod uses.

use std::collections::BTreeSet;

use apis::lifecycle::State;

use super::claims::instance_id;
use super::create::{claim_body, claim_name};
use super::{Context, Fate, PodView};
use crate::claim::held_as;
use crate::effect::Effect;
use crate::reason::{LostClaim, Reason};

impl Context<'_> {
    /// Makes claims again without which Pods that stay cannot start. A claim of that name, whosever
    /// it is, is enough for the Pod; one that is on its way out holds the name until it is gone.
    ///
    /// If the view was old and the claim is there, or made by somebody else by now, the server says
    /// so. If it was old and the Pod is gone, the claim is one that no Pod uses, like any other.
    pub(super) fn replace_lost_claims(&mut self) {
        let s = self.s;
        if s.set.claims.is_empty() {
            return;
        }
        let waits = |p: &PodView<'_>| {
            let stays = p.is_active() && !p.leaving && p.fate < Fate::Leaving;
            stays && p.state != State::PreparingDelete && !p.pod.spec.volumes.is_empty()
        };
        let waiting: Vec<usize> = (0..self.pods.len())
            .filter(|index| waits(&self.pods[*index]))
            .collect();
        if waiting.is_empty() {
            return;
        }
        let there: BTreeSet<&str> = s.claims.iter().map(|claim| claim.name()).collect();
        for index in waiting {
            let pod = self.pods[index].pod;
            let Some(id) = instance_id(pod) else {
                continue;
            };
            for (volume, name) in pod.awaited_claims() {
                let template = s.set.claims.iter().find(|t| t.name == volume);
                let ours = template.filter(|t| claim_name(s, t, id) == name);
                let Some(template) = ours.filter(|_| !there.contains(name)) else {
                    continue;
                };
                let error = s.held.get(&held_as(name));
                if error.is_none() {
                    self.push(|| Effect::CreateClaim {
                        name: name.to_owned(),
                        pod: Some(pod.name().to_owned()),
                        body: claim_body(s, template, id),
                    });
                }
                self.pods[index].reason = Reason::WaitingClaim(Box::new(LostClaim {
                    claim: name.to_owned(),
                    error: error.cloned(),
                }));
            }
        }
    }
}
