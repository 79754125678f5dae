//! The model is kept honest: what `tests/model` makes of a request is what a kube-apiserver makes
//! of it, and what it claims of the kubelet is what a kubelet does.
//!
//! A sequence is a list of requests as text (`sequences/`), or drawn from a seed (`random.rs`).
//! Both sides play it, and after each request everything that the model knows of is compared.

#![allow(
    clippy::panic,
    reason = "a comparison that cannot go on says so and ends"
)]

mod events;
mod kubelet;
mod model_side;
mod names;
mod play;
mod project;
mod random;
mod real_side;
mod sets;
mod specs;
mod stage;
mod step;

use futures::StreamExt;
use kube::Client;
use play::play;
use step::Sequence;

/// Sequences of random requests, and how long each is.
const SEEDS: std::ops::Range<u64> = 0..50;
const LENGTH: usize = 30;
/// Sequences are played side by side, each in its namespace.
const AT_ONCE: usize = 4;

async fn client() -> Client {
    let stage = tokio::task::spawn_blocking(stage::Stage::get);
    stage.await.expect("a stage").client().await
}

async fn compare(sequences: Vec<Sequence>) {
    let client = client().await;
    let plays = sequences.iter().map(|sequence| play(&client, sequence));
    let plays = futures::stream::iter(plays).buffered(AT_ONCE);
    let faults = plays.filter_map(async |outcome| outcome.err());
    let faults: Vec<String> = faults.collect().await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

macro_rules! sequences {
    ($($test:ident: $file:literal,)*) => {
        $(#[tokio::test]
        async fn $test() {
            compare(Sequence::read(include_str!(concat!("sequences/", $file)))).await;
        })*
    };
}

sequences! {
    creating_agrees: "create.txt",
    json_patches_agree: "json-patch.txt",
    merge_patches_agree: "merge-patch.txt",
    statuses_agree: "status.txt",
    resizes_agree: "resize.txt",
    deletion_agrees: "delete.txt",
    ownership_agrees: "owners.txt",
    revisions_agree: "revisions.txt",
    claims_agree: "claims.txt",
}

#[tokio::test]
async fn random_sequences_agree() {
    compare(SEEDS.map(|seed| random::sequence(seed, LENGTH)).collect()).await;
}

#[tokio::test]
async fn kubelets_agree() {
    let client = client().await;
    let sequences = Sequence::read(include_str!("sequences/kubelet.txt"));
    let plays = sequences.iter().map(|s| kubelet::play(&client, s));
    let outcomes = futures::future::join_all(plays).await;
    let faults: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn the_schema_and_the_checks_agree() {
    specs::compare(client().await).await;
}

#[tokio::test]
async fn clone_sets_agree() {
    let sets = specs::served(client().await).await;
    sets::compare(sets, include_str!("sequences/sets.txt")).await;
}
