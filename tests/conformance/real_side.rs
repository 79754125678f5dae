//! The API server's side of a sequence, in a namespace of its own.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::{StreamExt, pin_mut};
use kube::Client;
use kube::core::WatchEvent;
use manager::executor::{http_request, is_stale};
use planner::effect::{Request, Resource, Verb};
use process::client::CallError;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::events::{Event, Type};
use crate::names::{Kind, Names};
use crate::play::{Answered, told};
use crate::project::project;
use crate::step::{Action, Step};

/// The last object of each kind: when a watch tells of it, it has told everything.
const LAST: &str = "zz-last";

/// A node without a kubelet: nothing happens to the Pods on it.
pub(crate) const NODE: &str = "nowhere";
/// The node with one.
pub(crate) const REAL_NODE: &str = "node-1";
/// What that node has.
pub(crate) const ALLOCATABLE_CPUS: u64 = 8;

pub(crate) struct RealSide {
    node: &'static str,
    client: Client,
    namespace: String,
    names: Names,
    watches: Vec<UnboundedReceiver<(Type, Value)>>,
}

impl RealSide {
    pub(crate) async fn open(client: Client, node: &'static str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let namespace = format!("play-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut side = Self {
            node,
            client,
            namespace,
            names: Names::default(),
            watches: Vec::new(),
        };
        // Most often it is there.
        let node = json!({"metadata": {"name": NODE}});
        let _ = side.send("POST", "/api/v1/nodes", &node).await;
        let has = json!({"cpu": ALLOCATABLE_CPUS.to_string(), "memory": "8Gi"});
        let has = json!({"status": {"capacity": has, "allocatable": has}});
        side.merge(&format!("/api/v1/nodes/{NODE}/status"), &has)
            .await;
        let path = "/api/v1/namespaces".to_owned();
        let body = json!({"metadata": {"name": side.namespace}});
        side.send("POST", &path, &body).await.expect("a namespace");
        let path = format!("{path}/{}/serviceaccounts", side.namespace);
        let body = json!({"metadata": {"name": "default"}});
        side.send("POST", &path, &body).await.expect("an account");
        for kind in Kind::ALL {
            let watch = side.watch(kind).await;
            side.watches.push(watch);
        }
        side
    }

    pub(crate) async fn close(self) {
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        let _ = self.send("DELETE", &path, &json!({})).await;
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> kube::Result<Value> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .expect("a request");
        self.client.request(request).await
    }

    async fn merge(&self, path: &str, body: &Value) {
        let request = http::Request::patch(path)
            .header("content-type", "application/merge-patch+json")
            .body(body.to_string().into_bytes())
            .expect("a request");
        let answer = self.client.request::<Value>(request).await;
        answer.expect("a changed object");
    }

    fn collection(&self, kind: Kind) -> String {
        let (group, resource) = match kind {
            Kind::Pod => ("api/v1", "pods"),
            Kind::Claim => ("api/v1", "persistentvolumeclaims"),
            Kind::Revision => ("apis/apps/v1", "controllerrevisions"),
        };
        format!("/{group}/namespaces/{}/{resource}", self.namespace)
    }

    async fn watch(&self, kind: Kind) -> UnboundedReceiver<(Type, Value)> {
        let collection = self.collection(kind);
        let list = self.send("GET", &collection, &Value::Null).await;
        let list = list.expect("a list");
        let version = list["metadata"]["resourceVersion"].as_str();
        let path = format!(
            "{collection}?watch=true&resourceVersion={}",
            version.unwrap_or_default()
        );
        let request = http::Request::get(path).body(Vec::new());
        let stream = self
            .client
            .request_events::<Value>(request.expect("a request"))
            .await
            .expect("a watch");
        let (tell, told) = unbounded_channel();
        tokio::spawn(async move {
            pin_mut!(stream);
            while let Some(event) = stream.next().await {
                let (type_, object) = match event {
                    Ok(WatchEvent::Added(object)) => (Type::Added, object),
                    Ok(WatchEvent::Modified(object)) => (Type::Modified, object),
                    Ok(WatchEvent::Deleted(object)) => (Type::Deleted, object),
                    Ok(WatchEvent::Bookmark(_)) => continue,
                    Ok(WatchEvent::Error(error)) => panic!("the watch ended: {error:?}"),
                    Err(error) => panic!("the watch broke: {error}"),
                };
                if tell.send((type_, object)).is_err() {
                    return;
                }
            }
        });
        told
    }

    /// The next event of a Pod.
    pub(crate) async fn next_pod(&mut self) -> (Type, Value) {
        let event = self.watches[Kind::Pod as usize].recv().await;
        event.expect("the watch goes on")
    }

    /// Every event up to now, in order.
    pub(crate) async fn events(&mut self, kind: Kind) -> Vec<Event> {
        let resource = match kind {
            Kind::Pod => "pods",
            Kind::Claim => "claims",
            Kind::Revision => "revisions",
        };
        let last = Step::read(&format!("create {resource} {LAST}"));
        self.request(Verb::Create, last.resource, LAST, last.body)
            .await
            .expect("the last object");
        let mut events = Vec::new();
        loop {
            let event = self.watches[kind as usize].recv().await;
            let (type_, object) = event.expect("the watch goes on");
            let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
            if text("name") == LAST {
                return events;
            }
            events.push(Event {
                type_,
                version: text("resourceVersion").to_owned(),
                name: text("name").to_owned(),
                object: project(&self.names, &object),
            });
        }
    }

    /// As the manager sends it.
    async fn request(
        &self,
        verb: Verb,
        resource: Resource,
        name: &str,
        body: Value,
    ) -> Result<Value, CallError> {
        let name = name.to_owned();
        let request = Request {
            verb,
            resource,
            name,
            body,
        };
        let http = http_request(&self.namespace, &request)?;
        self.client.request(http).await.map_err(CallError::from)
    }

    pub(crate) async fn play(&mut self, step: &Step) -> Answered {
        let kind = Kind::of(step.resource);
        let body = self.names.fill(kind, &step.name, &step.body);
        let path = format!("{}/{}", self.collection(kind), step.name);
        let answer = match step.action {
            Action::Request(verb) => self.request(verb, step.resource, &step.name, body).await,
            Action::Bind => {
                let body = json!({"metadata": {"name": step.name}, "target": {"kind": "Node", "name": self.node}});
                let answer = self.send("POST", &format!("{path}/binding"), &body).await;
                answer.map_err(CallError::from)
            }
        };
        let outcome = match &answer {
            Ok(object) if object["kind"] == "Status" => "ok, gone",
            Ok(_) => "ok",
            Err(error) => match (error.label(), is_stale(error)) {
                ("not_found", true) => "not found",
                ("already_exists", true) => "already exists",
                ("conflict", true) => "conflict",
                ("invalid", true) if is_about_uid(error) => "other UID",
                ("invalid", true) => "test failed",
                ("invalid", false) => "invalid",
                ("forbidden", false) => "forbidden",
                _ => panic!("{} was answered with {error}", step.line),
            },
        };
        let answer = answer.ok().filter(|object| object["kind"] != "Status");
        let object = self.send("GET", &path, &Value::Null).await.ok();
        told(
            &mut self.names,
            kind,
            outcome,
            answer.as_ref(),
            object.as_ref(),
        )
    }
}

fn is_about_uid(error: &CallError) -> bool {
    let CallError::Refused(status) = error else {
        return false;
    };
    let causes = status.details.as_ref().map(|details| &details.causes);
    causes
        .into_iter()
        .flatten()
        .any(|cause| cause.field == "metadata.uid")
}
