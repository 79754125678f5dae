//! A model of the API server: Pods and revisions as JSON, changed by requests only.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use planner::effect::{Request, Resource, Verb};
use serde_json::{Value, json};

use crate::kubelet::is_warmer;
use crate::resize::{check_resize, default_requests};

/// What a request was refused for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    NotFound,
    Exists,
    Conflict,
    TestFailed,
}

/// What admission makes of a Pod that is created or changed.
pub type Admission = fn(&mut Value);

/// One version of one object, as a watch would tell of it.
#[derive(Clone, Debug)]
pub struct Change {
    pub resource: Resource,
    pub name: String,
    /// As it is now, or was last; its version is that of the change.
    pub object: Arc<Value>,
    pub deleted: bool,
}

#[derive(Clone)]
pub struct Server {
    pub pods: BTreeMap<String, Value>,
    pub claims: BTreeMap<String, Value>,
    pub revisions: BTreeMap<String, Value>,
    pub now: Timestamp,
    pub admission: Option<Admission>,
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

    /// Answers with the object as it is afterwards, or None when it is gone.
    pub fn perform(&mut self, request: &Request) -> Result<Option<Value>, Refused> {
        let name = &request.name;
        let body = &request.body;
        let objects = match request.resource {
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize => &self.pods,
            Resource::Claims => &self.claims,
            Resource::ControllerRevisions => &self.revisions,
        };
        let old = objects.get(name).cloned();
        match (request.verb, old) {
            (Verb::Create, Some(_)) => Err(Refused::Exists),
            (Verb::Create, None) if self.refuses_warmers && is_warmer(body) => {
                Err(Refused::Conflict)
            }
            (Verb::Create, None) => Ok(Some(self.create(request))),
            (_, None) => Err(Refused::NotFound),
            (Verb::Delete, Some(old)) => {
                check(&old, &body["preconditions"])?;
                Ok(self.delete(request.resource, name))
            }
            (Verb::JsonPatch, Some(old)) => {
                let mut new = old.clone();
                let patch: json_patch::Patch = serde_json::from_value(body.clone()).unwrap();
                json_patch::patch(&mut new, &patch).map_err(|_| Refused::TestFailed)?;
                Ok(Some(self.update(request.resource, name, new)))
            }
            (Verb::StrategicPatch, Some(old)) => {
                assert_eq!(request.resource, Resource::PodsStatus);
                check(&old, &body["metadata"])?;
                let mut new = old;
                // Labels and annotations are merged; the rest of the metadata says what is meant.
                json_patch::merge(&mut new, &serde_json::json!({"metadata": body["metadata"]}));
                for condition in body["status"]["conditions"].as_array().unwrap() {
                    merge_condition(&mut new, condition);
                }
                Ok(Some(self.update(request.resource, name, new)))
            }
            (Verb::MergePatch, Some(old)) => {
                check(&old, &body["metadata"])?;
                let mut new = old;
                json_patch::merge(&mut new, body);
                Ok(Some(self.update(request.resource, name, new)))
            }
        }
    }

    fn create(&mut self, request: &Request) -> Value {
        let mut object = request.body.clone();
        self.uids += 1;
        let now = self.now_text();
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.insert("uid".into(), format!("uid-{:03}", self.uids).into());
        metadata.insert("generation".into(), 1.into());
        metadata.insert("creationTimestamp".into(), now.into());
        assert_eq!(metadata["name"], request.name.as_str());
        if request.resource == Resource::Pods {
            object["status"] = json!({"phase": "Pending", "conditions": []});
            default_requests(&mut object);
            if let Some(admit) = self.admission {
                admit(&mut object);
            }
        }
        self.store(request.resource, &request.name, object)
    }

    fn update(&mut self, resource: Resource, name: &str, mut new: Value) -> Value {
        match resource {
            Resource::ControllerRevisions | Resource::Claims => {}
            // Nothing but resources may differ; metadata is not stored.
            Resource::PodsResize => {
                let old = &self.pods[name];
                check_resize(old, &new);
                new["metadata"] = old["metadata"].clone();
                new["status"] = old["status"].clone();
                if old["spec"] != new["spec"] {
                    let generation = old["metadata"]["generation"].as_i64().unwrap();
                    new["metadata"]["generation"] = (generation + 1).into();
                }
            }
            Resource::Pods => {
                let old = &self.pods[name];
                new["status"] = old["status"].clone();
                if let Some(admit) = self.admission {
                    admit(&mut new);
                }
                assert_eq!(
                    without_images(old),
                    without_images(&new),
                    "all but images is immutable"
                );
                if old["spec"] != new["spec"] {
                    let generation = old["metadata"]["generation"].as_i64().unwrap();
                    new["metadata"]["generation"] = (generation + 1).into();
                }
            }
            // This subresource stores labels and annotations too, and nothing of the spec.
            Resource::PodsStatus => new["spec"] = self.pods[name]["spec"].clone(),
        }
        self.store(resource, name, new)
    }

    fn delete(&mut self, resource: Resource, name: &str) -> Option<Value> {
        match resource {
            Resource::ControllerRevisions | Resource::Claims => self.remove(resource, name),
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize => {
                return self.terminate(name);
            }
        }
        None
    }

    /// An object is gone for good.
    pub fn remove(&mut self, resource: Resource, name: &str) {
        let removed = self.objects(resource).remove(name);
        let Some(mut object) = removed.filter(|_| self.journal.is_some()) else {
            return;
        };
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.note(resource, name, &object, true);
    }

    fn objects(&mut self, resource: Resource) -> &mut BTreeMap<String, Value> {
        match resource {
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize => &mut self.pods,
            Resource::Claims => &mut self.claims,
            Resource::ControllerRevisions => &mut self.revisions,
        }
    }

    fn note(&mut self, resource: Resource, name: &str, object: &Value, deleted: bool) {
        if let Some(journal) = &mut self.journal {
            journal.push(Change {
                resource,
                name: name.to_owned(),
                object: Arc::new(object.clone()),
                deleted,
            });
        }
    }

    /// Deletion as anybody may ask for it: at once where no kubelet has the Pod.
    pub fn terminate(&mut self, name: &str) -> Option<Value> {
        let mut pod = self.pods.get(name)?.clone();
        if pod["spec"]["nodeName"].is_null() {
            self.remove(Resource::Pods, name);
            return None;
        }
        pod["metadata"]["deletionTimestamp"] = self.now_text().into();
        Some(self.store(Resource::Pods, name, pod))
    }

    /// What the garbage collector does: claims go with the Pods that own them.
    pub fn collect_claims(&mut self) -> Vec<String> {
        let uid = |object: &Value| object["metadata"]["uid"].clone();
        let pods: Vec<Value> = self.pods.values().map(uid).collect();
        let is_lost = |claim: &Value| {
            let owner = &claim["metadata"]["ownerReferences"][0];
            owner["kind"] == "Pod" && !pods.contains(&owner["uid"])
        };
        let lost = self.claims.iter().filter(|(_, claim)| is_lost(claim));
        let names: Vec<String> = lost.map(|(name, _)| name.clone()).collect();
        for name in &names {
            self.claims.remove(name);
        }
        names
    }

    /// Stores what the kubelet or the scheduler writes.
    pub fn write_status(&mut self, name: &str, pod: Value) {
        self.store(Resource::PodsStatus, name, pod);
    }

    /// `kubectl set image` on a Pod.
    pub fn edit_image(&mut self, name: &str, image: &str) {
        let mut pod = self.pods[name].clone();
        pod["spec"]["containers"][0]["image"] = image.into();
        self.update(Resource::Pods, name, pod);
    }

    /// An autoscaler resizes the first container of a Pod.
    pub fn edit_cpu(&mut self, name: &str, cpu: &str) {
        let mut pod = self.pods[name].clone();
        pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = cpu.into();
        self.update(Resource::PodsResize, name, pod);
    }

    fn store(&mut self, resource: Resource, name: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.note(resource, name, &object, false);
        self.objects(resource)
            .insert(name.to_owned(), object.clone());
        object
    }
}

fn check(object: &Value, expected: &Value) -> Result<(), Refused> {
    for key in ["uid", "resourceVersion"] {
        let wanted = &expected[key];
        if !wanted.is_null() && *wanted != object["metadata"][key] {
            return Err(Refused::Conflict);
        }
    }
    Ok(())
}

/// Strategic merge of one element of `status.conditions`, whose merge key is `type`.
pub fn merge_condition(pod: &mut Value, condition: &Value) {
    let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
    match conditions
        .iter_mut()
        .find(|c| c["type"] == condition["type"])
    {
        Some(there) => json_patch::merge(there, condition),
        None => conditions.push(condition.clone()),
    }
}

fn without_images(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            container["image"] = Value::Null;
        }
    }
    spec
}
