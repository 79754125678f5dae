//! The webhook, on the way of new Pods.

use std::collections::BTreeMap;

use apis::sidecar_set::white_list::WhiteList;
use jiff::Timestamp;
use planner::effect::{Request, Resource, Verb};
use serde_json::Value;
use sidecar_injector::{Prepared, SetIndex, inject};

use super::{Sidecars, decode};

impl Sidecars {
    /// What the door makes of a Pod on its way in. It may not have heard of the last edit.
    pub(crate) fn admit(&mut self, request: &Request, now: Timestamp) -> Option<Request> {
        if request.verb != Verb::Create || request.resource != Resource::Pods {
            return None;
        }
        let last = self.versions.len() - 1;
        let known = last.saturating_sub(self.rng.usize(..2));
        if self.gone.contains(&known) {
            return None;
        }
        let set = decode(&self.versions[known]);
        let set = Prepared::new(set, &[]).expect("the simulation writes sound sets");
        let index: SetIndex = [set].into_iter().collect();
        let injection = inject(
            &sidecar_injector::Request {
                pod: &request.body,
                namespace: "shop",
                namespace_labels: &BTreeMap::new(),
                now,
                seed: &request.name,
            },
            &index,
            &WhiteList::nothing(),
        );
        let patch: Result<json_patch::Patch, _> =
            serde_json::from_value(Value::Array(injection.patch));
        let mut admitted = request.clone();
        json_patch::patch(&mut admitted.body, &patch.expect("it is a patch"))
            .expect("the patch fits the Pod");
        Some(admitted)
    }
}
