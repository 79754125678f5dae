//! The controller on the model of the API server, with writes that take their time.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Request, Response, header};
use kube::Client;
use kube::client::Body;
use kube::runtime::watcher::Event;
use model::object::Object;
use model::server::Refused;
use model::world::World;
use parking_lot::Mutex;
use planner::effect::{Request as Write, Resource, Verb};
use planner::{Claim, Node, Revision};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::BoxError;

use super::*;
use crate::cache::{Cache, without_managed_fields};
use crate::controller::Parts;
use crate::events::Events;
use crate::metrics::Metrics;

const PODS: usize = 4;

/// What the controller talks to.
struct Api {
    world: Mutex<World>,
    pods: Arc<Cache<Pod>>,
    /// Answers about this Pod take so long; all others a moment.
    slow: String,
    slow_for: Duration,
    unavailable_max: AtomicUsize,
}

fn decode<K: DeserializeOwned>(object: &Value) -> K {
    serde_json::from_value(object.clone()).unwrap()
}

fn filled<K>(objects: impl Iterator<Item = impl Into<Object>>) -> Arc<Cache<K>>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let cache = Arc::new(Cache::new(without_managed_fields));
    cache.event(Event::Init);
    for object in objects {
        cache.event(Event::InitApply(decode(&object.into())));
    }
    cache.event(Event::InitDone);
    cache
}

fn write_of(method: &Method, path: &str, content: &str, body: Value) -> Option<Write> {
    let parts: Vec<&str> = path.split('/').collect();
    let at = parts
        .iter()
        .position(|p| ["pods", "controllerrevisions"].contains(p))?;
    let resource = match (parts[at], parts.get(at + 2)) {
        ("pods", Some(_)) => Resource::PodsStatus,
        ("pods", None) => Resource::Pods,
        _ => Resource::ControllerRevisions,
    };
    let verb = match (method.as_str(), content) {
        ("POST", _) => Verb::Create,
        ("DELETE", _) => Verb::Delete,
        (_, "application/json-patch+json") => Verb::JsonPatch,
        (_, "application/merge-patch+json") => Verb::MergePatch,
        _ => Verb::StrategicPatch,
    };
    let named = body["metadata"]["name"].as_str();
    let name = parts.get(at + 1).copied().or(named)?.to_owned();
    Some(Write {
        verb,
        resource,
        name,
        body,
    })
}

impl Api {
    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = serde_json::from_slice(&body.collect_bytes().await?).unwrap_or_default();
        let content = parts.headers.get(header::CONTENT_TYPE);
        let content = content.map_or("", |content| content.to_str().unwrap());
        let write = write_of(&parts.method, parts.uri.path(), content, body);
        let refused = |code: u16| {
            let status = json!({"kind": "Status", "code": code, "message": "", "reason": ""});
            (code, status)
        };
        let (code, answer) = match write {
            // The status of the set, and Events.
            None => refused(404),
            Some(write) => {
                let done = self.world.lock().server.perform(&write);
                self.look();
                // It has happened, and nobody has been told.
                let is_slow = write.name == self.slow;
                let pause = if is_slow {
                    self.slow_for
                } else {
                    PATIENCE / 25
                };
                tokio::time::sleep(pause).await;
                match done {
                    Ok(Some(object)) => (200, object.into()),
                    Ok(None) => refused(200),
                    Err(Refused::NotFound) => refused(404),
                    Err(Refused::Exists | Refused::Conflict) => refused(409),
                    Err(Refused::TestFailed) => refused(422),
                    Err(refused) => panic!("{refused:?}: {write:?}"),
                }
            }
        };
        let body = Body::from(serde_json::to_vec(&answer)?);
        Ok(Response::builder().status(code).body(body)?)
    }

    /// Counts who is out of service.
    fn look(&self) {
        let world = self.world.lock();
        let serves = |pod: &&Object| decode::<Pod>(pod).is_ready();
        let serving = world.server.pods.values().filter(serves).count();
        let unavailable = PODS - serving;
        self.unavailable_max
            .fetch_max(unavailable, Ordering::Relaxed);
    }

    /// The kubelet and the watch.
    async fn run(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.world.lock().kubelet_round();
            self.look();
            let pods: Vec<Object> = self.world.lock().server.pods.values().cloned().collect();
            for pod in pods {
                self.pods.event(Event::Apply(decode(&pod)));
            }
        }
    }

    fn updated(&self) -> usize {
        let images = self.world.lock().images();
        images.iter().filter(|image| *image == "web:2").count()
    }
}

#[tokio::test(start_paused = true)]
async fn one_slow_answer_holds_up_nobody_and_the_budget_is_kept() {
    let rolling = json!({"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 2});
    let mut world = World::running(4, &rolling);
    world.set_image("web:2");
    world.set["metadata"]["resourceVersion"] = "1".into();
    let slow = world.server.pods.keys().next().unwrap().clone();
    let set = world.set.clone();
    let sets: Arc<Cache<CachedSet>> = filled([set].into_iter());
    let pods = filled(world.server.pods.clone().into_values());
    let revisions = filled::<Revision>(world.server.revisions.clone().into_values());
    let api = Arc::new(Api {
        world: Mutex::new(world),
        pods: Arc::clone(&pods),
        slow,
        slow_for: Duration::from_secs(8),
        unavailable_max: AtomicUsize::new(0),
    });
    let answering = Arc::clone(&api);
    let service = tower::service_fn(move |request| {
        let api = Arc::clone(&answering);
        async move { api.answer(request).await }
    });
    let client = Client::new(service, "shop");
    let shutdown = CancellationToken::new();
    let (events, _publish) = Events::new(client.clone(), shutdown.clone());
    let controller = Controller::new(Parts {
        sets,
        pods,
        claims: filled::<Claim>(std::iter::empty::<Value>()),
        nodes: filled::<Node>(std::iter::empty::<Value>()),
        revisions,
        client,
        events,
        metrics: Metrics::new(),
        effects_max: 100,
    });
    // The caches were full before the controller subscribed: it learns of the set once more.
    let mut again = api.world.lock().set.clone();
    again["metadata"]["resourceVersion"] = "2".into();
    controller.sets.event(Event::Apply(decode(&again)));
    let running = tokio::spawn(Arc::clone(&controller).run(1, shutdown.clone()));
    let cluster = Arc::clone(&api);
    let cluster = tokio::spawn(async move { cluster.run().await });

    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(api.updated(), PODS - 1, "all but the slow one");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(api.updated(), PODS);
    assert_eq!(api.unavailable_max.load(Ordering::Relaxed), 2);

    shutdown.cancel();
    running.await.unwrap();
    cluster.abort();
}
