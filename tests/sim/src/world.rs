//! The cluster of one run: the model's server and kubelet, the CloneSet, nodes, and the journal of
//! everything that a watch would tell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use apis::lifecycle::Lifecycle;
use fastrand::Rng;
use jiff::SignedDuration;
use model::hooks;
use model::kubelet::{Kubelet, is_warmer};
use model::object::Object;
use model::server::{Refused, Server};
use model::set::{self, Part};
use model::watchdog::{condition, is_active};
use planner::effect::{Request, Resource};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::judge::{Judge, is_ours, uid};
use crate::stream::{Entry, Kind};

pub(crate) const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) kubelet: Kubelet,
    pub(crate) set: Object,
    pub(crate) journal: Vec<Entry>,
    pub(crate) judge: Judge,
    /// The set has more than images.
    pub(crate) is_rich: bool,
    /// Whoever owns the hooks does nothing.
    pub(crate) is_owner_silent: bool,
    /// Nodes whose kubelet does nothing.
    pub(crate) silent: BTreeSet<&'static str>,
    /// Pods in which the kubelet had nothing to do, in this version.
    idle: BTreeMap<String, Value>,
    /// Writes of ours by Pod (UID).
    pub(crate) writes: BTreeMap<String, usize>,
    pub(crate) written: usize,
    /// What happened, where somebody wants to read it.
    pub(crate) trace: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(spec: &Value, is_old: bool, is_traced: bool) -> Self {
        let set = json!({
            "apiVersion": "apps.kruise.io/v1beta1",
            "kind": "CloneSet",
            "metadata": {"name": "web", "namespace": "shop", "uid": "set-uid"},
            "spec": spec,
        });
        let mut server = Server::default();
        server.journal = Some(Vec::new());
        let mut kubelet = Kubelet::default();
        kubelet.is_old = is_old;
        let mut world = Self {
            server,
            kubelet,
            set: set::create(set),
            journal: Vec::new(),
            judge: Judge::default(),
            is_rich: false,
            is_owner_silent: false,
            silent: BTreeSet::new(),
            idle: BTreeMap::new(),
            writes: BTreeMap::new(),
            written: 0,
            trace: is_traced.then(Vec::new),
        };
        world.note_set();
        world
    }

    /// Writes a line down.
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        let cells = self.trace.as_ref().map(|_| cells(&self.server));
        if let (Some(trace), Some(cells)) = (&mut self.trace, cells) {
            let at = self.server.now.strftime("%M:%S");
            trace.push(format!("{at} {:90} {cells}", line()));
        }
    }

    /// Writes everything down as it is.
    pub(crate) fn tell_all(&mut self) {
        let Some(trace) = &mut self.trace else { return };
        trace.push(format!("{:#}", *self.set));
        let server = &self.server;
        let objects = server.pods.values().chain(server.claims.values());
        let objects = objects.chain(server.revisions.values());
        trace.extend(objects.map(|object| object.to_string()));
    }

    /// Watches tell of the set as it is now.
    fn note_set(&mut self) {
        self.journal.push(Entry {
            kind: Kind::Set,
            name: "web".into(),
            object: self.set.clone(),
            deleted: false,
        });
    }

    /// Takes over what became of the set. Returns whether it changed.
    fn store_set(&mut self, set: Object) -> bool {
        let is_new = !set.is(&self.set);
        self.set = set;
        if is_new {
            self.note_set();
        }
        is_new
    }

    /// Somebody changes the spec.
    pub(crate) fn edit(&mut self, what: &str, change: impl FnOnce(&mut Value)) {
        let set = set::change(&self.set, Part::Whole, |set| change(&mut set["spec"]));
        if self.store_set(set) {
            let spec = self.set["spec"].to_string();
            self.tell(|| format!("USER {what}: {spec}"));
        }
    }

    /// A merge patch of the status subresource. Returns the set as it is then, or None where it is
    /// another version by now than the patch is meant for.
    pub(crate) fn patch_status(&mut self, patch: &Value) -> Option<Object> {
        let set = set::merge(&self.set, Part::Status, patch).ok()?;
        self.store_set(set);
        self.written += 1;
        Some(self.set.clone())
    }

    /// Everything that changed since the last call goes into the journal, and is judged.
    pub(crate) fn absorb(&mut self) {
        let before = self.journal.len();
        self.collect();
        if self.journal.len() > before {
            self.judge.observe(&self.server, false);
        }
    }

    /// Into the journal only: the caller judges.
    pub(crate) fn collect(&mut self) {
        let changes = self.server.journal.as_mut().map(std::mem::take);
        for change in changes.into_iter().flatten() {
            if change.resource == Resource::Claims {
                let (claim, gone) = (&change.object, change.deleted);
                let judge = &self.judge;
                judge.check_claim(&change.name, claim, gone, &self.server);
            }
            let kind = match change.resource {
                Resource::Pods | Resource::PodsStatus | Resource::PodsResize => Kind::Pod,
                Resource::Claims => Kind::Claim,
                Resource::ControllerRevisions => Kind::Revision,
            };
            self.journal.push(Entry {
                kind,
                name: change.name,
                object: change.object,
                deleted: change.deleted,
            });
        }
    }

    /// A write of ours. The object before it comes first.
    pub(crate) fn perform(
        &mut self,
        request: &Request,
    ) -> (Option<Object>, Result<Option<Object>, Refused>) {
        let before = self.read(request);
        let answer = self.server.perform(request);
        self.collect();
        if let Ok(answer) = &answer {
            self.written += 1;
            if let Some(object) = answer.as_ref().or(before.as_ref()) {
                *self.writes.entry(uid(object).to_owned()).or_default() += 1;
            }
        }
        (before, answer)
    }

    /// The object that a request is about.
    pub(crate) fn read(&self, request: &Request) -> Option<Object> {
        self.server.read(request.resource, &request.name).cloned()
    }

    pub(crate) fn pod_names(&self) -> Vec<String> {
        self.server.pods.keys().cloned().collect()
    }

    /// Our Pods that count.
    pub(crate) fn active(&self) -> Vec<&Value> {
        let pods = self.server.pods.values().map(|pod| &**pod);
        pods.filter(|p| is_ours(p) && is_active(p) && !is_warmer(p))
            .collect()
    }

    /// Scheduler or kubelet take one Pod a step further. Returns whether anything changed.
    pub(crate) fn sync(&mut self, name: &str, rng: &mut Rng) -> bool {
        let Some(pod) = self.server.pods.get(name) else {
            return false;
        };
        if pod["metadata"]["labels"]["foreign"].is_string() {
            return false;
        }
        let version = pod["metadata"]["resourceVersion"].clone();
        if self.idle.get(name) == Some(&version) {
            return false;
        }
        let changed = match pod["spec"]["nodeName"].as_str() {
            None => {
                let node = NODES[rng.usize(..NODES.len())];
                if !self.server.has_claims(name) {
                    return false;
                }
                self.server.bind(name, node).is_ok()
            }
            Some(node) if self.silent.contains(node) => return false,
            Some(_) => self.kubelet.sync(&mut self.server, name),
        };
        if !changed {
            self.idle.insert(name.to_owned(), version);
        }
        self.absorb();
        if changed {
            self.tell(|| format!("kubelet {name}"));
        }
        changed
    }

    /// Whoever owns the hooks does what the state of each Pod asks of it. Returns whether there was
    /// anything to do.
    pub(crate) fn owner_acts(&mut self, name: &str) -> bool {
        if self.is_owner_silent {
            return false;
        }
        let lifecycle = self.lifecycle();
        let acted = hooks::owner_acts_on(&lifecycle, &mut self.server, name);
        if acted {
            self.absorb();
            self.tell(|| format!("OWNER of hooks {name}"));
        }
        acted
    }

    pub(crate) fn lifecycle(&self) -> Lifecycle {
        let lifecycle = Option::deserialize(&self.set["spec"]["lifecycle"]);
        let lifecycle: Option<Lifecycle> = lifecycle.expect("the simulation writes sound specs");
        lifecycle.unwrap_or_default()
    }

    /// The garbage collector comes by.
    pub(crate) fn collect_garbage(&mut self) -> bool {
        let gone = self.server.collect_claims();
        self.absorb();
        if !gone.is_empty() {
            self.tell(|| format!("garbage: {gone:?}"));
        }
        !gone.is_empty()
    }

    /// Time goes by, for the cache and for the cluster.
    pub(crate) fn advance(&mut self, time: SignedDuration) {
        self.server.now += time;
    }
}

/// Every Pod in a word.
pub(crate) fn cells(server: &Server) -> String {
    let mut out = String::new();
    for (name, pod) in &server.pods {
        let hash = pod["metadata"]["labels"]["controller-revision-hash"].as_str();
        let hash = hash.unwrap_or("?").rsplit('-').next().unwrap_or("?");
        let image = pod["spec"]["containers"][0]["image"].as_str();
        let mut state = String::new();
        if !is_ours(pod) {
            state += "foreign ";
        }
        if pod["metadata"]["deletionTimestamp"].is_string() {
            state += "leaving ";
        }
        let gate = match condition(pod, "InPlaceUpdateReady") {
            "True" => "open",
            "False" => "closed",
            _ => "unset",
        };
        let ready = condition(pod, "Ready");
        let _ = write!(
            out,
            "| {name}@{} {state}{hash} {} {gate} ready={ready} gen {}/{} ",
            pod["metadata"]["resourceVersion"].as_str().unwrap_or("?"),
            image.unwrap_or("?"),
            pod["metadata"]["generation"],
            pod["status"]["observedGeneration"],
        );
    }
    out
}
