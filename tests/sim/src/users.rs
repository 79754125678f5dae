//! Everybody else: users with kubectl, autoscalers, nodes that go away.

use fastrand::Rng;
use jiff::SignedDuration;
use model::kubelet::Kubelet;
use model::watchdog::{is_active, serves};
use planner::effect::Resource;
use serde_json::{Value, json};

use crate::world::{NODES, World};

const IMAGES: [&str; 6] = [
    "web:1",
    "web:2",
    "web:3",
    "web:1-again",
    "web:bad",
    "web:crash",
];

fn share(rng: &mut Rng) -> Value {
    if rng.bool() {
        json!(rng.u32(..6))
    } else {
        json!(format!("{}%", rng.u32(..=10) * 10))
    }
}

fn policy(rng: &mut Rng) -> Value {
    let policies = [
        "ReCreate",
        "InPlaceIfPossible",
        "InPlaceIfPossible",
        "InPlaceOnly",
    ];
    json!(policies[rng.usize(..4)])
}

/// Cpus that no node has.
const TOO_MANY: &str = "1000";

/// None, one each, and several by the same label as is usual.
const HOOKS: [&str; 6] = [
    "null",
    r#"{"preNormal": {"finalizersHandler": ["ex.io/hold"]}}"#,
    r#"{"inPlaceUpdate": {"labelsHandler": {"hold": "yes"}, "markPodNotReady": true}}"#,
    r#"{"preDelete": {"labelsHandler": {"hold": "yes"}, "finalizersHandler": ["ex.io/hold"]}}"#,
    r#"{"inPlaceUpdate": {"labelsHandler": {"hold": "yes"}},
        "preDelete": {"labelsHandler": {"hold": "yes"}, "markPodNotReady": true}}"#,
    r#"{"preNormal": {"labelsHandler": {"hold": "yes"}},
        "inPlaceUpdate": {"labelsHandler": {"hold": "yes"}, "markPodNotReady": true},
        "preDelete": {"labelsHandler": {"hold": "yes"}}}"#,
];

fn hooks(rng: &mut Rng) -> Value {
    serde_json::from_str(HOOKS[rng.usize(..HOOKS.len())]).expect("hooks are JSON")
}

/// What most sets do without: each with some probability.
pub(crate) fn enrich(spec: &mut Value, rng: &mut Rng) {
    let mut some = |one_in: u32| rng.u32(..one_in) == 0;
    let [claims, has_hooks, resources, beside] = [some(4), some(3), some(4), some(4)];
    if claims {
        spec["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {}}]);
        spec["scaleStrategy"]["enablePVCReuse"] = rng.bool().into();
    }
    if has_hooks {
        spec["lifecycle"] = hooks(rng);
    }
    let pod = &mut spec["template"]["spec"];
    if resources {
        pod["containers"][0]["resources"] = json!({"requests": {"cpu": "1"}});
        if rng.u32(..3) == 0 {
            pod["containers"][0]["resizePolicy"] =
                json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
        }
    }
    if beside {
        if let Some(containers) = pod["containers"].as_array_mut() {
            containers.push(json!({"name": "side", "image": "side:1"}));
        }
        spec["template"]["metadata"]["annotations"] =
            json!({"apps.kruise.io/container-launch-priority": "Ordered"});
    }
    for _ in 0..rng.u32(..4) {
        enrich_edit(spec, rng);
    }
}

/// A change of what most sets do without.
fn enrich_edit(spec: &mut Value, rng: &mut Rng) {
    let rolling = &mut spec["updateStrategy"]["rollingUpdate"];
    match rng.u32(..9) {
        0 | 1 => rolling["maxSurge"] = share(rng),
        2 => {
            let warm = &mut rolling["inPlaceUpdateStrategy"];
            warm["imagePreDownloadParallelism"] = rng.u32(..3).into();
            warm["imagePreDownloadTimeoutSeconds"] = 20.into();
        }
        3 => {
            rolling["rollbackOnDeadline"] = rng.bool().into();
            spec["progressDeadlineSeconds"] = rng.u32(5..60).into();
        }
        4 => spec["scaleStrategy"]["maxUnavailable"] = share(rng),
        5 => spec["scaleStrategy"]["excludePreparingDelete"] = rng.bool().into(),
        6 if spec["lifecycle"].is_object() => spec["lifecycle"] = hooks(rng),
        7 => {
            let path = "/template/spec/containers/1/image";
            if let Some(image) = spec.pointer_mut(path) {
                *image = format!("side:{}", rng.u32(1..4)).into();
            }
        }
        _ => {
            let path = "/template/spec/containers/0/resources/requests/cpu";
            if let Some(cpu) = spec.pointer_mut(path) {
                *cpu = rng.u32(1..4).to_string().into();
            }
        }
    }
    allow(spec);
}

/// The one needs Pods replaced that the other keeps.
fn allow(spec: &mut Value) {
    let rolling = &mut spec["updateStrategy"]["rollingUpdate"];
    if rolling["podUpdatePolicy"] == "InPlaceOnly" && !rolling["maxSurge"].is_null() {
        rolling["maxSurge"] = 0.into();
    }
}

/// Cpus are asked for, and not waited for without end in half of the sets.
pub(crate) fn ask_for_cpus(spec: &mut Value, rng: &mut Rng) {
    let resources = &mut spec["template"]["spec"]["containers"][0]["resources"];
    if resources.is_null() {
        *resources = json!({"requests": {"cpu": "1"}});
    }
    if rng.bool() {
        let rolling = &mut spec["updateStrategy"]["rollingUpdate"];
        rolling["inPlaceUpdateStrategy"]["resizeDeadlineSeconds"] = rng.u32(1..10).into();
    }
}

/// Nodes fill up or empty, and the template asks for more cpus or fewer, also for more than there are.
pub(crate) fn move_cpus(world: &mut World, rng: &mut Rng) {
    if rng.bool() {
        world.kubelet.is_full = !world.kubelet.is_full;
        let is_full = world.kubelet.is_full;
        return world.tell(|| format!("NODES full={is_full}"));
    }
    let cpus = ["1", "2", "3", TOO_MANY][rng.usize(..4)];
    world.edit("cpus", |spec| {
        spec["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = cpus.into();
    });
}

/// Any spec.
pub(crate) fn spec(rng: &mut Rng) -> Value {
    let mut pod = json!({"containers": [{"name": "main", "image": "web:1"}]});
    if rng.u32(..4) == 0 {
        pod["initContainers"] =
            json!([{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}]);
    }
    let mut rolling = json!({"podUpdatePolicy": policy(rng)});
    if rng.bool() {
        rolling["partition"] = share(rng);
    }
    if rng.bool() {
        rolling["maxUnavailable"] = share(rng);
    }
    if rng.u32(..4) == 0 {
        rolling["inPlaceUpdateStrategy"] = json!({"gracePeriodSeconds": rng.u32(..4)});
    }
    let mut spec = json!({
        "replicas": rng.u32(..=6),
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod},
        "updateStrategy": {"rollingUpdate": rolling},
    });
    if rng.u32(..3) == 0 {
        spec["minReadySeconds"] = rng.u32(..5).into();
    }
    if rng.u32(..3) == 0 {
        spec["revisionHistoryLimit"] = rng.u32(..3).into();
    }
    spec
}

/// A user or an autoscaler changes the set.
pub(crate) fn edit(world: &mut World, rng: &mut Rng) {
    let names = world.pod_names();
    let is_rich = world.is_rich && rng.u32(..4) == 0;
    world.edit("edit", |spec| {
        if is_rich {
            return enrich_edit(spec, rng);
        }
        let rolling = &mut spec["updateStrategy"]["rollingUpdate"];
        match rng.u32(..20) {
            0..=6 => {
                let image = IMAGES[rng.usize(..IMAGES.len())];
                spec["template"]["spec"]["containers"][0]["image"] = image.into();
            }
            7..=8 => spec["replicas"] = rng.u32(..=6).into(),
            9..=11 => rolling["partition"] = share(rng),
            12 => rolling["maxUnavailable"] = share(rng),
            13 => rolling["paused"] = rng.bool().into(),
            14 => rolling["podUpdatePolicy"] = policy(rng),
            15 => {
                let kind = if rng.bool() {
                    "OnDelete"
                } else {
                    "RollingUpdate"
                };
                spec["updateStrategy"]["type"] = kind.into();
            }
            16 => {
                let env = json!([{"name": "N", "value": rng.u32(..2).to_string()}]);
                spec["template"]["spec"]["containers"][0]["env"] = env;
            }
            17 => {
                let n = rng.u32(..2).to_string();
                spec["template"]["metadata"]["annotations"]["n"] = n.into();
            }
            18 => {
                let path = "/template/spec/initContainers/0/image";
                if let Some(image) = spec.pointer_mut(path) {
                    *image = format!("proxy:{}", rng.u32(1..4)).into();
                }
            }
            _ => {
                let named = names.get(rng.usize(..=names.len()));
                let list: Vec<&String> = named.into_iter().collect();
                spec["scaleStrategy"]["podsToDelete"] = json!(list);
            }
        }
        allow(spec);
    });
}

fn pick(world: &World, rng: &mut Rng) -> Option<String> {
    let names = world.pod_names();
    (!names.is_empty()).then(|| names[rng.usize(..names.len())].clone())
}

/// Something happens to a Pod, or by its side.
pub(crate) fn disturb(world: &mut World, rng: &mut Rng) {
    if rng.u32(..12) == 0 {
        return make_stranger(world, rng);
    }
    if world.is_rich && rng.u32(..4) == 0 {
        return disturb_rich(world, rng);
    }
    let Some(name) = pick(world, rng) else { return };
    let mut pod = world.server.pods[&name].clone();
    let what = match rng.u32(..9) {
        0 | 1 => {
            world.server.terminate(&name);
            "deleted by somebody"
        }
        2 => {
            pod["status"]["phase"] = "Failed".into();
            set_condition(&mut pod, "Ready", "False");
            world.server.write_status(&name, pod);
            "failed"
        }
        3 => {
            Kubelet::crash(&mut world.server, &name);
            "crashed"
        }
        4 => {
            let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
            world.kubelet.excused.insert(uid.to_owned());
            let image = IMAGES[rng.usize(..IMAGES.len())];
            world.server.edit_image(&name, image);
            "image edited by hand"
        }
        5 => {
            pod["metadata"]["labels"]["controller-revision-hash"] = "web-lost".into();
            world.server.write_status(&name, pod);
            "revision label edited by hand"
        }
        6 => {
            pod["metadata"]["labels"]["app"] = "shed".into();
            world.server.write_status(&name, pod);
            "label edited out of the selector"
        }
        7 => {
            pod["metadata"]["labels"]["apps.kruise.io/specified-delete"] = "true".into();
            world.server.write_status(&name, pod);
            "labelled for deletion"
        }
        _ => {
            let beat = world.server.now_text();
            pod["metadata"]["annotations"]["beat"] = beat.into();
            world.server.write_status(&name, pod);
            "touched"
        }
    };
    world.absorb();
    world.tell(|| format!("OTHERS {name} {what}"));
}

/// Something that only happens to sets with more than images.
fn disturb_rich(world: &mut World, rng: &mut Rng) {
    let Some(name) = pick(world, rng) else { return };
    let mut pod = world.server.pods[&name].clone();
    let what = match rng.u32(..4) {
        0 => {
            world.kubelet.is_full = rng.bool();
            format!("full={}", world.kubelet.is_full)
        }
        1 if pod["spec"]["containers"][0]["resources"]["requests"]["cpu"].is_string() => {
            let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
            world.kubelet.excused.insert(uid.to_owned());
            world.server.edit_cpu(&name, &rng.u32(1..4).to_string());
            "resized by somebody".into()
        }
        2 => {
            let node = NODES[rng.usize(..NODES.len())].to_owned();
            if !world.kubelet.silent.remove(&node) {
                world.kubelet.silent.insert(node.clone());
            }
            format!("{node} pulls nothing ahead, or does again")
        }
        _ => {
            let hook = json!({"labelsHandler": {"hold": "yes"},
                "finalizersHandler": ["ex.io/hold"]});
            let hook = serde_json::from_value(hook).expect("a hook");
            model::hooks::set(&mut pod, &hook, rng.bool());
            world.server.write_status(&name, pod);
            "held or let go".into()
        }
    };
    world.absorb();
    world.tell(|| format!("OTHERS {name} {what}"));
}

/// A Pod of somebody else, an orphan, or a Pod that an orphan of ours could be taken for.
fn make_stranger(world: &mut World, rng: &mut Rng) {
    let name = format!("web-x{}", rng.u32(..1000));
    if world.server.pods.contains_key(&name) {
        return;
    }
    let kind = rng.u32(..3);
    let app = if kind == 0 { "other" } else { "web" };
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": app},
            "uid": format!("uid-{name}"), "generation": 1},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]},
        "status": {"phase": "Pending", "conditions": []},
    });
    if kind == 1 {
        pod["metadata"]["labels"]["foreign"] = "yes".into();
        pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1",
            "kind": "ReplicaSet", "name": "x", "uid": "rs-uid", "controller": true}]);
    }
    world.server.write_status(&name, pod);
    world.absorb();
    world.tell(|| format!("OTHERS {name} is made, of kind {kind}"));
}

fn set_condition(pod: &mut Value, name: &str, status: &str) {
    for condition in pod["status"]["conditions"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        if condition["type"] == name {
            condition["status"] = status.into();
        }
    }
}

/// A node goes away or comes back; of one that is away, Pods lose their Ready, and are evicted.
pub(crate) fn node(world: &mut World, rng: &mut Rng) {
    let node = NODES[rng.usize(..NODES.len())];
    if !world.silent.remove(node) {
        world.silent.insert(node);
        world.tell(|| format!("NODE {node} is silent"));
        return;
    }
    if rng.bool() {
        world.tell(|| format!("NODE {node} is back"));
        return;
    }
    world.silent.insert(node);
    let names = world.pod_names();
    for name in names {
        let mut pod = world.server.pods[&name].clone();
        if pod["spec"]["nodeName"] != node {
            continue;
        }
        if serves(&pod) || rng.bool() {
            set_condition(&mut pod, "Ready", "False");
            world.server.write_status(&name, pod);
        } else if pod["metadata"]["deletionTimestamp"].is_string() {
            world.server.remove(Resource::Pods, &name);
        } else {
            world.server.terminate(&name);
        }
    }
    world.absorb();
    world.tell(|| format!("NODE {node} is taken for lost"));
}

/// The trouble ends: nodes are back, and nothing that was broken for good is left.
pub(crate) fn calm(world: &mut World, rng: &mut Rng) {
    world.silent.clear();
    world.kubelet.silent.clear();
    world.kubelet.is_full = false;
    let unavailable = rng.u32(1..=3);
    world.edit("calm", |spec| {
        spec["updateStrategy"]["type"] = "RollingUpdate".into();
        let rolling = &mut spec["updateStrategy"]["rollingUpdate"];
        rolling["paused"] = false.into();
        rolling["maxUnavailable"] = unavailable.into();
        rolling["podUpdatePolicy"] = "InPlaceIfPossible".into();
        if !rolling["rollbackOnDeadline"].is_null() {
            rolling["rollbackOnDeadline"] = false.into();
        }
        if !spec["scaleStrategy"]["maxUnavailable"].is_null() {
            // A Pod that the partition keeps at what cannot run counts against it.
            spec["scaleStrategy"]["maxUnavailable"] = Value::Null;
        }
        let main = &mut spec["template"]["spec"]["containers"][0];
        main["image"] = "web:8".into();
        if main["resources"]["requests"]["cpu"] == TOO_MANY {
            main["resources"]["requests"]["cpu"] = "2".into();
        }
    });
}

/// Pods of a template that cannot run, kept back by the partition, go; then there is none.
pub(crate) fn finish(world: &mut World) {
    for name in world.pod_names() {
        let pod = &world.server.pods[&name];
        if is_active(pod) && !serves(pod) {
            world.server.terminate(&name);
        }
    }
    world.absorb();
    world.edit("finish", |spec| {
        spec["updateStrategy"]["rollingUpdate"]["partition"] = 0.into();
        spec["template"]["spec"]["containers"][0]["image"] = "web:9".into();
    });
}

/// Between two steps.
pub(crate) fn a_moment(rng: &mut Rng) -> SignedDuration {
    SignedDuration::from_millis(rng.i64(50..1500))
}
