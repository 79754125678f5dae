//! Every event of a set's Pods, as the API server told it, and what may never be among them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::shop::is_ready;

/// One Pod at one event.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was seen.
    pub at: jiff::Timestamp,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// The Ready condition.
    pub ready: bool,
    /// The readiness gate: None while nobody has set it.
    pub gate: Option<bool>,
    /// On its way out.
    pub terminating: bool,
    /// Deleted by this event.
    pub gone: bool,
    /// Image in the spec of the first container.
    pub image: String,
    /// ID of the first container.
    pub container: Option<String>,
}

/// Records until dropped.
pub struct Recorder {
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    /// Records Pods that `selector` matches; returns once the present ones are in.
    pub async fn start(pods: Api<Pod>, selector: &str) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let config = watcher::Config::default().labels(selector);
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let stream = watcher::watcher(pods, config);
            pin_mut!(stream);
            let mut ready = Some(ready);
            while let Some(event) = stream.next().await {
                match event {
                    Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                        log.lock().push(Seen::new(&pod, false));
                    }
                    Ok(Event::Delete(pod)) => log.lock().push(Seen::new(&pod, true)),
                    Ok(Event::InitDone) => {
                        if let Some(ready) = ready.take() {
                            let _ = ready.send(());
                        }
                    }
                    Ok(Event::Init) | Err(_) => {}
                }
            }
        });
        let _ = is_ready.await;
        Self { seen, task }
    }

    /// Everything so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// The highest number of Pods out of `replicas` that were unavailable at any event, from the
    /// first moment on at which all were available.
    pub fn unavailable_max(&self, replicas: usize) -> usize {
        let mut pods: BTreeMap<String, bool> = BTreeMap::new();
        let (mut settled, mut worst) = (false, 0);
        for seen in self.seen() {
            if seen.gone {
                pods.remove(&seen.uid);
            } else {
                pods.insert(seen.uid.clone(), seen.ready && !seen.terminating);
            }
            let available = pods.values().filter(|available| **available).count();
            settled |= available >= replicas;
            if settled {
                worst = worst.max(replicas.saturating_sub(available));
            }
        }
        worst
    }

    /// Everything that was seen of the Pods in `harm`, one line an event: for the failure message.
    pub fn story(&self, harm: &[Seen]) -> String {
        let short = |id: &Option<String>| {
            let id = id.as_deref().unwrap_or("-");
            id[id.len().saturating_sub(6)..].to_owned()
        };
        let concerned = |seen: &&Seen| harm.iter().any(|h| h.uid == seen.uid);
        let line = |s: &Seen| {
            let (name, ready, gate) = (&s.name, s.ready, s.gate);
            format!(
                "{} {name} ready={ready} gate={gate:?} {} {}\n",
                s.at,
                s.image,
                short(&s.container)
            )
        };
        self.seen().iter().filter(concerned).map(line).collect()
    }

    /// Events at which a Pod was Ready on the container it had when it was drained: traffic to a
    /// container that is about to be killed.
    pub fn ready_on_old(&self) -> Vec<Seen> {
        let mut drained: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut harm = Vec::new();
        for seen in self.seen() {
            if seen.gate == Some(false) && !seen.ready {
                drained
                    .entry(seen.uid.clone())
                    .or_insert_with(|| seen.container.clone());
            } else if let Some(old) = drained.get(&seen.uid) {
                if seen.container != *old {
                    drained.remove(&seen.uid);
                } else if seen.ready {
                    harm.push(seen);
                }
            }
        }
        harm
    }

    /// Events at which a Pod that was Ready on its new container stopped being so undrained.
    pub fn flaps(&self) -> Vec<Seen> {
        let mut up: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut harm = Vec::new();
        for seen in self.seen() {
            if seen.ready {
                up.insert(seen.uid.clone(), seen.container.clone());
            } else if up.remove(&seen.uid).is_some_and(|c| c == seen.container)
                && seen.gate == Some(true)
                && !seen.terminating
                && !seen.gone
            {
                harm.push(seen);
            }
        }
        harm
    }
}

impl Seen {
    fn new(pod: &Pod, gone: bool) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let gate = conditions.iter().find(|c| c.type_ == "InPlaceUpdateReady");
        let first = pod.spec.as_ref().and_then(|spec| spec.containers.first());
        let name = first.map(|c| c.name.clone()).unwrap_or_default();
        let statuses = status.container_statuses.unwrap_or_default();
        let container = statuses.into_iter().find(|s| s.name == name);
        Self {
            at: jiff::Timestamp::now(),
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            ready: is_ready(pod),
            gate: gate.map(|c| c.status == "True"),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            gone,
            image: first.and_then(|c| c.image.clone()).unwrap_or_default(),
            container: container.and_then(|s| s.container_id),
        }
    }
}
