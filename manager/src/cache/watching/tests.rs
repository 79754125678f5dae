use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::StreamExt;
use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, client::Body};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::BoxError;

use super::{WatchConfig, run_watch};
use crate::cache::{Cache, without_managed_fields};

/// What the server answers to the next request; the last answer is repeated.
#[derive(Clone)]
enum Answer {
    /// An error status with this message.
    Status(u16, &'static str),
    /// A complete list of these names at this version.
    List(&'static [&'static str], u64),
    /// A watch that sends these lines and then stays open.
    Watch(Vec<Value>),
    /// A watch that sends these lines and then ends.
    Ends(Vec<Value>),
}

struct Server {
    script: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<&'static str>>,
}

fn object(name: &str, rv: u64) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
           "metadata": {"namespace": "ns", "name": name, "uid": name, "resourceVersion": rv.to_string()}})
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

fn end_of_list(rv: u64) -> Value {
    let marks = json!({"k8s.io/initial-events-end": "true"});
    json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "ConfigMap",
           "metadata": {"resourceVersion": rv.to_string(), "annotations": marks}}})
}

impl Server {
    fn answer(&self, uri: &str) -> Response<axum::body::Body> {
        let is_stream = uri.contains("sendInitialEvents=true");
        let asked = if is_stream {
            "stream"
        } else if uri.contains("watch=true") {
            "watch"
        } else {
            "list"
        };
        self.asked.lock().push(asked);
        let next = {
            let mut script = self.script.lock();
            if script.len() > 1 {
                script.pop_front()
            } else {
                script.front().cloned()
            }
        };
        let (code, body) = match next.unwrap() {
            Answer::Status(code, message) => {
                let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": code,
                    "status": "Failure", "message": message, "reason": "Invalid"});
                (code, axum::body::Body::from(status.to_string()))
            }
            Answer::List(names, rv) => {
                let items: Vec<_> = names.iter().map(|name| object(name, rv)).collect();
                let list = json!({"apiVersion": "v1", "kind": "ConfigMapList", "items": items,
                    "metadata": {"resourceVersion": rv.to_string()}});
                (200, axum::body::Body::from(list.to_string()))
            }
            Answer::Watch(lines) => {
                let lines =
                    futures::stream::iter(lines).map(|line| Ok::<_, BoxError>(format!("{line}\n")));
                (
                    200,
                    axum::body::Body::from_stream(lines.chain(futures::stream::pending())),
                )
            }
            Answer::Ends(lines) => {
                let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
                (200, axum::body::Body::from(lines.join("\n") + "\n"))
            }
        };
        Response::builder().status(code).body(body).unwrap()
    }
}

/// Runs the watch against the script for so long; returns the names cached, the requests and the
/// number of broken watches.
async fn play(script: Vec<Answer>, seconds: u64) -> (Vec<String>, Vec<&'static str>, u64) {
    let server = Arc::new(Server {
        script: Mutex::new(script.into()),
        asked: Mutex::default(),
    });
    let answering = Arc::clone(&server);
    let transport = tower::service_fn(move |request: Request<Body>| {
        let answer = answering.answer(&request.uri().to_string());
        async move { Ok::<_, BoxError>(answer) }
    });
    let api: Api<ConfigMap> = Api::all(Client::new(transport, "default"));
    let (cache, restarts) = (
        Arc::new(Cache::new(without_managed_fields)),
        Counter::default(),
    );
    let shutdown = CancellationToken::new();
    let config = WatchConfig::default();
    let watching = tokio::spawn(run_watch(
        api,
        Arc::clone(&cache),
        config,
        restarts.clone(),
        shutdown.clone(),
    ));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    shutdown.cancel();
    watching.await.unwrap();
    let names = cache
        .keys()
        .into_iter()
        .map(|key| key.name.into_string())
        .collect();
    let asked = server.asked.lock().clone();
    (names, asked, restarts.get())
}

#[tokio::test(start_paused = true)]
async fn one_streamed_request_fills_the_cache_and_keeps_it_fresh() {
    let lines = vec![
        event("ADDED", &object("a", 1)),
        end_of_list(5),
        event("ADDED", &object("b", 6)),
        event("DELETED", &object("a", 7)),
    ];
    let (names, asked, restarts) = play(vec![Answer::Watch(lines)], 20).await;
    assert_eq!(
        (names, asked, restarts),
        (vec!["b".to_owned()], vec!["stream"], 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_streams_is_listed_in_pages() {
    let script = vec![
        Answer::Status(
            422,
            "sendInitialEvents is forbidden for watch unless WatchList is on",
        ),
        Answer::List(&["a", "b"], 5),
        Answer::Watch(vec![event("ADDED", &object("c", 6))]),
    ];
    let (names, asked, _) = play(script, 20).await;
    assert_eq!(
        (names.join(""), asked),
        ("abc".into(), vec!["stream", "list", "watch"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_keeps_silent_on_streams_is_listed_in_pages() {
    let script = vec![
        Answer::Watch(vec![]),
        Answer::List(&["a"], 5),
        Answer::Watch(vec![]),
    ];
    let (names, asked, _) = play(script, 60).await;
    assert_eq!(
        (names.join(""), asked),
        ("a".into(), vec!["stream", "list", "watch"])
    );
}

#[tokio::test(start_paused = true)]
async fn after_five_failed_starts_it_begins_from_nothing() {
    let mut script = vec![Answer::Ends(vec![
        event("ADDED", &object("a", 1)),
        end_of_list(5),
    ])];
    script.extend(vec![Answer::Status(500, "etcd is away"); 5]);
    script.push(Answer::Watch(vec![
        event("ADDED", &object("b", 9)),
        end_of_list(9),
    ]));
    let (names, asked, restarts) = play(script, 120).await;
    assert_eq!((names.join(""), restarts), ("b".into(), 5));
    let expected = [
        "stream", "watch", "watch", "watch", "watch", "watch", "stream",
    ];
    assert_eq!(asked, expected);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_too_old_begins_from_nothing_at_once() {
    let script = vec![
        Answer::Ends(vec![event("ADDED", &object("a", 1)), end_of_list(5)]),
        Answer::Status(410, "too old resource version"),
        Answer::Watch(vec![event("ADDED", &object("b", 9)), end_of_list(9)]),
    ];
    let (names, asked, _) = play(script, 20).await;
    assert_eq!(
        (names.join(""), asked),
        ("b".into(), vec!["stream", "watch", "stream"])
    );
}

#[tokio::test(start_paused = true)]
async fn it_never_gives_up_and_never_hammers() {
    let (names, asked, restarts) = play(vec![Answer::Status(500, "down")], 3600).await;
    assert!(names.is_empty());
    assert!(
        (60..400).contains(&asked.len()),
        "{} requests in an hour",
        asked.len()
    );
    assert!(restarts >= 60);
}
