//! What a Pod is given, from top to bottom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apis::sidecar_set::pod_metadata::{self, LeftOut};
use apis::sidecar_set::white_list::WhiteList;
use apis::validation::sidecar_set::{Effective, Place, Sidecar};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::draw::draw;
use crate::patch::{Additions, Containers};
use crate::pod::{List, Pod, is_injected, text};
use crate::prepared::{Prepared, Version};
use crate::record::Record;
use crate::select::SetIndex;
use crate::warning::{Reason, Warning};
use crate::{sidecar, volumes};

/// A Pod that is about to be created.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The Pod, as it came.
    pub pod: &'a Value,
    /// Its namespace; the Pod may not say it.
    pub namespace: &'a str,
    /// Labels of the namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// The time.
    pub now: Timestamp,
    /// Something that differs from Pod to Pod: it decides which of them get the older revision
    /// under the policy Partial.
    pub seed: &'a str,
}

/// What becomes of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Injection {
    /// RFC 6902; empty when there is nothing to do.
    pub patch: Vec<Value>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// Names of the sets whose containers the Pod has then, whoever injected them.
    pub injected: Vec<String>,
}

/// What the Pod of `request` is given of the sets in `index`.
pub fn inject(request: &Request<'_>, index: &SetIndex, white_list: &WhiteList) -> Injection {
    let Some(pod) = Pod::new(request.pod) else {
        return Injection::default();
    };
    let sets = index.matching(request.namespace, request.namespace_labels, &pod.labels);
    if sets.is_empty() {
        return Injection::default();
    }
    let record = match Record::read(&pod) {
        Ok(record) => record,
        Err(annotation) => {
            let warning = |set: &Arc<Prepared>| Warning {
                set: set.name().to_owned(),
                reason: Reason::UnreadableRecord { annotation },
            };
            return Injection {
                warnings: sets.into_iter().map(warning).collect(),
                ..Injection::default()
            };
        }
    };
    let mut pass = Pass::new(request, &pod, record, white_list);
    let chosen = pass.choose(&sets);
    for (set, version, claim) in chosen {
        if let Err(reason) = pass.inject(set, version, claim) {
            pass.warn(set, reason);
        }
    }
    pass.finish()
}

/// What the record says of a set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// Its containers are there.
    Kept,
    /// They are there as they once were, or not at all.
    New,
}

struct Pass<'a> {
    pod: &'a Pod<'a>,
    seed: &'a str,
    now: String,
    white_list: &'a WhiteList,
    record: Record,
    is_recorded_anew: bool,
    annotations: BTreeMap<String, String>,
    additions: Additions,
    /// By whom the containers of a name are injected.
    owners: BTreeMap<String, &'a str>,
    /// Names of all containers of all sets.
    sidecars: BTreeSet<String>,
    init_containers: Vec<(Place, Value)>,
    warnings: Vec<Warning>,
    injected: Vec<String>,
}

/// A set, what of it is injected, and whether it is there.
type Chosen<'a> = (&'a Prepared, &'a Version, Claim);

/// All containers of a set, with the list they are for.
fn containers_of(set: &Effective) -> impl Iterator<Item = (List, &Sidecar)> {
    let init = set.init_containers.iter().map(|c| (List::Init, c));
    init.chain(set.containers.iter().map(|c| (List::Running, c)))
}

impl<'a> Pass<'a> {
    fn new(
        request: &Request<'a>,
        pod: &'a Pod<'a>,
        record: Record,
        white_list: &'a WhiteList,
    ) -> Self {
        let seconds = Timestamp::from_second(request.now.as_second());
        Self {
            pod,
            seed: request.seed,
            now: seconds.unwrap_or(request.now).to_string(),
            white_list,
            record,
            is_recorded_anew: false,
            annotations: pod.annotations.clone(),
            additions: Additions::default(),
            owners: BTreeMap::new(),
            sidecars: BTreeSet::new(),
            init_containers: Vec::new(),
            warnings: Vec::new(),
            injected: Vec::new(),
        }
    }

    fn warn(&mut self, set: &Prepared, reason: Reason) {
        let set = set.name().to_owned();
        self.warnings.push(Warning { set, reason });
    }

    /// Which state of each set the Pod gets. One that it has already stays, also where another draw
    /// would have given it another one.
    fn choose(&mut self, sets: &[&'a Arc<Prepared>]) -> Vec<Chosen<'a>> {
        let mut chosen = Vec::new();
        for set in sets {
            let set: &'a Prepared = set;
            let hash = self.record.hash_of(set.name());
            let kept = set.versions().find(|v| hash == Some(&v.spec().hash));
            let version = match kept {
                Some(version) => Ok(version),
                None => set.version_for(&self.pod.labels, draw(self.seed, set.name())),
            };
            let is_recorded = hash.is_some();
            let version = match version {
                Ok(version) => version,
                Err(reason) => {
                    self.warn(set, reason.clone());
                    continue;
                }
            };
            for (_, container) in containers_of(version.spec()) {
                for name in sidecar::names(container) {
                    // What a set has injected is its own, whoever comes first by name.
                    if is_recorded {
                        self.owners.entry(name.clone()).or_insert(set.name());
                    }
                    self.sidecars.insert(name);
                }
                self.sidecars.insert(container.name.clone());
            }
            let claim = if kept.is_some() {
                Claim::Kept
            } else {
                Claim::New
            };
            chosen.push((set, version, claim));
        }
        chosen
    }

    /// All of a set, or nothing.
    fn inject(
        &mut self,
        set: &'a Prepared,
        version: &'a Version,
        claim: Claim,
    ) -> Result<(), Reason> {
        let spec = version.spec();
        let mut due = Vec::new();
        for (list, container) in containers_of(spec) {
            let places = self.places(set, list, container, claim)?;
            if places.iter().any(|place| *place != Where::Stays) {
                let bodies = sidecar::containers(container, self.pod, &self.sidecars)?;
                due.push((list, container, places.into_iter().zip(bodies)));
            }
        }
        // Nothing below can fail, so that nothing is done by halves.
        let is_new = claim == Claim::New;
        for (list, container, bodies) in due {
            for (place, body) in bodies {
                self.put(list, container.place, place, body);
            }
        }
        for (_, container) in containers_of(spec) {
            for name in sidecar::names(container) {
                self.owners.insert(name, set.name());
            }
            let differing = volumes::add(&mut self.additions, self.pod, spec, container);
            if is_new {
                for reason in differing {
                    self.warn(set, reason);
                }
            }
            if container.hot.is_some() && is_new {
                let [works, _] = container.twins();
                self.record.add_twin(&container.name, works);
                sidecar::versions(container, &mut self.annotations);
            }
        }
        volumes::add_pull_secrets(&mut self.additions, self.pod, spec);
        if is_new {
            let (patches, labels) = (&spec.pod_metadata, set.labels());
            let annotations = &mut self.annotations;
            for left_out in pod_metadata::apply(annotations, patches, labels, self.white_list) {
                let reason = match left_out {
                    LeftOut::NotAllowed(key) => Reason::AnnotationNotAllowed { key },
                    LeftOut::NotJson(key) => Reason::AnnotationNotJson { key },
                };
                self.warn(set, reason);
            }
        }
        if is_new || self.record.is_of_old(set.name()) {
            self.record
                .add(spec, version.revision.as_deref(), &self.now);
            self.is_recorded_anew = true;
        }
        self.injected.push(set.name().to_owned());
        Ok(())
    }

    /// Where the containers of `container` go, or why they cannot go anywhere.
    fn places(
        &self,
        set: &Prepared,
        list: List,
        container: &Sidecar,
        claim: Claim,
    ) -> Result<Vec<Where>, Reason> {
        let names = sidecar::names(container).into_iter();
        let place = |name: String| {
            let owner = self.owners.get(&name).filter(|owner| **owner != set.name());
            if let Some(other) = owner {
                return Err(Reason::ContainerOfAnotherSet {
                    container: name,
                    other: (*other).to_owned(),
                });
            }
            match self.pod.find(&name) {
                None => Ok(Where::Added),
                Some((there, at, present)) if there == list && is_injected(present) => {
                    Ok(match claim {
                        Claim::Kept => Where::Stays,
                        Claim::New => Where::Instead(at),
                    })
                }
                Some(_) => Err(Reason::ContainerExists { container: name }),
            }
        };
        names.map(place).collect()
    }

    fn put(&mut self, list: List, side: Place, place: Where, body: Value) {
        let containers = match list {
            List::Init => &mut self.additions.init_containers,
            List::Running => &mut self.additions.containers,
        };
        match (place, list) {
            (Where::Stays, _) => {}
            (Where::Instead(at), _) => {
                let present = self.pod.containers_in(list).get(at);
                if present != Some(&body) {
                    containers.instead.push((at, body));
                }
            }
            // They are sorted when all of them are known.
            (Where::Added, List::Init) => self.init_containers.push((side, body)),
            (Where::Added, List::Running) => containers.add(side, body),
        }
    }

    fn finish(mut self) -> Injection {
        self.init_containers
            .sort_by(|(_, a), (_, b)| text(a, "name").cmp(text(b, "name")));
        for (side, body) in std::mem::take(&mut self.init_containers) {
            self.additions.init_containers.add(side, body);
        }
        if self.is_recorded_anew {
            self.record.write(&mut self.annotations);
        }
        let before = &self.pod.annotations;
        let changed = self.annotations.into_iter();
        self.additions.annotations = changed
            .filter(|(key, value)| before.get(key) != Some(value))
            .collect();
        Injection {
            patch: self.additions.into_patch(self.pod),
            warnings: self.warnings,
            injected: self.injected,
        }
    }
}

/// Where a container goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    /// Into the list.
    Added,
    /// To the place of one that was injected before.
    Instead(usize),
    /// It is there.
    Stays,
}

impl Containers {
    fn add(&mut self, side: Place, body: Value) {
        match side {
            Place::Before => self.before.push(body),
            Place::After => self.after.push(body),
        }
    }
}
