//! A model of the kubelet (and of the scheduler): one stage of one Pod at a time.
//!
//! An image whose name contains `bad` cannot be pulled, one with `crash` does not stay up. Tags
//! that differ only in `-again` are the same digest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::object::Object;
use crate::resize;
use crate::server::{Server, merge_condition};
use crate::watchdog::{is_active, is_ready};

#[derive(Clone, Default)]
pub struct Kubelet {
    /// Older than Kubernetes 1.34: never says which generation it has seen.
    pub is_old: bool,
    /// UIDs of Pods that somebody else changed: what becomes of their traffic is not our doing.
    pub excused: BTreeSet<String>,
    /// Containers (names) that are injected: whoever changes them drains no Pod for it.
    pub injected: BTreeSet<String>,
    /// Pods that never pass their readiness probe.
    pub broken: BTreeSet<String>,
    /// No node takes new Pods.
    pub is_unschedulable: bool,
    /// The node has no room for resizes now.
    pub is_full: bool,
    /// The image each container was last started with.
    started: BTreeMap<String, BTreeMap<String, String>>,
    ids: u32,
    /// Pods are spread over so many nodes; 0 is 1.
    pub nodes: u32,
    assigned: u32,
    /// Nodes that never say anything of Pods that pull images ahead.
    pub silent: BTreeSet<String>,
}

impl Kubelet {
    /// The container of a Pod that was not made here runs `image`.
    pub fn has_started(&mut self, uid: &str, container: &str, image: &str) {
        let of_pod = self.started.entry(uid.to_owned()).or_default();
        of_pod.insert(container.to_owned(), image.to_owned());
    }

    fn started(&self, uid: &str, container: &str) -> Option<&str> {
        let image = self.started.get(uid)?.get(container)?;
        Some(image)
    }

    /// Takes one Pod one stage further. Returns whether anything changed.
    pub fn sync(&mut self, server: &mut Server, name: &str) -> bool {
        let Some(old) = server.pods.get(name).cloned() else {
            return false;
        };
        if old["metadata"]["deletionTimestamp"].is_string() {
            return self.end(server, name, old);
        }
        if matches!(
            old["status"]["phase"].as_str(),
            Some("Failed" | "Succeeded")
        ) {
            return false;
        }
        if is_warmer(&old) {
            return self.warm(server, name, old);
        }
        let mut pod = old.clone();
        let generation = pod["metadata"]["generation"].clone();
        if pod["spec"]["nodeName"].is_null() {
            if self.is_unschedulable || !server.has_claims(name) {
                return false;
            }
            let node = self.assigned % self.nodes.max(1) + 1;
            self.assigned += 1;
            return server.bind(name, &format!("node-{node}")).is_ok();
        } else if !self.is_old && pod["status"]["observedGeneration"] != generation {
            // The old containers still run when the kubelet reports that it has seen a new spec.
            pod["status"]["observedGeneration"] = generation;
            resize::grant(&mut pod, self.is_full, &server.now_text());
            judge(&mut pod, &server.now_text());
        } else {
            let now = server.now_text();
            // The sync that reports a new generation also stops what it no longer wants. One that
            // reports none says once more how it found the Pod, with its gates as they are now.
            if self.is_old {
                judge(&mut pod, &now);
            }
            if pod != old {
                server.write_status(name, pod);
                return true;
            }
            self.check_drained(&pod);
            let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
            for container in resize::actuate(&mut pod, self.excused.contains(&uid)) {
                if let Some(of_pod) = self.started.get_mut(&uid) {
                    of_pod.remove(&container);
                }
            }
            resize::grant(&mut pod, self.is_full, &now);
            for (list, statuses) in [
                ("initContainers", "initContainerStatuses"),
                ("containers", "containerStatuses"),
            ] {
                self.containers(&mut pod, &old, (list, statuses), &now);
            }
            if let Some(status) = pod.pointer_mut("/status/containerStatuses/0") {
                let ready = status["ready"] == true && !self.broken.contains(name);
                status["ready"] = ready.into();
            }
            judge(&mut pod, &now);
        }
        let changed = pod != old;
        if changed {
            server.write_status(name, pod);
        }
        changed
    }

    /// A Pod on its way out: its containers end, then it is let go. Whoever holds it by a finalizer
    /// keeps it even then.
    fn end(&self, server: &mut Server, name: &str, mut pod: Object) -> bool {
        let generation = pod["metadata"]["generation"].clone();
        if pod["spec"]["nodeName"].is_null() {
            return false;
        }
        if !self.is_old && pod["status"]["observedGeneration"] != generation {
            pod["status"]["observedGeneration"] = generation;
        } else if matches!(pod["status"]["phase"].as_str(), Some("Pending" | "Running")) {
            pod["status"]["phase"] = "Succeeded".into();
            for statuses in ["containerStatuses", "initContainerStatuses"] {
                let all = pod["status"]
                    .get_mut(statuses)
                    .and_then(Value::as_array_mut);
                for status in all.into_iter().flatten() {
                    status["ready"] = false.into();
                    status["state"] = json!({"terminated": {"exitCode": 0}});
                }
            }
            judge(&mut pod, &server.now_text());
        } else {
            let waits = pod["metadata"]["deletionGracePeriodSeconds"] != 0;
            server.finish(name);
            return waits;
        }
        server.write_status(name, pod);
        true
    }

    /// A Pod that is there for its images: pulled, and then not started, or not pulled.
    fn warm(&mut self, server: &mut Server, name: &str, mut pod: Object) -> bool {
        let node = pod["spec"]["nodeName"].as_str().unwrap();
        if self.silent.contains(node) {
            return false;
        }
        let before = pod["status"].clone();
        let is_known = before["containerStatuses"].is_array();
        let specs = pod["spec"]["containers"].as_array().unwrap();
        let statuses: Vec<Value> = specs
            .iter()
            .map(|spec| {
                let image = spec["image"].as_str().unwrap();
                let (id, state) = if !is_known {
                    ("", json!({"waiting": {"reason": "ContainerCreating"}}))
                } else if image.contains("bad") {
                    let message = format!("{image} not found");
                    (
                        "",
                        json!({"waiting": {"reason": "ErrImagePull", "message": message}}),
                    )
                } else {
                    (
                        image,
                        json!({"terminated": {"reason": "StartError", "exitCode": 128}}),
                    )
                };
                json!({"name": spec["name"], "ready": false, "restartCount": 0, "image": image,
                    "imageID": id, "state": state})
            })
            .collect();
        let ended = statuses
            .iter()
            .all(|s| s["state"]["terminated"].is_object());
        pod["status"]["phase"] = if ended { "Failed" } else { "Pending" }.into();
        pod["status"]["containerStatuses"] = statuses.into();
        let changed = pod["status"] != before;
        if changed {
            server.write_status(name, pod);
        }
        changed
    }

    /// A container that is about to stop for another image serves nobody.
    fn check_drained(&self, pod: &Value) {
        let uid = pod["metadata"]["uid"].as_str().unwrap();
        let gated = pod["spec"]["readinessGates"].is_array();
        if !gated || !is_ready(pod) || self.excused.contains(uid) {
            return;
        }
        for list in ["containers", "initContainers"] {
            for spec in pod["spec"][list].as_array().into_iter().flatten() {
                let name = spec["name"].as_str().unwrap();
                let started = self.started(uid, name);
                let stops = started.is_some_and(|image| spec["image"] != *image);
                assert!(
                    !stops || self.injected.contains(name),
                    "a container that serves is stopped: {pod}"
                );
            }
        }
    }

    fn containers(
        &mut self,
        pod: &mut Value,
        old: &Value,
        (list, statuses): (&str, &str),
        now: &str,
    ) {
        let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
        let may_start = list == "initContainers" || is_initialized(old);
        for spec in old["spec"][list].as_array().into_iter().flatten() {
            let name = spec["name"].as_str().unwrap();
            if pod["status"][statuses].is_null() {
                pod["status"][statuses] = json!([]);
            }
            let all = pod["status"][statuses].as_array_mut().unwrap();
            let index = all.iter().position(|s| s["name"] == name);
            let Some(index) = index else {
                all.push(
                    json!({"name": name, "ready": false, "restartCount": 0, "image": "",
                    "imageID": "", "state": {"waiting": {"reason": "ContainerCreating"}}}),
                );
                if list == "containers" {
                    all.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
                }
                continue;
            };
            let classic = list == "initContainers" && spec["restartPolicy"] != "Always";
            if classic {
                all[index]["state"] = json!({"terminated": {"exitCode": 0}});
                all[index]["ready"] = true.into();
            } else if may_start {
                let image = spec["image"].as_str().unwrap();
                self.container(&mut all[index], &uid, image, now);
                resize::start(&mut all[index], spec);
            }
        }
    }

    fn container(&mut self, status: &mut Value, uid: &str, image: &str, now: &str) {
        let name = status["name"].as_str().unwrap().to_owned();
        let is_started = self.started(uid, &name) == Some(image);
        let runs = status["state"]["running"].is_object();
        if runs && !is_started {
            status["ready"] = false.into();
            status["state"] = json!({"waiting": {"reason": "ContainerCreating"}});
        } else if runs {
            status["ready"] = true.into();
        } else if image.contains("bad") {
            status["state"] = json!({"waiting": {"reason": "ErrImagePull",
                "message": format!("{image} not found")}});
        } else if !is_started || !image.contains("crash") {
            if status["containerID"].is_string() {
                status["restartCount"] = (status["restartCount"].as_i64().unwrap() + 1).into();
            }
            self.ids += 1;
            status["containerID"] = format!("containerd://{}", self.ids).into();
            let digest = format!("sha256:{}", image.trim_end_matches("-again"));
            // The runtime reports the first tag of a digest that it ever saw.
            if status["imageID"] != digest.as_str() {
                status["image"] = image.into();
            }
            status["imageID"] = digest.into();
            self.has_started(uid, &name, image);
            status["state"] = if image.contains("crash") {
                json!({"waiting": {"reason": "CrashLoopBackOff",
                    "message": "back-off 10s restarting"}})
            } else {
                json!({"running": {"startedAt": now}})
            };
        }
    }

    /// A container of the Pod dies of itself and is started again.
    pub fn crash(server: &mut Server, name: &str) {
        let mut pod = server.pods[name].clone();
        let now = server.now_text();
        if !is_active(&pod) {
            return;
        }
        let Some(status) = pod.pointer_mut("/status/containerStatuses/0") else {
            return;
        };
        if status["state"]["running"].is_object() {
            status["state"] = json!({"waiting": {"reason": "ContainerCreating"}});
            status["ready"] = false.into();
            judge(&mut pod, &now);
            server.write_status(name, pod);
        }
    }
}

/// Containers start once those before them are through, or ready where they run on.
fn is_initialized(pod: &Value) -> bool {
    let statuses = |key: &str| pod["status"][key].as_array().into_iter().flatten();
    let has_begun = statuses("containerStatuses").any(|s| s["containerID"].is_string());
    has_begun || statuses("initContainerStatuses").all(|s| s["ready"] == true)
}

pub fn is_warmer(pod: &Value) -> bool {
    pod["metadata"]["labels"]["apps.kruise.io/image-warmer-of"].is_string()
}

/// Whether the runtime reports another name for the image of a container than its spec does.
pub fn is_retagged(pod: &Value) -> bool {
    let lists = [
        ("containers", "containerStatuses"),
        ("initContainers", "initContainerStatuses"),
    ];
    let named = |list: &str, name: &Value| {
        let items = pod.pointer(list).and_then(Value::as_array);
        let found = items
            .into_iter()
            .flatten()
            .find(|item| item["name"] == *name);
        found.map_or(Value::Null, |item| item["image"].clone())
    };
    lists.into_iter().any(|(specs, statuses)| {
        let specs = pod["spec"][specs].as_array().into_iter().flatten();
        let reported = |name| named(&format!("/status/{statuses}"), name);
        specs
            .into_iter()
            .any(|spec| reported(&spec["name"]) != spec["image"])
    })
}

/// The Pod's phase and its Ready condition.
fn judge(pod: &mut Value, now: &str) {
    let statuses = |key: &str| pod["status"][key].as_array().into_iter().flatten();
    let mut app = statuses("containerStatuses");
    let has_begun = app.any(|s| s["containerID"].is_string());
    let all = statuses("initContainerStatuses").chain(statuses("containerStatuses"));
    let mut all = all.peekable();
    let are_ready = all.peek().is_some() && all.all(|s| s["ready"] == true);
    if has_begun && pod["status"]["phase"] == "Pending" {
        pod["status"]["phase"] = "Running".into();
    }
    let is_true = |name: &Value| {
        let conditions = pod["status"]["conditions"].as_array().unwrap();
        conditions
            .iter()
            .any(|c| c["type"] == *name && c["status"] == "True")
    };
    let gates = pod["spec"]["readinessGates"].as_array();
    let open = gates
        .into_iter()
        .flatten()
        .all(|gate| is_true(&gate["conditionType"]));
    let ready = open && are_ready;
    let was = is_true(&"Ready".into());
    let known = pod["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .any(|c| c["type"] == "Ready");
    if ready != was || !known {
        let status = if ready { "True" } else { "False" };
        let condition = json!({"type": "Ready", "status": status, "lastTransitionTime": now,
            "reason": null});
        merge_condition(pod, &condition);
    }
}
