//! Resizes in the model: what the API server accepts, and what the kubelet makes of it.
//!
//! The node has room for anything but a request for 1000 cpus, unless it is full for the time
//! being.

use serde_json::{Value, json};

use crate::server::merge_condition;
use crate::watchdog::is_ready;

const PENDING: &str = "PodResizePending";
const IN_PROGRESS: &str = "PodResizeInProgress";
const LISTS: [(&str, &str); 2] = [
    ("containers", "containerStatuses"),
    ("initContainers", "initContainerStatuses"),
];

/// What a Pod is limited to and does not ask for, it asks for in full.
pub(crate) fn default_requests(pod: &mut Value) {
    for (list, _) in LISTS {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let resources = &mut container["resources"];
            let limits = resources["limits"].as_object().cloned();
            for (resource, amount) in limits.into_iter().flatten() {
                if resources["requests"][&resource].is_null() {
                    resources["requests"][&resource] = amount;
                }
            }
            if resources.is_null() {
                *resources = json!({});
            }
        }
    }
}

/// Whether nothing but amounts of cpu and memory differ, and none goes away.
pub(crate) fn is_resize(old: &Value, new: &Value) -> bool {
    let keeps = |(old, new): (&Value, &Value)| {
        ["limits", "requests"].iter().all(|key| {
            let amounts = old["resources"][key].as_object();
            let mut amounts = amounts.into_iter().flatten();
            amounts.all(|(resource, _)| !new["resources"][key][resource].is_null())
        })
    };
    without_amounts(old) == without_amounts(new)
        && qos_class(old) == qos_class(new)
        && LISTS.iter().all(|(list, _)| {
            let old = old["spec"][list].as_array().into_iter().flatten();
            let new = new["spec"][list].as_array().into_iter().flatten();
            old.zip(new).all(keeps)
        })
}

/// 0 asks for nothing, 2 is limited to what it asks for, 1 is all between.
fn qos_class(pod: &Value) -> u8 {
    let containers = LISTS
        .iter()
        .flat_map(|(list, _)| pod["spec"][list].as_array().into_iter().flatten());
    let (mut asks, mut is_guaranteed) = (false, true);
    for container in containers {
        for resource in ["cpu", "memory"] {
            let amount = |list: &str| &container["resources"][list][resource];
            let (request, limit) = (amount("requests"), amount("limits"));
            asks |= !request.is_null() || !limit.is_null();
            is_guaranteed &= !limit.is_null() && request == limit;
        }
    }
    match (asks, is_guaranteed) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    }
}

/// Whole cpus that a Pod asks for.
pub(crate) fn cpus(pod: &Value) -> u64 {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let cpu = |container: &Value| {
        let cpu = container["resources"]["requests"]["cpu"].as_str();
        cpu.and_then(|cpu| cpu.parse::<u64>().ok())
    };
    containers.filter_map(cpu).sum()
}

fn without_amounts(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    for (list, _) in LISTS {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let resources = &mut container["resources"];
            for list in ["limits", "requests"] {
                let Some(amounts) = resources.get_mut(list).and_then(Value::as_object_mut) else {
                    continue;
                };
                amounts.retain(|resource, _| resource != "cpu" && resource != "memory");
                if amounts.is_empty() {
                    resources[list] = Value::Null;
                }
            }
            // Absent and empty are the same.
            let rest = ["limits", "requests", "claims"].map(|key| resources[key].take());
            *resources = rest.into_iter().collect();
        }
    }
    spec
}

fn differing(pod: &Value) -> Vec<(&'static str, usize, Value)> {
    let mut differing = Vec::new();
    for (list, statuses) in LISTS {
        let specs = pod["spec"][list].as_array().into_iter().flatten();
        for spec in specs {
            let all = pod["status"][statuses].as_array();
            let index = all.and_then(|all| all.iter().position(|s| s["name"] == spec["name"]));
            let Some(index) = index else { continue };
            let status = &pod["status"][statuses][index];
            if !status["resources"].is_null() && status["resources"] != spec["resources"] {
                differing.push((statuses, index, spec.clone()));
            }
        }
    }
    differing
}

/// The kubelet decides whether it has room for what the spec asks for.
pub(crate) fn grant(pod: &mut Value, is_full: bool, now: &str) {
    let differing = differing(pod);
    let infeasible = differing
        .iter()
        .any(|(_, _, spec)| spec["resources"]["requests"]["cpu"] == "1000");
    let held = match (differing.is_empty(), infeasible) {
        (true, _) => None,
        (false, true) => Some(("Infeasible", "the node has 4 cpus")),
        (false, false) => is_full.then_some(("Deferred", "the node is full")),
    };
    match held {
        Some((reason, message)) => {
            remove(pod, IN_PROGRESS);
            say(pod, PENDING, (reason, message), now);
        }
        None => {
            remove(pod, PENDING);
            if differing.is_empty() {
                remove(pod, IN_PROGRESS);
            } else {
                say(pod, IN_PROGRESS, ("", ""), now);
            }
        }
    }
}

/// The kubelet makes what it has granted. Answers with the names of containers that it stops for
/// it.
pub(crate) fn actuate(pod: &mut Value, is_excused: bool) -> Vec<String> {
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    if !conditions.iter().any(|c| c["type"] == IN_PROGRESS) {
        return Vec::new();
    }
    let mut stopped = Vec::new();
    for (statuses, index, spec) in differing(pod) {
        let there = pod["status"][statuses][index]["resources"].clone();
        let changed = |resource: &Value| {
            ["limits", "requests"].iter().any(|list| {
                let resource = resource.as_str().unwrap();
                there[list][resource] != spec["resources"][list][resource]
            })
        };
        let policies = spec["resizePolicy"].as_array().into_iter().flatten();
        let restarts = policies
            .filter(|p| p["restartPolicy"] == "RestartContainer")
            .any(|p| changed(&p["resourceName"]));
        if restarts {
            assert!(
                is_excused || !is_ready(pod),
                "a container that serves is stopped by a resize: {pod}"
            );
            stopped.push(spec["name"].as_str().unwrap().to_owned());
        }
        pod["status"][statuses][index]["resources"] = spec["resources"].clone();
    }
    remove(pod, IN_PROGRESS);
    stopped
}

/// A container that starts has the resources of its spec.
pub(crate) fn start(status: &mut Value, spec: &Value) {
    if status["resources"].is_null() && status["containerID"].is_string() {
        status["resources"] = spec["resources"].clone();
    }
}

fn say(pod: &mut Value, type_: &str, (reason, message): (&str, &str), now: &str) {
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    let known = conditions.iter().find(|c| c["type"] == type_);
    if known.is_none_or(|c| c["reason"] != reason) {
        let condition = json!({"type": type_, "status": "True", "reason": reason,
            "message": message, "lastTransitionTime": now});
        merge_condition(pod, &condition);
    }
}

fn remove(pod: &mut Value, type_: &str) {
    let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
    conditions.retain(|c| c["type"] != type_);
}
