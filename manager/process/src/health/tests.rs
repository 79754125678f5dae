use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
};
use tower::ServiceExt;

use super::{Check, Heartbeat, metrics, probes};

async fn fetch(router: &Router, path: &str) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn one_failing_check_is_named_and_answers_503() {
    let ready = vec![
        Check::new("pods", || Ok(())),
        Check::new("clonesets", || Err(String::from("not listed yet"))),
    ];
    let router = probes(vec![Check::new("runtime", || Ok(()))], ready);
    assert_eq!(fetch(&router, "/healthz").await, (200, "ok".into()));
    let verbose = "[+]runtime ok\ncheck passed\n";
    assert_eq!(
        fetch(&router, "/healthz?verbose").await,
        (200, verbose.into())
    );
    let failed = "[+]pods ok\n[-]clonesets failed: not listed yet\ncheck failed\n";
    assert_eq!(fetch(&router, "/readyz").await, (503, failed.into()));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_fails_when_it_stops() {
    let heart = Heartbeat::default();
    let router = probes(
        vec![heart.check("workers", Duration::from_secs(10))],
        vec![],
    );
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(fetch(&router, "/healthz").await.0, 503);
    heart.beat();
    assert_eq!(fetch(&router, "/healthz").await.0, 200);
}

#[tokio::test]
async fn metrics_are_served() {
    let (status, text) = fetch(&metrics(|| Ok(String::from("insitu_leader 0"))), "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("insitu_leader 0"));
}
