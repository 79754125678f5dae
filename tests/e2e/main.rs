//! What users see, on a real kubelet, with `config/` deployed as it is shipped.
//!
//! `INSITU_PROVIDER=kind|existing` runs the same on another cluster.

mod ahead;
mod batches;
mod broken;
mod canary;
mod claims;
mod crash;
mod door;
mod hooks;
mod in_place;
mod many;
mod process;
mod resize;
mod rollback;
mod scale;
mod sidecars;
mod strategy;
mod surge;
mod takeover;
mod validation;
mod versions;
mod writes;

use harness::{Shop, Stage};
use kube::Client;

/// The stage, a client and a namespace for one test.
async fn shop(test: &str) -> (&'static Stage, Client, Shop) {
    // Setting a cluster up takes a while and blocks.
    let stage = tokio::task::spawn_blocking(Stage::real)
        .await
        .expect("a stage");
    let client = stage.client().await;
    let shop = Shop::open(client.clone(), test).await;
    (stage, client, shop)
}
