//! What a write must not do to a Pod that a hook holds, and an owner of hooks that plays along.

use apis::lifecycle::{Lifecycle, LifecycleHook, State};
use apis::names;
use planner::Effect;
use serde_json::Value;

use crate::server::Server;
use crate::watchdog::{is_active, is_ready};

/// The state that the Pod's label says.
pub fn label(pod: &Value) -> &str {
    let label = pod["metadata"]["labels"][names::LIFECYCLE_STATE_LABEL].as_str();
    label.unwrap_or_default()
}

/// How many parts of the hook are on the Pod, and how many there are.
fn parts(hook: &LifecycleHook, pod: &Value) -> (usize, usize) {
    let metadata = &pod["metadata"];
    let finalizers = metadata["finalizers"].as_array();
    let has = |name: &String| finalizers.is_some_and(|all| all.iter().any(|f| f == name));
    let labels = &hook.labels_handler;
    let there = labels
        .iter()
        .filter(|(key, value)| metadata["labels"][key] == **value)
        .count()
        + hook
            .finalizers_handler
            .iter()
            .filter(|name| has(name))
            .count();
    (there, labels.len() + hook.finalizers_handler.len())
}

fn holds(hook: Option<&LifecycleHook>, pod: &Value) -> bool {
    hook.is_some_and(|hook| parts(hook, pod).0 > 0)
}

fn is_complete(hook: Option<&LifecycleHook>, pod: &Value) -> bool {
    hook.is_none_or(|hook| {
        let (there, all) = parts(hook, pod);
        there == all
    })
}

/// Whether the Pod is asked about, or is ready and not let go on: its owner is to act next.
pub fn is_waited_for(lifecycle: &Lifecycle, pod: &Value) -> bool {
    match label(pod) {
        "PreparingUpdate" => holds(lifecycle.in_place_update.as_ref(), pod),
        "PreparingDelete" => holds(lifecycle.pre_delete.as_ref(), pod),
        "PreparingNormal" => is_ready(pod) && !is_complete(lifecycle.pre_normal.as_ref(), pod),
        "Updated" => is_ready(pod) && !is_complete(lifecycle.in_place_update.as_ref(), pod),
        _ => false,
    }
}

/// `before` is the Pod at the server when `effect` met it.
pub fn check(lifecycle: &Lifecycle, effect: &Effect, before: &Value) {
    let pre_normal = lifecycle.pre_normal.as_ref();
    let in_place = lifecycle.in_place_update.as_ref();
    let said = label(before);
    match effect {
        Effect::DeletePod { .. } if is_active(before) => {
            let held = holds(lifecycle.pre_delete.as_ref(), before);
            assert!(!held, "deleted while a hook holds it: {before}");
        }
        Effect::PatchPod { images, .. } if !images.is_empty() && said != "Updating" => {
            assert!(
                !holds(in_place, before),
                "patched while a hook holds it: {before}"
            );
        }
        Effect::Transition {
            state: State::Normal,
            ..
        }
        | Effect::OpenGate {
            state: Some(State::Normal),
            ..
        } => {
            let hook = match said {
                "PreparingUpdate" | "Updating" | "Updated" => in_place,
                _ => pre_normal,
            };
            assert!(
                is_complete(hook, before),
                "called Normal too early: {before}"
            );
        }
        _ => {}
    }
}

/// Whoever owns the hooks does what each Pod's state asks of it, and lets go of Pods that are on
/// their way out. Returns whether there was anything to do.
pub fn owner_acts(lifecycle: &Lifecycle, server: &mut Server) -> bool {
    let names: Vec<String> = server.pods.keys().cloned().collect();
    let acted = names
        .iter()
        .map(|name| owner_acts_on(lifecycle, server, name));
    acted.fold(false, |any, acted| any | acted)
}

/// The same for one Pod.
pub fn owner_acts_on(lifecycle: &Lifecycle, server: &mut Server, name: &str) -> bool {
    let Some(old) = server.pods.get(name) else {
        return false;
    };
    if old["metadata"]["deletionTimestamp"].is_string() {
        return server.release(name);
    }
    let (hook, hold) = match label(old) {
        "PreparingNormal" => (&lifecycle.pre_normal, true),
        "PreparingUpdate" => (&lifecycle.in_place_update, false),
        "Updated" => (&lifecycle.in_place_update, true),
        "PreparingDelete" => (&lifecycle.pre_delete, false),
        _ => return false,
    };
    let Some(hook) = hook else { return false };
    let mut pod = old.clone();
    set(&mut pod, hook, hold);
    let acts = pod != *old;
    if acts {
        server.write_status(name, pod);
    }
    acts
}

/// Puts every part of the hook on the Pod, or takes it away.
pub fn set(pod: &mut Value, hook: &LifecycleHook, hold: bool) {
    let metadata = &mut pod["metadata"];
    for (key, value) in &hook.labels_handler {
        if hold {
            metadata["labels"][key] = value.clone().into();
        } else if let Some(labels) = metadata["labels"].as_object_mut() {
            labels.remove(key);
        }
    }
    for name in &hook.finalizers_handler {
        let mut finalizers = metadata["finalizers"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let there = finalizers.iter().position(|f| f == name);
        match (there, hold) {
            (None, true) => finalizers.push(name.clone().into()),
            (Some(at), false) => {
                finalizers.remove(at);
            }
            (None, false) | (Some(_), true) => continue,
        }
        metadata["finalizers"] = finalizers.into();
    }
}
