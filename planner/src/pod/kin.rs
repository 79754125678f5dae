//! Kin: Pods that are alike in all that is compared with templates and selectors.
//!
//! The Pods of a set are made from few templates, so what one of them has, thousands have. Whoever
//! keeps Pods introduces them to each other: then the containers of all kin are kept once, and what
//! was found out about one of them is known of the others. Pods that nobody introduced are kin of
//! none, and everything is found out of each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use apis::names;

use super::words::share;
use super::{Container, Pod, ReadinessGate, Words};

/// Kinds of Pods that are told apart; Pods of further ones stay kin of none.
const KINDS_MAX: usize = 1024;
/// Kinds with one hash; more are chance, or somebody's design.
const ALIKE_MAX: usize = 8;

/// What kin have in common.
#[derive(Debug)]
pub(crate) struct Kin {
    /// All but the one label that no two Pods of a set share are theirs.
    labels: Words,
    containers: Arc<[Container]>,
    init_containers: Arc<[Container]>,
    /// Of the first of them; what others have as well is kept once.
    annotations: Words,
    gates: Arc<[ReadinessGate]>,
}

/// The kin of a Pod. It follows from the Pod and who was introduced to it, so it makes no
/// difference between two Pods.
#[derive(Clone, Debug, Default)]
pub(super) struct KinOf(pub(super) Option<Arc<Kin>>);

impl PartialEq for KinOf {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Whoever was introduced so far.
#[derive(Debug, Default)]
pub struct Kins {
    by_hash: BTreeMap<u64, Vec<Arc<Kin>>>,
    len: usize,
    /// Pods that found no room since the last time that room was looked for.
    refused: usize,
}

impl Kins {
    /// Makes `pod` kin of those who are like it.
    pub fn introduce(&mut self, pod: &mut Pod) {
        let hash = hash(pod);
        let alike = self.by_hash.get(&hash).map_or(&[][..], Vec::as_slice);
        let known = alike.iter().find(|kin| kin.is_of(pod));
        if let Some(kin) = known {
            kin.share_with(pod);
            pod.kin = KinOf(Some(Arc::clone(kin)));
            return;
        }
        let is_crowd = alike.len() >= ALIKE_MAX;
        if is_crowd || !self.has_room() {
            return;
        }
        share_in(pod);
        let kin = Arc::new(Kin::of(pod));
        pod.kin = KinOf(Some(Arc::clone(&kin)));
        self.by_hash.entry(hash).or_default().push(kin);
        self.len += 1;
    }

    /// Makes room by forgetting the kinds of which there are no Pods any more.
    fn has_room(&mut self) -> bool {
        if self.len < KINDS_MAX {
            return true;
        }
        self.refused += 1;
        if self.refused >= KINDS_MAX {
            self.refused = 0;
            self.by_hash.retain(|_, alike| {
                alike.retain(|kin| Arc::strong_count(kin) > 1);
                !alike.is_empty()
            });
            self.len = self.by_hash.values().map(Vec::len).sum();
        }
        self.len < KINDS_MAX
    }
}

impl Kin {
    fn of(pod: &Pod) -> Self {
        Self {
            labels: pod.labels.clone(),
            containers: Arc::clone(&pod.spec.containers),
            init_containers: Arc::clone(&pod.spec.init_containers),
            annotations: pod.annotations.clone(),
            gates: Arc::clone(&pod.spec.readiness_gates),
        }
    }

    /// Lets `pod`, which is one of them, have their texts in place of the same ones of its own.
    fn share_with(&self, pod: &mut Pod) {
        pod.spec.containers = Arc::clone(&self.containers);
        pod.spec.init_containers = Arc::clone(&self.init_containers);
        if pod.spec.readiness_gates == self.gates {
            pod.spec.readiness_gates = Arc::clone(&self.gates);
        }
        pod.labels.share(&self.labels);
        pod.annotations.share(&self.annotations);
        share_in(pod);
    }

    fn is_of(&self, pod: &Pod) -> bool {
        self.containers == pod.spec.containers
            && self.init_containers == pod.spec.init_containers
            && common(&self.labels).eq(common(&pod.labels))
    }
}

fn common(labels: &Words) -> impl Iterator<Item = (&str, &str)> {
    let labels = labels.iter();
    labels.filter(|(key, _)| *key != names::INSTANCE_ID_LABEL)
}

/// The status of a container repeats what its spec says.
fn share_in(pod: &mut Pod) {
    let lists = [
        (&pod.spec.containers, &mut pod.status.container_statuses),
        (
            &pod.spec.init_containers,
            &mut pod.status.init_container_statuses,
        ),
    ];
    for (containers, statuses) in lists {
        for status in statuses {
            let mut containers = containers.iter();
            if let Some(container) = containers.find(|c| c.name == status.name) {
                share(&mut status.name, &container.name);
                share(&mut status.image, &container.image);
            }
        }
    }
}

/// FNV-1a, 64 bits, of what most kinds differ in.
fn hash(pod: &Pod) -> u64 {
    let spec = &pod.spec;
    let containers = spec.containers.iter().chain(&*spec.init_containers);
    let labels = common(&pod.labels).flat_map(|(key, value)| [key, value]);
    let texts = labels.chain(containers.flat_map(|c| [&*c.name, &*c.image]));
    // No text holds that byte.
    let bytes = texts.flat_map(|text| text.bytes().chain([0xff]));
    bytes.fold(super::known::FNV_SEED, super::known::fnv1a)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(label: &str, id: &str, image: &str) -> Pod {
        let pod: Value = json!({"metadata": {"name": id, "uid": id, "labels": {"app": label,
                (names::INSTANCE_ID_LABEL): id}},
            "spec": {"containers": [{"name": "main", "image": image}]}});
        serde_json::from_value(pod).unwrap()
    }

    fn introduced(kins: &mut Kins, mut pod: Pod) -> Arc<Kin> {
        let before = pod.clone();
        kins.introduce(&mut pod);
        assert_eq!(pod, before, "nothing of the Pod itself changes");
        pod.kin.0.unwrap()
    }

    #[test]
    fn pods_that_differ_in_their_instance_alone_are_kin() {
        let mut kins = Kins::default();
        let a = introduced(&mut kins, pod("web", "a", "web:1"));
        let b = introduced(&mut kins, pod("web", "b", "web:1"));
        assert!(Arc::ptr_eq(&a, &b));
    }

    #[test]
    fn whatever_is_compared_makes_others_of_them() {
        let mut kins = Kins::default();
        let a = introduced(&mut kins, pod("web", "a", "web:1"));
        let mut sized = pod("web", "a", "web:1");
        let mut containers = sized.spec.containers.to_vec();
        containers[0].resources = Some(Box::default());
        sized.spec.containers = containers.into();
        for other in [pod("api", "a", "web:1"), pod("web", "a", "web:2"), sized] {
            assert!(!Arc::ptr_eq(&a, &introduced(&mut kins, other)));
        }
    }

    #[test]
    fn there_is_room_again_when_pods_are_gone() {
        let mut kins = Kins::default();
        let image = |n: usize| format!("web:{n}");
        for n in 0..KINDS_MAX {
            kins.introduce(&mut pod("web", "a", &image(n)));
        }
        for n in 0..KINDS_MAX {
            kins.introduce(&mut pod("api", "a", &image(n)));
        }
        assert!(kins.len < KINDS_MAX);
        introduced(&mut kins, pod("api", "a", &image(0)));
    }
}
