//! The keeper against an API server of a handful of objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, Response};
use jiff::SignedDuration;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::BoxError;

use super::*;
use crate::certs::Lifetimes;
use crate::certs::bundle::{self, Certificate};
use crate::certs::material::{AUTHORITY_KEY, Data, LEAF};

const SECRET: &str = "/api/v1/namespaces/insitu-system/secrets/certs";
const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sets.example.com";
const VALIDATING: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/door";
const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/door";
const REGISTRATIONS: [&str; 3] = [DEFINITION, VALIDATING, MUTATING];

/// Runs once, after the first read of an object.
type Hook = (&'static str, Box<dyn FnOnce(&Server) + Send>);

/// Objects by path.
#[derive(Default)]
struct Server {
    objects: Mutex<BTreeMap<String, Value>>,
    version: AtomicU64,
    /// Paths that cannot be written.
    closed: Mutex<BTreeSet<&'static str>>,
    hook: Mutex<Option<Hook>>,
    writes: Mutex<Vec<String>>,
}

impl Server {
    /// One on which the registrations are as shipped.
    fn shipped() -> Arc<Self> {
        let server = Self::default();
        let door = json!({"service": {"name": "door", "namespace": "insitu-system"}});
        for path in REGISTRATIONS {
            let object = if path == DEFINITION {
                json!({"spec": {"conversion": {"webhook": {"clientConfig": door}}}})
            } else {
                json!({"webhooks": [{"name": "a", "clientConfig": door}]})
            };
            server.put(path, object);
        }
        Arc::new(server)
    }

    fn put(&self, path: &str, mut object: Value) -> Value {
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let name = path.rsplit('/').next().unwrap_or_default();
        object["metadata"]["name"] = name.into();
        object["metadata"]["resourceVersion"] = version.to_string().into();
        self.objects.lock().insert(path.to_owned(), object.clone());
        object
    }

    fn get(&self, path: &str) -> Option<Value> {
        self.objects.lock().get(path).cloned()
    }

    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Result<Value, (u16, &str)> {
        let before = self.get(path);
        if *method == Method::GET {
            let hook = self.hook.lock().take_if(|(at, _)| *at == path);
            if let Some((_, hook)) = hook {
                hook(self);
            }
            return before.ok_or((404, "NotFound"));
        }
        if self.closed.lock().contains(path) {
            return Err((403, "Forbidden"));
        }
        let sent: Value = serde_json::from_slice(body).unwrap();
        if *method == Method::POST {
            let name = sent["metadata"]["name"].as_str().unwrap();
            let path = format!("{path}/{name}");
            return match self.get(&path) {
                Some(_) => Err((409, "AlreadyExists")),
                None => Ok(self.write(&path, sent)),
            };
        }
        let before = before.ok_or((404, "NotFound"))?;
        if *method == Method::PUT {
            let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
            return if version(&sent) == version(&before) {
                Ok(self.write(path, sent))
            } else {
                Err((409, "Conflict"))
            };
        }
        let patch: json_patch::Patch = serde_json::from_value(sent).unwrap();
        let mut after = before;
        let patched = json_patch::patch(&mut after, &patch);
        patched.map_err(|_| (422, "Invalid"))?;
        Ok(self.write(path, after))
    }

    fn after_read(&self, path: &'static str, hook: impl FnOnce(&Self) + Send + 'static) {
        *self.hook.lock() = Some((path, Box::new(hook)));
    }

    fn write(&self, path: &str, object: Value) -> Value {
        self.writes.lock().push(path.to_owned());
        self.put(path, object)
    }

    /// What was written since the last call.
    fn written(&self) -> Vec<String> {
        std::mem::take(&mut *self.writes.lock())
    }

    /// Of the Secret.
    fn data(&self) -> Data {
        let secret = self.get(SECRET).unwrap();
        let data = secret["data"].as_object().unwrap();
        let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        data.iter().map(|(k, v)| (k.clone(), bytes(v))).collect()
    }

    /// Another replica makes this the content of the Secret, and publishes its bundle.
    fn rotated_by_another(&self, data: &Data) {
        let mut secret = self.get(SECRET).unwrap();
        let text = |(k, v): (&String, &Vec<u8>)| (k.clone(), STANDARD.encode(v).into());
        secret["data"] = Value::Object(data.iter().map(text).collect());
        self.put(SECRET, secret);
        for path in REGISTRATIONS {
            let mut object = self.get(path).unwrap();
            let client = object.pointer_mut(client_config(path)).unwrap();
            client["caBundle"] = STANDARD.encode(&data[BUNDLE]).into();
            self.put(path, object);
        }
    }

    fn published(&self, path: &str) -> Vec<Certificate> {
        let object = self.get(path).unwrap();
        let text = object.pointer(client_config(path)).unwrap()["caBundle"].clone();
        let pem = STANDARD.decode(text.as_str().unwrap_or_default()).unwrap();
        bundle::read(&pem)
    }
}

fn client_config(path: &str) -> &'static str {
    if path == DEFINITION {
        "/spec/conversion/webhook/clientConfig"
    } else {
        "/webhooks/0/clientConfig"
    }
}

fn client(server: &Arc<Server>) -> Client {
    let server = Arc::clone(server);
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = Arc::clone(&server);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await?;
            let (code, answer) = match server.answer(&parts.method, parts.uri.path(), &body) {
                Ok(object) => (200, object),
                Err((code, reason)) => {
                    let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure",
                        "reason": reason, "message": reason, "code": code});
                    (code, status)
                }
            };
            let body = Body::from(answer.to_string().into_bytes());
            Ok::<_, BoxError>(Response::builder().status(code).body(body)?)
        }
    });
    Client::new(service, "default")
}

fn wanted() -> Wanted {
    Wanted {
        names: Names {
            service: "door".into(),
            namespace: "insitu-system".into(),
        },
        lifetimes: Lifetimes::default(),
    }
}

fn keeper(server: &Arc<Server>) -> Keeper {
    let identity = Arc::new(Identity::default());
    let name = wanted().names.server_name();
    let shown = Shown {
        readiness: Arc::new(Readiness::new(Arc::clone(&identity), name)),
        metrics: Metrics::new(Arc::clone(&identity)),
        identity,
    };
    let objects = Objects {
        secret: "certs".into(),
        configuration: "door".into(),
        definitions: vec!["sets.example.com".into()],
    };
    Keeper::new(client(server), objects, wanted(), shown)
}

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// Passes until there is nothing to do.
async fn settle(keeper: &mut Keeper, now: Timestamp) -> Timestamp {
    for _ in 0..5 {
        if let Next::At(at) = keeper.pass(now).await.unwrap() {
            return at;
        }
    }
    panic!("it does not come to rest");
}

#[tokio::test]
async fn a_pass_makes_what_is_missing_and_the_next_one_rests() {
    let server = Server::shipped();
    let mut keeper = keeper(&server);
    assert_eq!(keeper.pass(start()).await.unwrap(), Next::Again);
    let mut expected = vec![SECRET];
    expected.extend(REGISTRATIONS);
    let mut written = server.written();
    assert_eq!(written[0], SECRET, "nobody is told of what may not last");
    written.sort_unstable();
    expected.sort_unstable();
    assert_eq!(written, expected);
    assert_eq!(keeper.shown.readiness.ask(start()), Ok(()));
    let metrics = keeper.shown.metrics.encode().unwrap();
    assert!(metrics.contains(r#"reason="NoAuthority"} 1"#), "{metrics}");
    let settled = start() + SignedDuration::from_mins(1);
    assert_eq!(keeper.pass(start()).await.unwrap(), Next::At(settled));
    let renewed = start() + days(60);
    assert_eq!(keeper.pass(settled).await.unwrap(), Next::At(renewed));
    assert_eq!(server.written(), Vec::<String>::new());
}

#[tokio::test]
async fn one_registration_that_cannot_be_written_keeps_no_other_from_it() {
    let server = Server::shipped();
    let mut keeper = keeper(&server);
    for closed in REGISTRATIONS {
        server.closed.lock().insert(closed);
        server.objects.lock().remove(SECRET);
        let failed = keeper.pass(start()).await.unwrap_err().to_string();
        assert!(failed.contains("publish the bundle"), "{failed}");
        let newest = bundle::read(&server.data()[BUNDLE]).remove(0);
        for path in REGISTRATIONS {
            let is_told = server.published(path).contains(&newest);
            assert_eq!(is_told, path != closed, "{path} of all but {closed}");
        }
        let why = keeper.shown.readiness.ask(start()).unwrap_err();
        assert!(why.contains("does not verify"), "{why}");
        server.closed.lock().clear();
        settle(&mut keeper, start()).await;
        assert_eq!(keeper.shown.readiness.ask(start()), Ok(()));
        // Time passes, and healing is allowed at once again.
        keeper.paces = Paces::default();
    }
}

#[tokio::test]
async fn an_authority_that_one_client_does_not_know_signs_nothing() {
    for closed in REGISTRATIONS {
        let server = Server::shipped();
        let mut keeper = keeper(&server);
        settle(&mut keeper, start()).await;
        settle(&mut keeper, start() + days(200)).await;
        let leaf = server.data()[LEAF].clone();
        let due = start() + days(244);
        server.closed.lock().insert(closed);
        for later in [due, due + SignedDuration::from_hours(1)] {
            keeper.pass(later).await.unwrap_err();
            assert_eq!(bundle::read(&server.data()[BUNDLE]).len(), 2);
            assert_eq!(server.data()[LEAF], leaf, "{closed} does not know it");
        }
        server.closed.lock().clear();
        // Nor is it used in the same breath: clients read what is published, nobody tells them.
        let later = due + SignedDuration::from_hours(2);
        let next = keeper.pass(later).await.unwrap();
        assert!(matches!(next, Next::At(_)), "{next:?}");
        assert_eq!(server.data()[LEAF], leaf);
        assert_eq!(keeper.pass(later).await.unwrap(), Next::Again);
        assert_ne!(server.data()[LEAF], leaf);
        let shown = keeper.shown.identity.leaf();
        assert_eq!(shown, bundle::read(&server.data()[LEAF]).pop());
        assert_eq!(keeper.shown.readiness.ask(later), Ok(()));
    }
}

/// The Secret after another replica made a new authority.
fn rotated(data: &Data, now: Timestamp) -> Data {
    let mut data = data.clone();
    data.remove(AUTHORITY_KEY);
    match rotation::decide(&data, Material::read(&data, now), true, &wanted(), now).unwrap() {
        (_, Decision::Write(next, _)) => next,
        (_, Decision::Keep(_)) => panic!("there is no key"),
    }
}

#[tokio::test]
async fn a_bundle_that_another_replica_published_meanwhile_is_not_taken_back() {
    let server = Server::shipped();
    let mut keeper = keeper(&server);
    settle(&mut keeper, start()).await;
    let next = rotated(&server.data(), start());
    let newest = bundle::read(&next[BUNDLE]).remove(0);
    server.after_read(DEFINITION, move |server| server.rotated_by_another(&next));
    keeper.pass(start()).await.unwrap();
    for path in REGISTRATIONS {
        assert!(server.published(path).contains(&newest), "{path}");
    }
}

#[tokio::test]
async fn what_lost_the_race_for_the_secret_is_neither_shown_nor_published() {
    let server = Server::shipped();
    let mut keeper = keeper(&server);
    settle(&mut keeper, start()).await;
    let (shown, stored) = (keeper.shown.identity.leaf(), server.data());
    server.written();
    server.after_read(SECRET, |server| {
        let secret = server.get(SECRET).unwrap();
        server.put(SECRET, secret);
    });
    let due = start() + days(60);
    assert_eq!(keeper.pass(due).await.unwrap(), Next::Again);
    assert_eq!(server.written(), Vec::<String>::new());
    assert_eq!(
        (keeper.shown.identity.leaf(), server.data()),
        (shown, stored)
    );
    let metrics = keeper.shown.metrics.encode().unwrap();
    assert!(!metrics.contains("LeafDue"), "{metrics}");

    // The same where there was no Secret when it was looked for.
    let secret = server.objects.lock().remove(SECRET).unwrap();
    server.after_read(SECRET, move |server| {
        server.put(SECRET, secret);
    });
    assert_eq!(keeper.pass(start()).await.unwrap(), Next::Again);
    assert_eq!(server.written(), Vec::<String>::new());
}

#[tokio::test]
async fn a_registration_that_is_taken_away_while_it_is_written_is_no_failure() {
    let server = Server::shipped();
    let mut keeper = keeper(&server);
    server.after_read(SECRET, |server| {
        server.objects.lock().remove(DEFINITION);
    });
    assert_eq!(keeper.pass(start()).await.unwrap(), Next::Again);
    settle(&mut keeper, start()).await;
    assert_eq!(keeper.shown.readiness.ask(start()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn one_who_deletes_the_secret_all_the_time_waits_for_the_next_one() {
    let server = Server::shipped();
    let mut keeper = keeper(&server);
    for expected in [true, true, false] {
        server.objects.lock().remove(SECRET);
        let next = keeper.pass(start()).await.unwrap();
        assert_eq!(next == Next::Again, expected, "{next:?}");
    }
    assert_eq!(server.get(SECRET), None);
    let Next::Held(until) = keeper.pass(start()).await.unwrap() else {
        panic!("it is made at once");
    };
    tokio::time::sleep_until(until).await;
    assert_eq!(keeper.pass(start()).await.unwrap(), Next::Again);
    assert!(server.get(SECRET).is_some());
}

#[tokio::test]
async fn where_nothing_leads_here_nobody_is_ready() {
    let server = Arc::new(Server::default());
    let mut keeper = keeper(&server);
    settle(&mut keeper, start()).await;
    let why = keeper.shown.readiness.ask(start()).unwrap_err();
    assert!(why.contains("no registration leads here"), "{why}");
}

#[tokio::test]
async fn a_key_that_was_never_ours_is_dropped_and_said_to_be() {
    let server = Server::shipped();
    let mut keeper = keeper(&server);
    settle(&mut keeper, start()).await;
    let mut data = server.data();
    let before = data.clone();
    data.insert("password".into(), b"secret".to_vec());
    server.rotated_by_another(&data);
    assert_eq!(keeper.pass(start()).await.unwrap(), Next::Again);
    assert_eq!(server.data(), before);
    let metrics = keeper.shown.metrics.encode().unwrap();
    assert!(metrics.contains(r#"reason="Tidy"} 1"#), "{metrics}");
}
