use std::time::Duration;

use door::{
    client::{self, Client, Http},
    reviews,
    serving::{Options, Serving},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use webhook::{router, server};

use crate::{connect, serving, trusting};

const SHORT: Duration = Duration::from_millis(150);
const HEAD: &str = "POST /validate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";

fn options(change: impl FnOnce(&mut server::Limits, &mut router::Limits)) -> Options {
    let mut options = Options::default();
    change(&mut options.connections, &mut options.requests);
    options
}

fn ended(serving: &Serving, how: &str) -> u64 {
    serving.metric(&format!(
        r#"insitu_webhook_connections_total{{end="{how}"}}"#
    ))
}

/// Until the other side closes.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The connection is counted a moment after the client sees its end.
async fn counted(serving: &Serving, how: &str) {
    while ended(serving, how) == 0 {
        tokio::task::yield_now().await;
    }
}

async fn answers(client: &mut Client) {
    let answer = client.post("/validate", reviews::create()).await.unwrap();
    assert_eq!(answer.code, 200);
}

#[tokio::test]
async fn who_does_not_shake_hands_is_dropped() {
    let serving = serving(options(|limits, _| limits.handshake = SHORT)).await;
    let mut silent = TcpStream::connect(serving.address).await.unwrap();
    answers(&mut connect(&serving, Http::One).await).await;
    assert_eq!(closed(&mut silent).await, "");
    counted(&serving, "handshake_slow").await;
    let mut plain = TcpStream::connect(serving.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    closed(&mut plain).await;
    counted(&serving, "handshake_failed").await;
}

#[tokio::test]
async fn who_does_not_finish_the_head_of_a_request_is_dropped() {
    let serving = serving(options(|limits, _| limits.head = SHORT)).await;
    let config = trusting(&serving, Http::One);
    let mut slow = client::handshake(serving.address, &config).await.unwrap();
    slow.write_all(HEAD.as_bytes()).await.unwrap();
    let mut other = connect(&serving, Http::One).await;
    answers(&mut other).await;
    assert_eq!(closed(&mut slow).await, "");
    counted(&serving, "head_slow").await;
    // One that only waits for its next request is another matter.
    answers(&mut other).await;
    assert_eq!(ended(&serving, "head_slow"), 1);
}

#[tokio::test]
async fn who_does_not_finish_a_body_is_told_so() {
    let serving = serving(options(|_, limits| limits.validate.time = SHORT)).await;
    let config = trusting(&serving, Http::One);
    let mut slow = client::handshake(serving.address, &config).await.unwrap();
    let head = format!("{HEAD}content-length: 100\r\n\r\n{{");
    slow.write_all(head.as_bytes()).await.unwrap();
    let answer = closed(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        answer.contains("the body did not arrive in time"),
        "{answer}"
    );
}

#[tokio::test]
async fn connections_that_nobody_uses_are_closed() {
    let serving = serving(options(|limits, _| limits.idle = SHORT)).await;
    for http in [Http::One, Http::Two] {
        let config = trusting(&serving, http);
        let mut idle = client::handshake(serving.address, &config).await.unwrap();
        if http == Http::Two {
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
            idle.write_all(preface).await.unwrap();
        }
        closed(&mut idle).await;
    }
    while ended(&serving, "idle") + ended(&serving, "head_slow") < 2 {
        tokio::task::yield_now().await;
    }
    let mut used = connect(&serving, Http::One).await;
    answers(&mut used).await;
    used_up(&mut used).await;
}

/// Until the connection is closed from the other side.
async fn used_up(client: &mut Client) {
    let Client::One(send) = client else { return };
    while !send.is_closed() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_a_place() {
    let serving = serving(options(|limits, _| limits.connections = 2)).await;
    let first = connect(&serving, Http::One).await;
    let mut second = connect(&serving, Http::One).await;
    let config = trusting(&serving, Http::One);
    let address = serving.address;
    let third = tokio::spawn(async move { Client::connect(address, &config).await });
    answers(&mut second).await;
    assert!(!third.is_finished());
    assert_eq!(serving.metric("insitu_webhook_open_connections"), 2);
    drop(first);
    answers(&mut third.await.unwrap().unwrap()).await;
}

#[tokio::test]
async fn more_requests_than_allowed_wait_and_are_told_if_it_takes_too_long() {
    let limit = |_: &mut server::Limits, limits: &mut router::Limits| {
        limits.requests = 1;
        limits.convert.time = SHORT;
    };
    let serving = serving(options(limit)).await;
    let config = trusting(&serving, Http::One);
    let mut slow = client::handshake(serving.address, &config).await.unwrap();
    let head = format!("{HEAD}content-length: 100\r\n\r\n{{");
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut other = connect(&serving, Http::Two).await;
    let review = reviews::bytes(&reviews::conversion("v1beta1", &[]));
    let mut busy = false;
    while !busy {
        let answer = other.post("/convert", review.clone()).await.unwrap();
        busy = answer.code == 429;
        assert!(busy || answer.code == 200, "{}", answer.text());
    }
    drop(slow);
    let answer = other.post("/convert", review).await.unwrap();
    assert_eq!(answer.code, 200, "{}", answer.text());
}
