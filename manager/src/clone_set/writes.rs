//! The writes of a pass: those it waits for, and those that go on while the next one is decided.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Api, Resource};
use planner::pod::Gate;
use planner::{Effect, Pod, claim, ownership};
use process::client::call;

use super::about;
use crate::cache::Key;
use crate::controller::{CachedSet, Controller};
use crate::executor::Done;
use crate::story;
use crate::worker::STALE_AGAIN;

/// A pass that began writes waits for half of those under way, so that one pass serves many
/// answers; but one slow answer shall not hold up the others for longer than this.
const PATIENCE: Duration = Duration::from_millis(500);

/// The set that is worked on: its key, and how Events name it.
type About = (Key, ObjectReference);

/// What came of an effect, as far as the next pass is concerned.
enum Ended {
    Written,
    Stale,
    /// The object is left alone for so long.
    Held(Duration),
}

impl Controller {
    /// Writes `effects` and waits for every answer. Tells whether the view proved old.
    pub(super) async fn perform(&self, key: &Key, set: &CachedSet, effects: Vec<Effect>) -> bool {
        if effects.iter().any(Effect::is_adoption) && !self.may_adopt(key, set).await {
            return true;
        }
        let about = (key.clone(), about(set));
        let mut writes: FuturesUnordered<_> = effects
            .into_iter()
            .map(|effect| self.write(&about, effect))
            .collect();
        let mut is_stale = false;
        while let Some(ended) = writes.next().await {
            is_stale |= matches!(ended, Ended::Stale);
        }
        is_stale
    }

    /// Whether the set is what the API server has by that name: what else was decided from an older
    /// view is not to be done either.
    async fn may_adopt(&self, key: &Key, set: &CachedSet) -> bool {
        let sets: Api<CachedSet> = Api::namespaced(self.client.clone(), &key.namespace);
        match call(sets.get_metadata_opt(&key.name)).await {
            Ok(live) => {
                let uid = set.meta().uid.as_deref().unwrap_or_default();
                ownership::may_adopt(live.as_ref().map(|live| &live.metadata), uid)
            }
            Err(error) => {
                tracing::warn!(%key, %error, "nobody knows if the set is there still: nothing is adopted");
                false
            }
        }
    }

    /// Begins to write `effects`. Each asks for another pass when it has ended.
    pub(super) fn launch(self: &Arc<Self>, key: &Key, set: &CachedSet, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        let flights: Vec<_> = effects
            .into_iter()
            .map(|effect| {
                let uid = effect.uid().unwrap_or_default();
                (self.flights.begin(key, uid), effect)
            })
            .collect();
        let (this, about) = (Arc::clone(self), (key.clone(), about(set)));
        self.tasks.spawn(async move {
            let writes = async {
                let mut writes: FuturesUnordered<_> = flights
                    .into_iter()
                    .map(|(flight, effect)| async { (flight, this.write(&about, effect).await) })
                    .collect();
                while let Some((flight, ended)) = writes.next().await {
                    // The pass that is asked for must not find it under way any more.
                    drop(flight);
                    match ended {
                        Ended::Written => this.queue.add(about.0.clone()),
                        Ended::Stale => this.queue.add_after(about.0.clone(), STALE_AGAIN),
                        Ended::Held(pause) => {
                            this.queue.add(about.0.clone());
                            this.queue.add_after(about.0.clone(), pause);
                        }
                    }
                }
            };
            if AssertUnwindSafe(writes).catch_unwind().await.is_err() {
                let key = about.0;
                tracing::error!(%key, "a write panicked: this is a bug, the set backs off");
                this.queue.add_failed(key);
            }
        });
    }

    /// Waits until half of the writes under way have ended, within [`PATIENCE`].
    pub(super) async fn wait_for_half(&self, key: &Key) {
        let under_way = self.flights.of(key).len();
        let half = self.flights.at_most(key, under_way / 2);
        // The rest goes on either way.
        let _ = tokio::time::timeout(PATIENCE, half).await;
    }

    async fn write(&self, about: &About, effect: Effect) -> Ended {
        let namespace = &about.0.namespace;
        // As it is before it is written: afterwards the cache knows a newer one.
        let before = self.pods.get(namespace, effect.name());
        let done = self.executor.write(namespace, &effect).await;
        self.learn(about, &effect, &done, before.as_deref())
    }

    /// Logs, tells and remembers what became of an effect.
    fn learn(
        &self,
        (key, about): &About,
        effect: &Effect,
        done: &Done,
        before: Option<&Pod>,
    ) -> Ended {
        if let Some(note) = story::of_effect(about, effect, done, before) {
            self.events.tell(note);
        }
        let name = effect.name();
        let held_as = effect.held_as();
        match done {
            Done::Written => {
                self.measure(effect, before);
                tracing::info!(%key, effect = kind(effect), name, "done");
                self.holds.lock().succeeded(key, &held_as);
                Ended::Written
            }
            Done::Stale => {
                // Maybe the claim is somebody else's: another instance is made then. If it is
                // ours, the watch brings it, and it is used.
                if let Effect::CreateClaim { name, .. } = effect {
                    let held_as = claim::held_as(name);
                    let mut holds = self.holds.lock();
                    holds.failed(key, &held_as, claim::EXISTS, None);
                }
                Ended::Stale
            }
            Done::Failed(error) => {
                tracing::warn!(%key, effect = kind(effect), name, %error, "failed");
                let text = format!("{name}: {error}");
                let asked = error.retry_after();
                Ended::Held(self.holds.lock().failed(key, &held_as, &text, asked))
            }
        }
    }

    /// How long a Pod was kept out of its Services by us.
    fn measure(&self, effect: &Effect, before: Option<&Pod>) {
        let Effect::OpenGate {
            at,
            judged: Some(_),
            ..
        } = effect
        else {
            return;
        };
        if let Some(Gate::Closed { since: Some(since) }) = before.map(Pod::gate) {
            self.metrics
                .updated_in_place("drained", at.duration_since(since).as_secs_f64());
        }
    }
}

fn kind(effect: &Effect) -> &'static str {
    match effect {
        Effect::CreateRevision { .. } => "CreateRevision",
        Effect::RenumberRevision { .. } => "RenumberRevision",
        Effect::NameRevision { .. } => "NameRevision",
        Effect::DeleteRevision { .. } => "DeleteRevision",
        Effect::Adopt { .. } => "Adopt",
        Effect::AdoptRevision { .. } => "AdoptRevision",
        Effect::Release { .. } => "Release",
        Effect::CreatePod { .. } => "CreatePod",
        Effect::DeletePod { .. } => "DeletePod",
        Effect::Drain { .. } => "Drain",
        Effect::PatchPod { .. } => "PatchPod",
        Effect::Transition { .. } => "Transition",
        Effect::Resize { .. } => "Resize",
        Effect::CreateClaim { .. } => "CreateClaim",
        Effect::HandClaim { .. } => "HandClaim",
        Effect::DeleteClaim { .. } => "DeleteClaim",
        Effect::KeepClaims { .. } => "KeepClaims",
        Effect::CreateWarmer { .. } => "CreateWarmer",
        Effect::DeleteWarmer { .. } => "DeleteWarmer",
        Effect::OpenGate { .. } => "OpenGate",
    }
}

#[cfg(test)]
mod tests;
