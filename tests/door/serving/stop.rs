use std::time::Duration;

use door::{
    client::{self, Client, Http},
    reviews,
    serving::Options,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{connect, serving, trusting};

#[tokio::test]
async fn what_runs_is_finished_and_nobody_else_is_let_in() {
    let serving = serving(Options::default()).await;
    let config = trusting(&serving, Http::One);
    let mut running = client::handshake(serving.address, &config).await.unwrap();
    let body = reviews::create();
    let head = format!(
        "POST /validate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    running.write_all(head.as_bytes()).await.unwrap();
    running.write_all(&body[..10]).await.unwrap();
    running.flush().await.unwrap();
    // The other connections are served in turn, so the head above was read by then.
    let mut idle = [
        connect(&serving, Http::One).await,
        connect(&serving, Http::Two).await,
    ];
    for client in &mut idle {
        let answer = client.post("/validate", reviews::create()).await.unwrap();
        assert_eq!(answer.code, 200);
    }
    serving.stop.cancel();
    for client in &mut idle {
        while !is_closed(client) {
            tokio::task::yield_now().await;
        }
    }
    assert!(Client::connect(serving.address, &config).await.is_err());
    assert!(!serving.ended.is_finished());
    running.write_all(&body[10..]).await.unwrap();
    let mut answer = String::new();
    running.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""allowed":true"#), "{answer}");
    serving.ended.await.unwrap();
}

fn is_closed(client: &Client) -> bool {
    match client {
        Client::One(send) => send.is_closed(),
        Client::Two(send) => send.is_closed(),
    }
}

#[tokio::test]
async fn what_does_not_end_is_cut_off() {
    let mut options = Options::default();
    options.connections.drain = Duration::from_millis(100);
    let serving = serving(options).await;
    let config = trusting(&serving, Http::One);
    let mut hangs = client::handshake(serving.address, &config).await.unwrap();
    let head = "POST /validate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                content-length: 10\r\n\r\n";
    hangs.write_all(head.as_bytes()).await.unwrap();
    let mut other = connect(&serving, Http::One).await;
    let answer = other.post("/validate", reviews::create()).await.unwrap();
    assert_eq!(answer.code, 200);
    serving.stop.cancel();
    serving.ended.await.unwrap();
    let mut rest = Vec::new();
    let _ = hangs.read_to_end(&mut rest).await;
    assert_eq!(String::from_utf8_lossy(&rest), "");
}
