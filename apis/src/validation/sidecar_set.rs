//! The named checks of a SidecarSet, and its spec as injector and planner read it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;
use serde_json::Value;

use super::clone_set::Priority;
use super::{Checked, FieldError, labels, terms};
use crate::int_or_percent::IntOrPercent;
use crate::names::{
    SIDECAR_HASH_ANNOTATION, SIDECAR_HASH_WITHOUT_IMAGE_ANNOTATION,
    SIDECAR_IN_PLACE_STATE_ANNOTATION, SIDECAR_LIST_ANNOTATION, TWIN_OTHER_VERSION_PREFIX,
    TWIN_VERSION_PREFIX, WORKING_TWIN_ANNOTATION,
};
use crate::schema::NO_CONTAINERS;
use crate::sidecar_set::hash::{Images, hash};
use crate::sidecar_set::{
    InjectPolicy, PatchPolicy, SidecarSet, SidecarSetSpec, SidecarUpdateType, UninjectedPodPolicy,
};

pub mod changes;
pub mod conflicts;
mod container;
mod strategy;

pub use container::{Hot, Place, Resources, Share, Sidecar, Source, Transfer};

const NAME_MAX: usize = 63;

/// The spec with texts parsed and defaults filled in. Defaults live here and are never written to
/// the user's object.
#[derive(Clone, Debug)]
pub struct Effective {
    /// Name of the set.
    pub name: String,
    /// Which Pods.
    pub selector: Selector,
    /// In which namespaces; None is all.
    pub namespaces: Option<Selector>,
    /// Init containers.
    pub init_containers: Vec<Sidecar>,
    /// Containers.
    pub containers: Vec<Sidecar>,
    /// Volumes by name.
    pub volumes: BTreeMap<String, Value>,
    /// Names of Secrets.
    pub image_pull_secrets: Vec<String>,
    /// Annotations for Pods.
    pub pod_metadata: Vec<PodMetadata>,
    /// How injected containers are updated.
    pub update: Update,
    /// New Pods are given nothing.
    pub injection_paused: bool,
    /// Pods that were made without the containers are deleted.
    pub recreates_uninjected: bool,
    /// New Pods are given an older revision.
    pub pinned: Option<Pinned>,
    /// Unused revisions kept; default 10.
    pub revision_history_limit: usize,
    /// The name of the present revision.
    pub custom_version: Option<String>,
    /// The set that this one stands in for.
    pub canary_of: Option<String>,
    /// [`crate::sidecar_set::hash`] of the containers.
    pub hash: String,
    /// The same without images.
    pub hash_without_image: String,
}

/// One of `patchPodMetadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodMetadata {
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// What becomes of those that are there; default Retain.
    pub policy: PatchPolicy,
}

/// `updateStrategy`, parsed.
#[derive(Clone, Debug)]
pub struct Update {
    /// Who updates; default RollingUpdate.
    pub type_: SidecarUpdateType,
    /// Choose no further Pods.
    pub paused: bool,
    /// Only these Pods.
    pub selector: Option<Selector>,
    /// Pods kept at the old revision; default 0.
    pub partition: IntOrPercent,
    /// Pods that may be unavailable; default 1.
    pub max_unavailable: IntOrPercent,
    /// Pods leave their Services before their containers restart; default false.
    pub mark_pod_not_ready: bool,
    /// Which Pods are updated first; default none.
    pub priority: Priority,
    /// Label pairs whose Pods are spread over the update sequence.
    pub scatter: Vec<(String, String)>,
}

/// `injectionStrategy.revision`, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Which revision.
    pub revision: PinnedTo,
    /// For which Pods; default Always.
    pub policy: InjectPolicy,
}

/// How a revision is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinnedTo {
    /// By its own name.
    Name(String),
    /// By the `customVersion` that the set had.
    CustomVersion(String),
}

impl Checked for SidecarSet {
    type Effective = Effective;

    fn check(&self) -> Result<Effective, Vec<FieldError>> {
        let spec = &self.spec;
        let mut checks = Checks::default();
        let name = checks.name(self.metadata.name.as_deref().unwrap_or_default());
        let volumes = checks.volumes(&spec.volumes);
        let (init_containers, containers) = checks.containers(spec, &volumes);
        let injection = spec.injection_strategy.clone().unwrap_or_default();
        let effective = Effective {
            name,
            selector: checks.selector("spec.selector", &spec.selector),
            namespaces: spec
                .namespace_selector
                .as_ref()
                .map(|selector| checks.selector("spec.namespaceSelector", selector)),
            init_containers,
            containers,
            volumes,
            image_pull_secrets: checks.pull_secrets(spec),
            pod_metadata: checks.pod_metadata(spec),
            update: checks.update(spec.update_strategy.as_ref()),
            injection_paused: injection.paused.unwrap_or_default(),
            recreates_uninjected: injection.uninjected_pod_policy
                == Some(UninjectedPodPolicy::Recreate),
            pinned: checks.pinned(spec),
            revision_history_limit: checks.history_limit(spec),
            custom_version: spec.custom_version.clone().filter(|v| !v.is_empty()),
            canary_of: checks.canary_of(self),
            hash: hash(&spec.containers, &spec.init_containers, Images::Count),
            hash_without_image: hash(&spec.containers, &spec.init_containers, Images::Blank),
        };
        if checks.errors.is_empty() {
            Ok(effective)
        } else {
            Err(checks.errors)
        }
    }
}

/// Collects what is wrong, so that all of it is told at once.
#[derive(Default)]
struct Checks {
    errors: Vec<FieldError>,
}

impl Checks {
    fn refuse(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(FieldError::invalid(path, message));
    }

    /// Pods remember sets by their name, in a list with commas between.
    fn name(&mut self, name: &str) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.len() > NAME_MAX || !name.chars().all(is_plain) {
            self.refuse(
                "metadata.name",
                format!(
                    "{name:?} is not made of at most {NAME_MAX} letters, digits and dashes; \
                     rename the set"
                ),
            );
        }
        name.to_owned()
    }

    fn selector(&mut self, path: &str, selector: &LabelSelector) -> Selector {
        labels::check(&mut self.errors, path, selector);
        // What cannot be parsed has been refused.
        Selector::try_from(selector.clone()).unwrap_or_default()
    }

    fn volumes(&mut self, volumes: &[Value]) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for (i, volume) in volumes.iter().enumerate() {
            let path = format!("spec.volumes[{i}].name");
            let name = volume.get("name").and_then(Value::as_str);
            match name.filter(|name| !name.is_empty()) {
                None => self.refuse(path, "is required: containers mount volumes by name"),
                Some(name) => {
                    let sources = volume.as_object().into_iter().flatten();
                    let sources =
                        sources.filter(|(key, source)| *key != "name" && !source.is_null());
                    if sources.count() > 1 {
                        self.refuse(
                            format!("spec.volumes[{i}]"),
                            format!("{name:?} is a volume of two kinds; remove one"),
                        );
                    }
                    if all.insert(name.to_owned(), volume.clone()).is_some() {
                        self.refuse(path, format!("{name:?} is used twice; rename one volume"));
                    }
                }
            }
        }
        all
    }

    fn pull_secrets(&mut self, spec: &SidecarSetSpec) -> Vec<String> {
        let mut names = Vec::new();
        for (i, secret) in spec.image_pull_secrets.iter().enumerate() {
            if secret.name.is_empty() {
                self.refuse(
                    format!("spec.imagePullSecrets[{i}].name"),
                    "is empty; name a Secret",
                );
            } else if !names.contains(&secret.name) {
                names.push(secret.name.clone());
            }
        }
        names
    }

    fn pod_metadata(&mut self, spec: &SidecarSetSpec) -> Vec<PodMetadata> {
        let count = spec.patch_pod_metadata.len();
        terms::limit(&mut self.errors, "spec.patchPodMetadata", count);
        let mut keys = BTreeSet::new();
        let mut all = Vec::new();
        for (i, patch) in spec.patch_pod_metadata.iter().enumerate() {
            let path = format!("spec.patchPodMetadata[{i}].annotations");
            let policy = patch.patch_policy.unwrap_or_default();
            if patch.annotations.is_empty() {
                self.refuse(&path, "is empty; name an annotation or remove the entry");
            }
            for (key, value) in &patch.annotations {
                if !labels::is_key(key) {
                    self.refuse(&path, format!("{key:?} cannot be the key of an annotation"));
                }
                if is_ours(key) {
                    self.refuse(
                        &path,
                        format!("{key:?} is where Pods remember what was injected; remove it"),
                    );
                }
                if !keys.insert(key) {
                    self.refuse(
                        &path,
                        format!("{key:?} is in another patch as well; keep one of them"),
                    );
                }
                let is_json = || serde_json::from_str::<Value>(value).is_ok();
                if policy == PatchPolicy::MergePatchJson && !is_json() {
                    self.refuse(
                        &path,
                        format!("{key:?} is no JSON, which MergePatchJson merges: {value:?}"),
                    );
                }
            }
            all.push(PodMetadata {
                annotations: patch.annotations.clone(),
                policy,
            });
        }
        all
    }

    /// Init containers and containers.
    fn containers(
        &mut self,
        spec: &SidecarSetSpec,
        volumes: &BTreeMap<String, Value>,
    ) -> (Vec<Sidecar>, Vec<Sidecar>) {
        if spec.containers.is_empty() && spec.init_containers.is_empty() {
            self.refuse("spec.containers", NO_CONTAINERS);
        }
        let mut lists = container::Lists::new(&mut self.errors, volumes);
        let init_containers = lists.parse(&spec.init_containers, container::List::Init);
        let containers = lists.parse(&spec.containers, container::List::Running);
        (init_containers, containers)
    }
}

/// Whether Pods remember by this annotation what was injected.
fn is_ours(key: &str) -> bool {
    [
        SIDECAR_HASH_ANNOTATION,
        SIDECAR_HASH_WITHOUT_IMAGE_ANNOTATION,
        SIDECAR_LIST_ANNOTATION,
        SIDECAR_IN_PLACE_STATE_ANNOTATION,
        WORKING_TWIN_ANNOTATION,
    ]
    .contains(&key)
        || key.starts_with(TWIN_VERSION_PREFIX)
        || key.starts_with(TWIN_OTHER_VERSION_PREFIX)
}

#[cfg(test)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "values are written where they are passed"
)]
mod tests;
