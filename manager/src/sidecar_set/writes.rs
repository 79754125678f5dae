//! What a pass writes, and whom it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apis::SidecarSetStatus;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use planner::sidecar_set::{self as planner_of, Snapshot};
use planner::{Effect, Pod};

use super::{CachedSet, Controller, about};
use crate::cache::Key;
use crate::events::{Note, Tone};
use crate::executor::Done;
use crate::story;
use crate::worker::{Pass, until};

impl Controller {
    /// Lets Pods in that the set `key`, which is gone or makes no sense, took out of their Services.
    /// None is left where there was nothing to write.
    pub(super) async fn release(&self, key: &Key, about: &ObjectReference) -> Option<Pass> {
        let pods = self.pods(&self.injected.lock().of(&key.name).with);
        let (held, again) = self.holds.lock().held(key);
        let free = pods.iter().filter(|pod| !held.contains_key(pod.uid()));
        let free = free.map(|pod| &**pod);
        let effects = planner_of::release(&key.name, free, Timestamp::now());
        if effects.is_empty() {
            return again.map(|again| Pass::Settled(Some(again)));
        }
        let is_stale = self.perform(key, about, effects).await;
        let again = self.holds.lock().held(key).1;
        Some(if is_stale {
            Pass::Stale
        } else {
            Pass::Settled(again)
        })
    }

    /// Writes `effects` and waits for every answer. Tells whether the view proved old.
    async fn perform(
        &self,
        key: &Key,
        about: &ObjectReference,
        effects: Vec<(String, Effect)>,
    ) -> bool {
        let mut writes: FuturesUnordered<_> = effects
            .into_iter()
            .map(|(namespace, effect)| async move {
                let done = self.parts.executor.write(&namespace, &effect).await;
                (namespace, effect, done)
            })
            .collect();
        let mut is_stale = false;
        while let Some((namespace, effect, done)) = writes.next().await {
            if let Some(note) = story::of_sidecars(about, (&namespace, &effect), &done) {
                self.parts.events.tell(note);
            }
            let (name, held_as) = (effect.name(), effect.held_as());
            match &done {
                Done::Written => {
                    tracing::info!(%key, namespace, name, "done");
                    self.holds.lock().succeeded(key, &held_as);
                }
                Done::Stale => is_stale = true,
                Done::Failed(error) => {
                    tracing::warn!(%key, namespace, name, %error, "failed");
                    let (text, asked) = (format!("{name}: {error}"), error.retry_after());
                    self.holds.lock().failed(key, &held_as, &text, asked);
                }
            }
        }
        is_stale
    }

    /// Names Pods that do without the containers, each once.
    fn tell_of(&self, key: &Key, about: &ObjectReference, pods: &[&Arc<Pod>]) {
        let mut told = self.told.lock();
        if pods.is_empty() {
            told.remove(key);
            return;
        }
        let before = told.entry(key.clone()).or_default();
        let now: BTreeSet<String> = pods.iter().map(|pod| pod.uid().to_owned()).collect();
        for pod in pods.iter().filter(|pod| !before.contains(pod.uid())) {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            self.parts.events.tell(Note {
                about: about.clone(),
                tone: Tone::Warning,
                reason: "NotInjected",
                text: "made without the containers of the set".into(),
                pod: Some(format!("{namespace}/{}", pod.name())),
            });
        }
        *before = now;
    }

    pub(super) async fn report(
        &self,
        key: &Key,
        set: &CachedSet,
        old: &SidecarSetStatus,
        status: &SidecarSetStatus,
    ) -> Pass {
        let api: Api<CachedSet> = Api::all(self.parts.client.clone());
        let statuses = (old, status);
        self.reporter.report(key, (&api, set), statuses).await
    }

    pub(super) async fn carry_out(
        &self,
        key: &Key,
        (set, old): (&CachedSet, &SidecarSetStatus),
        snapshot: &Snapshot,
        plan: &planner_of::Plan,
    ) -> Pass {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for (place, reason) in &plan.pods {
            *counts.entry(reason.as_str()).or_default() += 1;
            if let Some(pod) = snapshot.pods.get(*place) {
                tracing::debug!(%key, pod = pod.name(), reason = reason.as_str(), detail = %reason, "Pod");
            }
        }
        let counts: Vec<_> = counts.into_iter().collect();
        let metrics = &self.parts.metrics;
        metrics.set_pods_by_reason("", &key.name, &counts);
        let about = about(set);
        let missed = plan.uninjected.iter();
        let missed: Vec<_> = missed.filter_map(|i| snapshot.without.get(*i)).collect();
        self.tell_of(key, &about, &missed);
        let is_stale = self.perform(key, &about, plan.effects.clone()).await;
        let reported = self.report(key, set, old, &plan.status).await;
        let wake = plan.wake_at.map(until).into_iter();
        let wake = wake.chain(self.holds.lock().held(key).1).min();
        match reported {
            Pass::Settled(_) if is_stale => Pass::Stale,
            Pass::Settled(again) => Pass::Settled([wake, again].into_iter().flatten().min()),
            other => other,
        }
    }
}
