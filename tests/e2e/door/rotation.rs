//! Certificates that live for a minute, and people who write and make Pods all the while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::Shop;
use harness::eventually;
use harness::shop::spec;
use harness::wait::within;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use tokio::task::JoinHandle;

use crate::sidecars::{apply, has_agent, pod, sidecar_set};

use super::{SECRET, SYSTEM, arguments, doors, is_open, open_again};

/// New authorities to wait for.
const ROTATIONS: usize = 3;
/// An authority of a minute is followed by the next one after 40 s.
const PATIENCE: Duration = Duration::from_mins(4);
/// So many answers in a row, and no replica shows what was deleted.
const SETTLED: usize = 100;
/// People who write at the same time.
const WRITERS: usize = 4;

/// Text of the authority that signs.
async fn newest(secrets: &Api<Secret>) -> Result<String, String> {
    let secret = secrets.get(SECRET).await.map_err(|e| e.to_string())?;
    let bundle = secret.data.unwrap_or_default().remove("ca.crt");
    let bundle = bundle.ok_or("there is no bundle")?;
    let bundle = String::from_utf8(bundle.0).map_err(|e| e.to_string())?;
    let first = bundle.split("-----END CERTIFICATE-----").next();
    first.map(str::to_owned).ok_or_else(|| "nothing".to_owned())
}

/// Whether a new Pod would be injected: behind a door that nobody believes it would be let in
/// without.
async fn injects(shop: &Shop) -> Result<(), String> {
    let made = shop.would_be(&pod("asked")).await?;
    let missed = || "a Pod without its sidecars".to_owned();
    has_agent(&made).then_some(()).ok_or_else(missed)
}

/// People who ask until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Told>>,
}

/// What one of them was told.
#[derive(Default)]
struct Told {
    sets: usize,
    pods: usize,
    refused: Vec<String>,
}

impl Load {
    fn start(shop: &Arc<Shop>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = || {
            let (shop, stop) = (Arc::clone(shop), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut told = Told::default();
                while !stop.load(Ordering::Relaxed) {
                    told.refused.extend(is_open(&shop).await.err());
                    told.sets += 1;
                    told.refused.extend(injects(&shop).await.err());
                    told.pods += 1;
                }
                told
            })
        };
        let writers = std::iter::repeat_with(writer).take(WRITERS).collect();
        Self { stop, writers }
    }

    async fn end(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Told::default();
        for writer in self.writers {
            let told = writer.await.expect("a writer");
            all.sets += told.sets;
            all.pods += told.pods;
            all.refused.extend(told.refused);
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_rotations_under_load_keep_nobody_out_and_miss_no_pod() {
    let (stage, client, shop) = crate::shop("door-rotates").await;
    let _alone = stage.alone().await;
    shop.create_ready(spec(1)).await;
    apply(stage, &sidecar_set(&shop));
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM);
    let short = ["--authority-lifetime=1m", "--certificate-lifetime=1m"];
    arguments(stage, &[&["--log-format=json"], &short[..]].concat());
    // One of the old replicas would make a certificate that lives for long.
    doors(stage, &client, 2).await;
    secrets
        .delete(SECRET, &DeleteParams::default())
        .await
        .expect("a deleted Secret");
    let mut in_a_row = 0;
    eventually("every replica has the new certificate", async || {
        let open = is_open(&shop).await.and(injects(&shop).await);
        in_a_row = if open.is_ok() { in_a_row + 1 } else { 0 };
        let enough = in_a_row >= SETTLED;
        enough
            .then_some(())
            .ok_or_else(|| format!("{in_a_row} in a row, {open:?}"))
    })
    .await;

    let shop = Arc::new(shop);
    let load = Load::start(&shop);
    let mut authorities = BTreeSet::new();
    within("authorities follow one another", PATIENCE, async || {
        authorities.insert(newest(&secrets).await?);
        match authorities.len() {
            n if n > ROTATIONS => Ok(()),
            n => Err(format!("{n} authorities so far")),
        }
    })
    .await;
    let Told {
        sets,
        pods,
        refused,
    } = load.end().await;
    eprintln!(
        "{sets} questions about sets and {pods} about Pods over {ROTATIONS} rotations, {} refused",
        refused.len()
    );
    arguments(stage, &["--log-format=json"]);
    assert_eq!(refused, Vec::<String>::new(), "of {sets} and {pods}");
    assert!(sets > 500 && pods > 500, "a load, not {sets} and {pods}");
    open_again(&shop, "its arguments were changed back").await;
    let delete = ["delete", "sidecarset", &shop.namespace];
    stage.cluster.kubectl(&delete).expect("a deleted set");
    let shop = Arc::into_inner(shop).expect("nobody else has it");
    shop.close().await;
}
