//! An API server that knows a few lists, and never tells of a change.

use std::{collections::BTreeMap, convert::Infallible, future::ready, net::SocketAddr, path::Path};

use anyhow::Result;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Gone when dropped.
pub(super) struct Lists {
    address: SocketAddr,
    serving: AbortHandle,
}

impl Drop for Lists {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Lists {
    /// Serves these SidecarSets and namespaces, and no revision and no white list.
    pub(super) async fn start(sets: Vec<Value>, namespaces: Vec<Value>) -> Result<Self> {
        let system = "namespaces/insitu-system";
        let lists = BTreeMap::from([
            ("/apis/apps.kruise.io/v1beta1/sidecarsets".to_owned(), sets),
            ("/api/v1/namespaces".to_owned(), namespaces),
            (
                format!("/apis/apps/v1/{system}/controllerrevisions"),
                Vec::new(),
            ),
            (format!("/api/v1/{system}/configmaps"), Vec::new()),
        ]);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self {
            address: listener.local_addr()?,
            serving: tokio::spawn(serve(listener, Arc::new(lists))).abort_handle(),
        })
    }

    /// Writes a kubeconfig that leads here.
    pub(super) fn kubeconfig(&self, file: &Path) -> Result<()> {
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "it", "user": {}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}]});
        Ok(std::fs::write(file, config.to_string())?)
    }
}

async fn serve(listener: TcpListener, lists: Arc<BTreeMap<String, Vec<Value>>>) {
    // They end with this task.
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let lists = Arc::clone(&lists);
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                ready(Ok::<_, Infallible>(answer(&lists, &request)))
            });
            // Whoever leaves, leaves.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(tcp), service)
                .await;
        });
    }
}

fn answer(lists: &BTreeMap<String, Vec<Value>>, request: &Request<Incoming>) -> Answer {
    let found = lists.get(request.uri().path());
    let Some(items) = found.filter(|_| request.method() == Method::GET) else {
        let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure",
            "reason": "NotFound", "message": "there is no such object", "code": 404});
        return json(StatusCode::NOT_FOUND, &status);
    };
    let asked = |key: &str| {
        let mut pairs = request.uri().query().unwrap_or_default().split('&');
        pairs.find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
    };
    if asked("watch") == Some("true") {
        let silence = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        return Response::new(BodyExt::boxed(StreamBody::new(silence)));
    }
    let number = |key: &str| asked(key).and_then(|text| text.parse().ok());
    let begin = number("continue").unwrap_or(0).min(items.len());
    let end = begin.saturating_add(number("limit").unwrap_or(items.len()));
    let mut metadata = json!({"resourceVersion": "1"});
    if end < items.len() {
        metadata["continue"] = end.to_string().into();
    }
    let page = &items[begin..end.min(items.len())];
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": page});
    json(StatusCode::OK, &list)
}

fn json(code: StatusCode, body: &Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())).boxed());
    *response.status_mut() = code;
    let json = http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    response
}
