use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    client::Body,
};
use tokio::time::Instant;
use tower::{BoxError, ServiceBuilder, retry::RetryLayer};

use super::{
    CALL_DEADLINE, CallError, call,
    layers::{ReadsOnly, check_throttled},
};

/// A client on a server that always gives this answer, and how often it was asked.
fn client(code: u16, retry_after: Option<&'static str>) -> (Api<ConfigMap>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = tower::service_fn(move |_: Request<Body>| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            let mut answer = Response::builder().status(code);
            if let Some(seconds) = retry_after {
                answer = answer.header("Retry-After", seconds);
            }
            Ok::<_, BoxError>(answer.body(Body::from(b"Too many requests".to_vec()))?)
        }
    });
    let stack = ServiceBuilder::new()
        .map_result(check_throttled)
        .layer(RetryLayer::new(ReadsOnly::default()))
        .service(server);
    (Api::namespaced(Client::new(stack, "default"), "ns"), asked)
}

#[tokio::test(start_paused = true)]
async fn a_throttled_write_is_not_repeated_and_tells_for_how_long_to_wait() {
    for (code, header, seconds) in [(429, Some("7"), 7), (429, None, 1), (503, Some("3"), 3)] {
        let (api, asked) = client(code, header);
        let error = call(api.create(&PostParams::default(), &ConfigMap::default()))
            .await
            .unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)));
        assert_eq!((error.code(), error.label()), (Some(code), "throttled"));
        assert!(!error.is_outcome_unknown());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn no_write_is_repeated_whatever_goes_wrong() {
    for code in [429, 500, 502, 503, 504] {
        let (api, asked) = client(code, None);
        let patch = Patch::Merge(serde_json::json!({}));
        assert!(
            call(api.patch("a", &PatchParams::default(), &patch))
                .await
                .is_err()
        );
        assert_eq!(asked.load(Ordering::Relaxed), 1, "HTTP {code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_read_is_repeated_a_few_times() {
    let (api, asked) = client(429, Some("1"));
    let start = Instant::now();
    let error = call(api.get("a")).await.unwrap_err();
    assert!(matches!(error, CallError::Throttled { .. }));
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    assert!(
        start.elapsed() >= Duration::from_secs(3),
        "Retry-After is respected"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends_at_the_deadline_with_its_outcome_unknown() {
    let start = Instant::now();
    let error = call(std::future::pending::<kube::Result<()>>())
        .await
        .unwrap_err();
    assert_eq!(start.elapsed(), CALL_DEADLINE);
    assert!(matches!(error, CallError::Deadline) && error.is_outcome_unknown());
}

#[tokio::test(start_paused = true)]
async fn a_server_error_leaves_the_outcome_unknown_and_a_refusal_does_not() {
    for (code, is_unknown) in [(409, false), (422, false), (500, true), (504, true)] {
        let (api, _) = client(code, None);
        let error = call(api.create(&PostParams::default(), &ConfigMap::default()))
            .await
            .unwrap_err();
        assert_eq!(error.is_outcome_unknown(), is_unknown, "HTTP {code}");
    }
}
