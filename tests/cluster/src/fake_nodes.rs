//! Fake nodes: KWOK plays the kubelet for any number of Pods.

use serde_json::json;

use crate::{command, control_plane::Component, error::Result, spec::Spec};

const STAGES: &str = include_str!("../kwok-stages.yaml");
// Thousands of Pods change at once; the default of 4 would make the fake kubelet, not the tested
// controller, the slowest part.
const OPTIONS: &str = "apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options: {podPlayStageParallelism: 64, nodePlayStageParallelism: 16, nodeLeaseParallelism: 16, nodeLeaseDurationSeconds: 40}
";
const MARK: &str = "kwok.x-k8s.io/node";

pub(crate) fn kwok(spec: &Spec) -> Result<Component> {
    command::write(
        &spec.dir.join("kwok.yaml"),
        format!("{OPTIONS}---\n{STAGES}"),
    )?;
    Component::new(
        "kwok",
        vec![
            format!("--kubeconfig={}", spec.path("kwok.kubeconfig")),
            format!("--config={}", spec.path("kwok.yaml")),
            format!("--manage-nodes-with-annotation-selector={MARK}=fake"),
            format!("--server-address=127.0.0.1:{}", spec.ports.kwok),
            "--v=ERROR".into(),
        ],
    )
}

/// The Node objects, as a List for `kubectl create`.
pub(crate) fn objects(spec: &Spec) -> String {
    // With a real node beside them only Pods that ask for a fake node may land on one; without
    // it every Pod may, so that a plain Pod always has a place to run.
    let taint = json!([{ "key": MARK, "value": "fake", "effect": "NoSchedule" }]);
    let taints = if spec.real_node { taint } else { json!([]) };
    let resources = json!({ "cpu": "1000", "memory": "1000Gi", "pods": "1000" });
    let node = |index: u32| {
        let name = format!("kwok-{index}");
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": &name,
                "labels": { "type": "kwok", "kubernetes.io/hostname": &name },
                "annotations": { MARK: "fake" },
            },
            // 1,024 addresses each, outside of the real Pods' range.
            "spec": { "taints": &taints, "podCIDR": format!("10.{}.{}.0/22", 128 + index / 64, index % 64 * 4) },
            "status": { "allocatable": &resources, "capacity": &resources },
        })
    };
    let nodes: Vec<_> = (1..=spec.fake_nodes).map(node).collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": nodes }).to_string()
}
