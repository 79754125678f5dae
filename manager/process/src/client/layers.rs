//! The layers between kube's client and the connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, Response, StatusCode, Uri, Version, header, uri::PathAndQuery};
use kube::client::{Body, retry::RetryPolicy};
use tower::{BoxError, retry::Policy};

/// When a server says "too many requests" without saying for how long.
pub(super) const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);
const RETRIES: u32 = 3;

/// The server asks to wait. An error of the transport, because kube drops the headers of answers.
#[derive(Debug, thiserror::Error)]
#[error("the API server asks to wait {after:?} (HTTP {code})")]
pub(super) struct Throttled {
    pub(super) after: Duration,
    pub(super) code: u16,
}

/// Repeats reads that were refused for load. A repeated write could happen twice.
#[derive(Clone)]
pub(super) struct ReadsOnly(RetryPolicy);

impl Default for ReadsOnly {
    fn default() -> Self {
        let policy = RetryPolicy::new(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX, RETRIES, true);
        Self(policy.unwrap_or_default())
    }
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for ReadsOnly {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        self.0.retry(request, result)
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        // Without a copy there is no repeat.
        let copy = || Policy::<_, Response<B>, _>::clone_request(&mut self.0, request);
        (request.method() == Method::GET).then(copy).flatten()
    }
}

/// Turns "wait" answers into [`Throttled`].
pub(super) fn check_throttled<B>(
    result: Result<Response<B>, BoxError>,
) -> Result<Response<B>, BoxError> {
    let response = result?;
    let wait = response.headers().get(header::RETRY_AFTER);
    let wait = wait
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let after = match response.status() {
        StatusCode::TOO_MANY_REQUESTS => wait.or(Some(DEFAULT_RETRY_AFTER)),
        StatusCode::SERVICE_UNAVAILABLE => wait,
        _ => None,
    };
    match after {
        Some(after) => Err(Box::new(Throttled {
            after,
            code: response.status().as_u16(),
        })),
        None => Ok(response),
    }
}

/// Makes the streaming first list a consistent read. kube asks for resourceVersion 0, "any state
/// you have": an API server whose cache lags would then show us the past, with Pods that we know
/// to be gone and without those that we just made.
pub(super) fn consistent_first_list(mut request: Request<Body>) -> Request<Body> {
    if let Some(uri) = without_version_zero(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

fn without_version_zero(uri: &Uri) -> Option<Uri> {
    let query = uri.query()?;
    if !query
        .split('&')
        .any(|pair| pair == "sendInitialEvents=true")
    {
        return None;
    }
    let kept: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && *pair != "resourceVersion=0")
        .collect();
    let mut parts = uri.clone().into_parts();
    let path_and_query = format!("{}?{}", uri.path(), kept.join("&"));
    parts.path_and_query = Some(path_and_query.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

/// Says once which HTTP version the server speaks.
#[derive(Debug, Clone, Default)]
pub(super) struct VersionCheck(Arc<AtomicBool>);

impl VersionCheck {
    pub(super) fn check(&self, version: Version) {
        if self.0.swap(true, Ordering::Relaxed) {
            return;
        }
        if version == Version::HTTP_2 {
            tracing::debug!(?version, "calls share connections");
        } else {
            tracing::warn!(
                ?version,
                "no HTTP/2 to the API server: one connection for each call"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streaming_first_list_asks_for_no_version() {
        let uri: Uri = "/api/v1/pods?&watch=true&timeoutSeconds=290&sendInitialEvents=true\
                        &resourceVersionMatch=NotOlderThan&resourceVersion=0"
            .parse()
            .unwrap();
        let expected = "/api/v1/pods?watch=true&timeoutSeconds=290&sendInitialEvents=true\
                        &resourceVersionMatch=NotOlderThan";
        assert_eq!(without_version_zero(&uri).unwrap().to_string(), expected);
    }

    #[test]
    fn other_requests_stay_as_they_are() {
        for uri in ["/api/v1/pods", "/api/v1/pods?watch=true&resourceVersion=0"] {
            assert_eq!(without_version_zero(&uri.parse().unwrap()), None);
        }
    }
}
