//! The webhook over real sockets: what it answers, what it does not put up with, and that nobody
//! notices a new certificate or the end of the process.

#![allow(clippy::unwrap_used, reason = "tests")]

mod answers;
mod certificates;
mod refusals;
mod slow;
mod stop;

use std::sync::Arc;

use door::{
    client::{self, Client, Http},
    serving::{Options, Serving},
};
use rustls::ClientConfig;

async fn serving(options: Options) -> Serving {
    Serving::start(options).await.unwrap()
}

/// A client that trusts this door.
fn trusting(serving: &Serving, http: Http) -> Arc<ClientConfig> {
    let authority = &serving.authority.certificate;
    Arc::new(client::config(authority, None, http).unwrap())
}

async fn connect(serving: &Serving, http: Http) -> Client {
    let config = trusting(serving, http);
    Client::connect(serving.address, &config).await.unwrap()
}
