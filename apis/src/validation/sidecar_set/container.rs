//! Checks of a SidecarSet's containers. What a Pod's own rules say of a container is checked in
//! part only, see `pod_rules`: the rest is said when the first Pod is made.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::{Map, Value};

use crate::schema::{CONTAINER_NAME_MAX, TERMS_MAX};
use crate::sidecar_set::container::{
    PodInjectPolicy, SharePolicy, ShareType, SidecarContainer, TargetMode, UpgradeType,
};
use crate::sidecar_set::expression::{Expression, Variable};
use crate::validation::FieldError;
use crate::validation::labels::is_dns_label;

mod pod_rules;
mod resources;
mod transfer;

/// A container to inject.
#[derive(Clone, Debug)]
pub struct Sidecar {
    /// Its name; its twins have a suffix.
    pub name: String,
    /// The container, without the fields beside it.
    pub body: Map<String, Value>,
    /// Where it is put.
    pub place: Place,
    /// Whether it is restarted when it ends, as one of `initContainers`.
    pub is_native: bool,
    /// With HotUpgrade: about its twin.
    pub hot: Option<Hot>,
    /// Whether it mounts what the Pod's own containers mount.
    pub share_mounts: Share,
    /// Whether it has their block devices.
    pub share_devices: Share,
    /// Variables that are taken over.
    pub transfer_env: Vec<Transfer>,
    /// Cpu and memory, computed.
    pub resources: Option<Resources>,
}

impl Sidecar {
    /// Its image.
    pub fn image(&self) -> &str {
        let image = self.body.get("image").and_then(Value::as_str);
        image.unwrap_or_default()
    }

    /// The names of its twins; the first one works, to begin with.
    pub fn twins(&self) -> [String; 2] {
        let name = &self.name;
        [format!("{name}-1"), format!("{name}-2")]
    }
}

/// Where a container is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Ahead of the Pod's own.
    Before,
    /// Behind the Pod's own.
    After,
}

/// The twin that does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hot {
    /// Its image.
    pub empty_image: String,
}

/// Whether something is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// It is.
    Enabled,
    /// It is not.
    Disabled,
}

/// Variables that are taken over from one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// From which.
    pub source: Source,
    /// Their names, sorted.
    pub names: Vec<String>,
}

/// How a container is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// By its name.
    Container(String),
    /// The Pod's label of this key has the name.
    Label(String),
    /// The Pod's annotation of this key has the name.
    Annotation(String),
}

/// `resourcesPolicy`, parsed.
#[derive(Clone, Debug)]
pub struct Resources {
    /// How several containers are one.
    pub mode: TargetMode,
    /// Which containers count.
    pub targets: Regex,
    /// What is made of their limits.
    pub limits: Vec<(Variable, Expression)>,
    /// What is made of their requests.
    pub requests: Vec<(Variable, Expression)>,
}

/// In which list of a Pod a container stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Init,
    Running,
}

/// Parses both lists, whose names must differ.
pub(super) struct Lists<'a> {
    errors: &'a mut Vec<FieldError>,
    volumes: &'a BTreeMap<String, Value>,
    names: BTreeSet<String>,
}

impl<'a> Lists<'a> {
    pub(super) fn new(
        errors: &'a mut Vec<FieldError>,
        volumes: &'a BTreeMap<String, Value>,
    ) -> Self {
        Self {
            errors,
            volumes,
            names: BTreeSet::new(),
        }
    }

    fn refuse(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(FieldError::invalid(path, message));
    }

    pub(super) fn parse(&mut self, containers: &[SidecarContainer], list: List) -> Vec<Sidecar> {
        let field = match list {
            List::Init => "initContainers",
            List::Running => "containers",
        };
        if containers.len() > TERMS_MAX as usize {
            let count = containers.len();
            self.refuse(
                format!("spec.{field}"),
                format!("has {count} containers; use at most {TERMS_MAX}"),
            );
            return Vec::new();
        }
        let parse = |(i, container): (usize, &SidecarContainer)| {
            self.sidecar(&format!("spec.{field}[{i}]"), container, list)
        };
        containers.iter().enumerate().map(parse).collect()
    }

    fn sidecar(&mut self, path: &str, container: &SidecarContainer, list: List) -> Sidecar {
        let hot = self.hot(path, container);
        self.name(path, container.text("name"), hot.as_ref());
        if container.text("image").trim().is_empty() {
            self.refuse(format!("{path}.image"), "is required; name an image");
        }
        self.paths(path, container);
        self.pod_rules(path, &container.container);
        let default = match list {
            List::Init => Place::After,
            List::Running => Place::Before,
        };
        Sidecar {
            name: container.text("name").to_owned(),
            body: container.container.clone(),
            place: match container.pod_inject_policy {
                None => default,
                Some(PodInjectPolicy::BeforeAppContainer) => Place::Before,
                Some(PodInjectPolicy::AfterAppContainer) => Place::After,
            },
            is_native: list == List::Init && container.restarts_always(),
            hot,
            share_mounts: share(container.share_volume_policy.as_ref()),
            share_devices: share(container.share_volume_device_policy.as_ref()),
            transfer_env: self.transfers(path, &container.transfer_env),
            resources: self.resources(path, container, list),
        }
    }

    fn name(&mut self, path: &str, name: &str, hot: Option<&Hot>) {
        let path = format!("{path}.name");
        let max = CONTAINER_NAME_MAX as usize - if hot.is_some() { 2 } else { 0 };
        if name.is_empty() {
            self.refuse(path, "is required; name the container");
            return;
        }
        if name.len() > max || !is_dns_label(name) {
            self.refuse(
                &path,
                format!(
                    "{name:?} is not made of at most {max} lower-case letters, digits and dashes, \
                     with no dash at its ends"
                ),
            );
        }
        let twins = [format!("{name}-1"), format!("{name}-2")];
        let also = hot.into_iter().flat_map(|_| &twins);
        for name in also.map(String::as_str).chain([name]) {
            if !self.names.insert(name.to_owned()) {
                self.refuse(
                    &path,
                    format!("{name:?} is used twice; container names are unique in a Pod"),
                );
            }
        }
    }

    fn hot(&mut self, path: &str, container: &SidecarContainer) -> Option<Hot> {
        let strategy = container.upgrade_strategy.clone().unwrap_or_default();
        match strategy.upgrade_type.unwrap_or_default() {
            UpgradeType::ColdUpgrade => None,
            UpgradeType::HotUpgrade => {
                let empty_image = strategy.hot_upgrade_empty_image.unwrap_or_default();
                if empty_image.trim().is_empty() {
                    self.refuse(
                        format!("{path}.upgradeStrategy.hotUpgradeEmptyImage"),
                        "is required with HotUpgrade: one of the two containers has it",
                    );
                }
                Some(Hot { empty_image })
            }
        }
    }

    /// Mounts and devices: each of a volume of the set, each at a path of its own.
    fn paths(&mut self, path: &str, container: &SidecarContainer) {
        let mut taken = BTreeSet::new();
        for (field, key) in [
            ("volumeMounts", "mountPath"),
            ("volumeDevices", "devicePath"),
        ] {
            let list = container.container.get(field).and_then(Value::as_array);
            for (i, item) in list.into_iter().flatten().enumerate() {
                let path = format!("{path}.{field}[{i}]");
                let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
                if !self.volumes.contains_key(text("name")) {
                    let name = text("name");
                    self.refuse(
                        format!("{path}.name"),
                        format!("{name:?} is none of spec.volumes; add the volume"),
                    );
                }
                if text(key).is_empty() {
                    self.refuse(format!("{path}.{key}"), "is required; name a path");
                } else if !taken.insert(text(key).to_owned()) {
                    let used = text(key);
                    self.refuse(
                        format!("{path}.{key}"),
                        format!("{used:?} is used twice in the container; use another path"),
                    );
                }
            }
        }
    }
}

fn share(policy: Option<&SharePolicy>) -> Share {
    match policy.and_then(|policy| policy.type_).unwrap_or_default() {
        ShareType::Enabled => Share::Enabled,
        ShareType::Disabled => Share::Disabled,
    }
}
