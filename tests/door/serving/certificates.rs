use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use door::{
    client::{self, Client, Http},
    reviews,
    serving::{self, Options},
};
use webhook::{certs::issue::Pair, tls::Identity};

use crate::{connect, serving, trusting};

/// What is shown to whoever connects now.
async fn shown(serving: &serving::Serving) -> Vec<u8> {
    let config = trusting(serving, Http::One);
    let stream = client::handshake(serving.address, &config).await.unwrap();
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].to_vec()
}

fn leaf(identity: &Identity) -> Vec<u8> {
    identity.leaf().unwrap().der.to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_the_certificate_changes() {
    let serving = serving(Options::default()).await;
    let done = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let mut callers = Vec::new();
    for (n, http) in [Http::One, Http::One, Http::Two, Http::Two]
        .into_iter()
        .enumerate()
    {
        let config = trusting(&serving, http);
        let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
        let address = serving.address;
        // Half of them stay on one connection, half of them come back with every call.
        let stays = n % 2 == 0;
        callers.push(tokio::spawn(async move {
            let mut client = Client::connect(address, &config).await.unwrap();
            while !done.load(Ordering::Relaxed) {
                if !stays {
                    client = Client::connect(address, &config).await.unwrap();
                }
                let answer = client.post("/validate", reviews::create()).await.unwrap();
                assert_eq!(answer.code, 200);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let mut before = Vec::new();
    for n in 1..=20 {
        serving
            .identity
            .set(&serving::leaf(&serving.authority).unwrap())
            .unwrap();
        let now = shown(&serving).await;
        assert_eq!(now, leaf(&serving.identity));
        assert_ne!(now, before);
        before = now;
        while answered.load(Ordering::Relaxed) < n * 20 {
            assert!(callers.iter().all(|caller| !caller.is_finished()));
            tokio::task::yield_now().await;
        }
    }
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(serving.metric("insitu_webhook_certificate_loads_total"), 21);
    let answered = answered.load(Ordering::Relaxed);
    let line = r#"insitu_webhook_requests_total{path="/validate",outcome="allowed"}"#;
    assert_eq!(serving.metric(line), answered);
}

#[tokio::test]
async fn only_clients_that_a_given_authority_signed_get_in() {
    let clients = serving::authority().unwrap();
    let serving = serving(Options {
        client_ca: Some(clients.certificate.clone()),
        ..Options::default()
    })
    .await;
    let ask = |own: Option<Pair>| {
        let authority = &serving.authority.certificate;
        let config = client::config(authority, own.as_ref(), Http::One).unwrap();
        let (address, config) = (serving.address, Arc::new(config));
        async move {
            let mut client = Client::connect(address, &config).await?;
            client.post("/validate", reviews::create()).await
        }
    };
    let theirs = door_client(&clients);
    assert_eq!(ask(Some(theirs)).await.unwrap().code, 200);
    assert!(ask(None).await.is_err());
    let stranger = door_client(&serving::authority().unwrap());
    assert!(ask(Some(stranger)).await.is_err());
}

/// A certificate for a client.
fn door_client(authority: &Pair) -> Pair {
    serving::client_leaf(authority).unwrap()
}

#[tokio::test]
async fn without_a_certificate_there_is_no_handshake_and_no_crash() {
    let serving = serving(Options::default()).await;
    let empty = serving::Serving::without_certificate().await.unwrap();
    let config = trusting(&serving, Http::One);
    assert!(client::handshake(empty.address, &config).await.is_err());
    empty
        .identity
        .set(&serving::leaf(&serving.authority).unwrap())
        .unwrap();
    let mut client = Client::connect(empty.address, &config).await.unwrap();
    let answer = client.post("/validate", reviews::create()).await.unwrap();
    assert_eq!(answer.code, 200);
    drop(connect(&serving, Http::Two).await);
}
