//! Deletion: with grace for a Pod that a kubelet has, and never while a finalizer stands.

use jiff::SignedDuration;
use planner::effect::Resource;
use serde_json::{Value, json};

use super::update::raise_generation;
use super::{Server, is_pod};
use crate::object::Object;

/// What Pods have that ask for nothing else.
const GRACE: i64 = 30;

impl Server {
    /// Deletion as `options` ask for it. Answers as the API server does: with the Pod or claim as
    /// it is or was last, with nothing for a revision that is gone.
    pub(super) fn delete(
        &mut self,
        resource: Resource,
        name: &str,
        options: &Value,
    ) -> Option<Object> {
        let mut object = self.objects(resource).get(name)?.clone();
        let asked = options["gracePeriodSeconds"].as_i64();
        let marked = object["metadata"]["deletionGracePeriodSeconds"].as_i64();
        match (marked, grace(resource, &object, asked)) {
            // It waits for its kubelet; only a shorter wait may be asked for.
            (Some(marked @ 1..), wanted) if asked.is_none() || wanted >= Some(marked) => {
                return Some(object);
            }
            (Some(1..), Some(seconds)) => self.mark(&mut object, seconds),
            (None, wanted) if wanted.is_some() || has_finalizers(&object) => {
                self.mark(&mut object, wanted.unwrap_or_default());
                raise_generation(&mut object);
            }
            // Marked before, or about to go without a mark.
            (_, _) => {}
        }
        let waits = object["metadata"]["deletionGracePeriodSeconds"]
            .as_i64()
            .is_some_and(|seconds| seconds > 0);
        // Pods are marked even where they go at once, and watches tell of both.
        let mut object = self.store(resource, name, object);
        if waits || has_finalizers(&object) {
            return Some(object);
        }
        if let Some(version) = self.remove(resource, name) {
            object["metadata"]["resourceVersion"] = version.into();
        }
        (resource != Resource::ControllerRevisions).then_some(object)
    }

    fn mark(&self, object: &mut Value, seconds: i64) {
        let at = self.now + SignedDuration::from_secs(seconds);
        let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        object["metadata"]["deletionTimestamp"] = at.into();
        object["metadata"]["deletionGracePeriodSeconds"] = seconds.into();
    }

    /// Deletion as anybody may ask for it.
    pub fn terminate(&mut self, name: &str) -> Option<Object> {
        self.delete(Resource::Pods, name, &json!({}))
    }

    /// The kubelet's last word on a Pod whose containers have ended.
    pub fn finish(&mut self, name: &str) {
        self.delete(Resource::Pods, name, &json!({"gracePeriodSeconds": 0}));
    }

    /// What controllers of the cluster do: claims go with the Pods that own them, but not while a
    /// Pod uses them.
    pub fn collect_claims(&mut self) -> Vec<String> {
        let uid = |object: &Object| object["metadata"]["uid"].clone();
        let pods: Vec<Value> = self.pods.values().map(uid).collect();
        let is_lost = |claim: &&Object| {
            let owner = &claim["metadata"]["ownerReferences"][0];
            owner["kind"] == "Pod" && !pods.contains(&owner["uid"])
        };
        let name = |claim: &Object| claim["metadata"]["name"].as_str().unwrap().to_owned();
        let lost: Vec<String> = self.claims.values().filter(is_lost).map(name).collect();
        for name in lost {
            self.delete(Resource::Claims, &name, &json!({}));
        }
        // Of Pods without a node the scheduler sees to it that they have their claims.
        let uses = |pod: &Value, claim: &str| {
            pod["spec"]["nodeName"].is_string() && claims_of(pod).any(|name| name == claim)
        };
        let is_free = |claim: &&Object| {
            claim["metadata"]["deletionTimestamp"].is_string()
                && !self.pods.values().any(|pod| uses(pod, &name(claim)))
        };
        let free: Vec<String> = self.claims.values().filter(is_free).map(name).collect();
        for name in &free {
            self.remove(Resource::Claims, name);
        }
        free
    }
}

/// The claims that are volumes of a Pod.
pub fn claims_of(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}

/// How long to wait for the kubelet; None for what has none.
fn grace(resource: Resource, object: &Value, asked: Option<i64>) -> Option<i64> {
    if !is_pod(resource) {
        return None;
    }
    let ended = matches!(
        object["status"]["phase"].as_str(),
        Some("Failed" | "Succeeded")
    );
    if object["spec"]["nodeName"].is_null() || ended {
        return Some(0);
    }
    let usual = object["spec"]["terminationGracePeriodSeconds"].as_i64();
    Some(asked.or(usual).unwrap_or(GRACE))
}

fn has_finalizers(object: &Value) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|finalizers| !finalizers.is_empty())
}
