//! Warmers: short-lived Pods that have a node pull images before a container that runs is stopped
//! for them. A warmer runs nothing; that it was about to be started proves the pull.

use std::collections::BTreeMap;

use apis::names;
use kube::core::SelectorExt;
use serde_json::{Map, Value, json};

use crate::effect::Effect;
use crate::in_place::{self, Changes};
use crate::pod::ContainerStatus;
use crate::reason::Reason;
use crate::revision::{FNV_SEED, encode, fnv1a};
use crate::{Pod, Revision, Snapshot, ownership};

/// Labels hold no more.
const LABEL_MAX: usize = 63;

/// Leaves room for the rest of a warmer's name.
const SET_NAME_MAX: usize = 200;

/// Images that one node is to have.
#[derive(Clone, Debug)]
pub(crate) struct Wish<'a> {
    /// Name of the warmer.
    pub(crate) name: String,
    /// Which node.
    pub(crate) node: &'a str,
    target: &'a Revision,
    /// Containers of the template whose images are pulled.
    containers: Vec<(&'a str, &'a str)>,
}

impl<'a> Wish<'a> {
    /// What `pod` wants its node to have before it is changed; None where there is nothing to pull
    /// or nobody to pull it.
    pub(crate) fn of(
        s: &Snapshot,
        pod: &'a Pod,
        target: &'a Revision,
        changes: &'a Changes,
    ) -> Option<Self> {
        let node = pod.spec.node_name.as_deref().filter(|n| !n.is_empty())?;
        let pulled = changes
            .images
            .iter()
            .filter(|c| policy(target, &c.container) != Some("Never"));
        let containers: Vec<_> = pulled.map(|c| (&*c.container, &*c.to)).collect();
        // Such a selector would make Pods of the set out of warmers.
        if containers.is_empty() || s.set.selector.matches(&labels(s, target)) {
            return None;
        }
        let name = name(s, node, target, &containers);
        Some(Self {
            name,
            node,
            target,
            containers,
        })
    }

    /// Makes the warmer.
    pub(crate) fn create(&self, s: &Snapshot) -> Effect {
        Effect::CreateWarmer {
            name: self.name.clone(),
            node: self.node.to_owned(),
            body: self.body(s),
        }
    }

    fn body(&self, s: &Snapshot) -> Value {
        let container = |(name, image): &(&str, &str)| {
            let mut container = json!({
                "name": name,
                "image": image,
                // Which need not exist: failing to start it comes after the pull.
                "command": ["/insitu-warm"],
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
            });
            if let Some(policy) = policy(self.target, name) {
                container["imagePullPolicy"] = policy.into();
            }
            container
        };
        let containers: Vec<Value> = self.containers.iter().map(container).collect();
        let mut spec = json!({
            "nodeName": self.node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "tolerations": [{"operator": "Exists"}],
            // What namespaces that admit restricted Pods only ask for.
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65534,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": containers,
        });
        // Whoever may pull for the Pods may pull for the warmer. The account brings its pull
        // secrets; its token is not mounted.
        for key in ["imagePullSecrets", "serviceAccountName"] {
            let of_template = self.target.template.pointer(&format!("/spec/{key}"));
            if let Some(value) = of_template.filter(|value| !value.is_null()) {
                spec[key] = value.clone();
            }
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self.name,
                "namespace": s.namespace(),
                "labels": labels(s, self.target),
                "ownerReferences": [ownership::owner_reference(s)],
            },
            "spec": spec,
        })
    }

    /// How far `warmer` has come with this.
    pub(crate) fn pull(&self, warmer: &Pod) -> Pull {
        pull(warmer, self.containers.iter().map(|(name, _)| *name))
    }
}

/// How far a warmer has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pull {
    /// The node has every image.
    Done,
    /// The node says why it cannot have one.
    Failed(Reason),
    /// Neither.
    UnderWay,
}

/// Whether `warmer` may still be pulling.
pub(crate) fn is_at_work(warmer: &Pod) -> bool {
    let containers = warmer.spec.containers.iter().map(|c| &*c.name);
    !warmer.is_finished() && pull(warmer, containers) != Pull::Done
}

fn pull<'n>(warmer: &Pod, containers: impl Iterator<Item = &'n str>) -> Pull {
    let mut done = true;
    for name in containers {
        let status = warmer.container_status(name);
        if status.is_some_and(has_image) {
            continue;
        }
        match in_place::trouble(warmer, Some(name)) {
            Some(Reason::ImagePull(mut trouble)) => {
                let node = warmer.spec.node_name.as_deref().unwrap_or_default();
                let message = &trouble.message;
                trouble.message = format!("ahead of the update, on node {node}: {message}");
                return Pull::Failed(Reason::ImagePull(trouble));
            }
            // A container is made, and fails to be, only after its image was pulled.
            Some(_) => {}
            None => done = false,
        }
    }
    if done { Pull::Done } else { Pull::UnderWay }
}

fn has_image(status: &ContainerStatus) -> bool {
    let ended = status.state.terminated.as_ref();
    !status.image_id.is_empty()
        || ended.is_some_and(|ended| ended.reason.as_deref() != Some("ContainerStatusUnknown"))
}

/// Whether `pod`, whose controller is the set, is a warmer and no replica.
pub(crate) fn is_warmer(s: &Snapshot, pod: &Pod) -> bool {
    let labels = pod.labels();
    labels.get(names::WARMER_LABEL) == Some(&*set_label(s))
        && !labels.contains_key(names::INSTANCE_ID_LABEL)
        && !s.set.selector.matches(&labels.to_map())
}

fn labels(s: &Snapshot, target: &Revision) -> BTreeMap<String, String> {
    BTreeMap::from([
        (names::WARMER_LABEL.to_owned(), set_label(s)),
        (names::REVISION_LABEL.to_owned(), target.hash().to_owned()),
    ])
}

/// The set's name, or where that is too long a hash of it.
fn set_label(s: &Snapshot) -> String {
    if s.name().len() <= LABEL_MAX {
        s.name().to_owned()
    } else {
        digest(s.name())
    }
}

/// The same wish always has the same warmer.
fn name(s: &Snapshot, node: &str, target: &Revision, containers: &[(&str, &str)]) -> String {
    let mut text = format!("{}\n{node}\n{}", s.uid(), target.name());
    for (container, image) in containers {
        text.extend(["\n", container, " ", image]);
    }
    let set: String = s.name().chars().take(SET_NAME_MAX).collect();
    format!("{set}-warm-{}", digest(&text))
}

fn digest(text: &str) -> String {
    let half = |salt: &str| encode(fnv1a(FNV_SEED, salt.bytes().chain(text.bytes())), 7);
    half("1") + &half("2")
}

/// What the template says of when to pull the image of `container`.
fn policy<'a>(target: &'a Revision, container: &str) -> Option<&'a str> {
    ["/spec/containers", "/spec/initContainers"]
        .into_iter()
        .filter_map(|list| target.template.pointer(list)?.as_array())
        .flatten()
        .filter_map(Value::as_object)
        .find(|c| c.get("name").and_then(Value::as_str) == Some(container))
        .and_then(|c: &Map<String, Value>| c.get("imagePullPolicy")?.as_str())
}
