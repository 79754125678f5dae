//! A model of the API server: Pods and revisions as JSON, changed by requests only.

use std::collections::BTreeMap;

use jiff::Timestamp;
use planner::effect::{Request, Resource, Verb};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kubelet::is_warmer;
use crate::object::Object;
use crate::resize::default_requests;

mod delete;
mod update;

pub use delete::claims_of;
pub use update::merge_condition;
pub(crate) use update::tidy;

/// What a request was refused for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    NotFound,
    Exists,
    Conflict,
    /// A JSON patch does not fit: a `test` failed, or a path leads nowhere.
    TestFailed,
    /// A merge names another UID. That is no conflict to the API server, but a field that cannot
    /// change.
    OtherUid,
    /// The object would make no sense, or what cannot change would change.
    Invalid,
    /// By admission: over a quota, or beyond what the node has.
    Forbidden,
}

impl Refused {
    /// Whether no view of the world, however fresh, could have led to such a request.
    pub fn is_fault(self) -> bool {
        self == Self::Invalid
    }
}

/// What admission makes of a Pod that is created or changed.
pub type Admission = fn(&mut Value);

/// One version of one object, as a watch would tell of it.
#[derive(Clone, Debug)]
pub struct Change {
    pub resource: Resource,
    pub name: String,
    /// As it is now, or was last; its version is that of the change.
    pub object: Object,
    pub deleted: bool,
}

#[derive(Clone)]
pub struct Server {
    pub pods: BTreeMap<String, Object>,
    pub claims: BTreeMap<String, Object>,
    pub revisions: BTreeMap<String, Object>,
    pub now: Timestamp,
    pub admission: Option<Admission>,
    /// Newer API servers refuse a resize beyond what the node has; here, so many cpus.
    pub allocatable_cpus: Option<u64>,
    /// Pods that pull images ahead are over a quota.
    pub refuses_warmers: bool,
    /// Every change since, where somebody wants to read it.
    pub journal: Option<Vec<Change>>,
    version: u64,
    uids: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            pods: BTreeMap::new(),
            claims: BTreeMap::new(),
            revisions: BTreeMap::new(),
            now: "2026-03-01T12:00:00Z".parse().unwrap(),
            admission: None,
            allocatable_cpus: None,
            refuses_warmers: false,
            journal: None,
            version: 0,
            uids: 0,
        }
    }
}

impl Server {
    pub fn now_text(&self) -> String {
        self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Answers with the object as it is afterwards or was last, or None for a revision that is
    /// gone.
    pub fn perform(&mut self, request: &Request) -> Result<Option<Object>, Refused> {
        let (resource, name, body) = (request.resource, &request.name, &request.body);
        let old = self.objects(resource).get(name).cloned();
        let (old, new) = match (request.verb, old) {
            (Verb::Create, Some(_)) => return Err(Refused::Exists),
            (Verb::Create, None) if self.refuses_warmers && is_warmer(body) => {
                return Err(Refused::Forbidden);
            }
            (Verb::Create, None) => return Ok(Some(self.create(request))),
            (_, None) => return Err(Refused::NotFound),
            (Verb::Delete, Some(old)) => {
                check(&old, &body["preconditions"])?;
                return Ok(self.delete(resource, name, body));
            }
            (Verb::JsonPatch, Some(old)) => {
                let mut new = Value::clone(&old);
                let patch = json_patch::Patch::deserialize(body).unwrap();
                json_patch::patch(&mut new, &patch).map_err(|_| Refused::TestFailed)?;
                (old, new)
            }
            (Verb::StrategicPatch, Some(old)) => {
                assert_eq!(resource, Resource::PodsStatus);
                check_merge(&old, &body["metadata"])?;
                let new = update::strategic_merge(&old, body);
                (old, new)
            }
            (Verb::MergePatch, Some(old)) => {
                check_merge(&old, &body["metadata"])?;
                let mut new = Value::clone(&old);
                json_patch::merge(&mut new, body);
                (old, new)
            }
        };
        self.update(resource, name, &old, new).map(Some)
    }

    fn create(&mut self, request: &Request) -> Object {
        let mut object = request.body.clone();
        self.uids += 1;
        let now = self.now_text();
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.insert("uid".into(), format!("uid-{:03}", self.uids).into());
        metadata.insert("creationTimestamp".into(), now.into());
        assert_eq!(metadata["name"], request.name.as_str());
        match request.resource {
            Resource::ControllerRevisions => {}
            // The controller that takes it away again waits for Pods that use the claim.
            Resource::Claims => {
                let finalizers = metadata.entry("finalizers").or_insert(json!([]));
                let finalizers = finalizers.as_array_mut().unwrap();
                finalizers.push("kubernetes.io/pvc-protection".into());
                // Whose that finalizer is gets noted with the first write after, even with one
                // that changes nothing.
                metadata.insert("managedFields".into(), json!([{}]));
            }
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize => {
                metadata.insert("generation".into(), 1.into());
                object["status"] = json!({"phase": "Pending", "conditions": []});
                default_requests(&mut object);
                if let Some(admit) = self.admission {
                    admit(&mut object);
                }
            }
        }
        self.store(request.resource, &request.name, object.into())
    }

    /// The object that a request is about.
    pub fn read(&self, resource: Resource, name: &str) -> Option<&Object> {
        let objects = match resource {
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize => &self.pods,
            Resource::Claims => &self.claims,
            Resource::ControllerRevisions => &self.revisions,
        };
        objects.get(name)
    }

    /// An object is gone for good. Answers with the version of that change.
    pub fn remove(&mut self, resource: Resource, name: &str) -> Option<String> {
        let mut object = self.objects(resource).remove(name)?;
        self.version += 1;
        let version = self.version.to_string();
        object["metadata"]["resourceVersion"] = version.clone().into();
        self.note(resource, name, &object, true);
        Some(version)
    }

    fn objects(&mut self, resource: Resource) -> &mut BTreeMap<String, Object> {
        match resource {
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize => &mut self.pods,
            Resource::Claims => &mut self.claims,
            Resource::ControllerRevisions => &mut self.revisions,
        }
    }

    fn note(&mut self, resource: Resource, name: &str, object: &Object, deleted: bool) {
        if let Some(journal) = &mut self.journal {
            journal.push(Change {
                resource,
                name: name.to_owned(),
                object: object.clone(),
                deleted,
            });
        }
    }

    /// Whether a Pod has all of its claims, and none is on its way out: the scheduler waits for that.
    pub fn has_claims(&self, name: &str) -> bool {
        let stays = |claim: &str| {
            let claim = self.claims.get(claim);
            claim.is_some_and(|claim| claim["metadata"]["deletionTimestamp"].is_null())
        };
        let pod = self.pods.get(name);
        pod.is_none_or(|pod| claims_of(pod).all(stays))
    }

    /// The scheduler gives a Pod its node, once.
    pub fn bind(&mut self, name: &str, node: &str) -> Result<(), Refused> {
        let mut pod = self.pods.get(name).ok_or(Refused::NotFound)?.clone();
        let is_deleted = pod["metadata"]["deletionTimestamp"].is_string();
        if is_deleted || !pod["spec"]["nodeName"].is_null() {
            return Err(Refused::Conflict);
        }
        pod["spec"]["nodeName"] = node.into();
        merge_condition(
            &mut pod,
            &json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": self.now_text()}),
        );
        self.store(Resource::Pods, name, pod);
        Ok(())
    }

    /// Stores what the kubelet or the scheduler writes.
    pub fn write_status(&mut self, name: &str, pod: impl Into<Object>) {
        self.store(Resource::PodsStatus, name, pod.into());
    }

    /// `kubectl set image` on a Pod.
    pub fn edit_image(&mut self, name: &str, image: &str) {
        self.edit(Resource::Pods, name, |pod| {
            pod["spec"]["containers"][0]["image"] = image.into();
        });
    }

    /// An autoscaler resizes the first container of a Pod.
    pub fn edit_cpu(&mut self, name: &str, cpu: &str) {
        self.edit(Resource::PodsResize, name, |pod| {
            pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = cpu.into();
        });
    }

    /// Nobody holds a Pod by a finalizer any more. Returns whether anybody did.
    pub fn release(&mut self, name: &str) -> bool {
        let is_held = self.pods[name]["metadata"]["finalizers"].is_array();
        self.edit(Resource::Pods, name, |pod| {
            pod["metadata"]["finalizers"] = Value::Null;
        });
        is_held
    }

    /// `kubectl delete pvc`.
    pub fn delete_claim(&mut self, name: &str) {
        self.delete(Resource::Claims, name, &json!({}));
    }

    fn edit(&mut self, resource: Resource, name: &str, change: impl FnOnce(&mut Value)) {
        let old = self.pods[name].clone();
        let mut new = Value::clone(&old);
        change(&mut new);
        self.update(resource, name, &old, new).unwrap();
    }

    /// What changes nothing gets no new version, and no watch tells of it.
    fn store(&mut self, resource: Resource, name: &str, mut object: Object) -> Object {
        update::tidy(&mut object);
        if let Some(same) = self.objects(resource).get(name).filter(|o| **o == object) {
            return same.clone();
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.note(resource, name, &object, false);
        self.objects(resource)
            .insert(name.to_owned(), object.clone());
        object
    }
}

fn is_pod(resource: Resource) -> bool {
    match resource {
        Resource::Pods | Resource::PodsStatus | Resource::PodsResize => true,
        Resource::Claims | Resource::ControllerRevisions => false,
    }
}

/// Preconditions of a deletion.
fn check(object: &Value, expected: &Value) -> Result<(), Refused> {
    if differs(object, expected, "uid") || differs(object, expected, "resourceVersion") {
        return Err(Refused::Conflict);
    }
    Ok(())
}

/// UID and version in the metadata of a merge.
fn check_merge(object: &Value, expected: &Value) -> Result<(), Refused> {
    if differs(object, expected, "resourceVersion") {
        Err(Refused::Conflict)
    } else if differs(object, expected, "uid") {
        Err(Refused::OtherUid)
    } else {
        Ok(())
    }
}

fn differs(object: &Value, expected: &Value, key: &str) -> bool {
    !expected[key].is_null() && expected[key] != object["metadata"][key]
}
