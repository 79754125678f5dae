//! Bodies that no API server would send, from a seed, and what has to hold for their answers.

use std::panic;

use anyhow::{Context, Result, bail, ensure};
use apis::conversion::{FORM_V1ALPHA1, FORM_V1BETA1, Version, convert};
use axum::{Router, body::Body};
use http_body_util::BodyExt;
use hyper::body::Bytes;
use serde_json::Value;
use tower::Service;
use webhook::{
    metrics::Metrics,
    router,
    sets::{Followed, Sets},
    validate::Rules,
};

use crate::{client, reviews};

mod mutate;

pub use mutate::Mutator;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Where.
    pub path: &'static str,
    /// What, whatever it is.
    pub body: Vec<u8>,
}

/// How many of the runs ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answered by a review.
    pub answered: u64,
    /// Of these, objects that were converted and came back the same.
    pub converted: u64,
    /// Refused by a status.
    pub refused: u64,
}

/// Asks a door without ports.
#[derive(Debug)]
pub struct Judge {
    router: Router,
    /// What came of it so far.
    pub tally: Tally,
}

impl Default for Judge {
    fn default() -> Self {
        let rules = Rules {
            deletion_protection: true,
        };
        let router = router::router(
            router::Limits::default(),
            rules,
            std::sync::Arc::new(Sets::of(&[
                (Followed::SidecarSets, reviews::sidecar_set("log")),
                (Followed::Namespaces, reviews::namespace()),
            ])),
            Metrics::new(std::sync::Arc::default()),
        );
        Self {
            router,
            tally: Tally::default(),
        }
    }
}

impl Judge {
    /// Sends `input`.
    ///
    /// # Errors
    /// When the answer is not what it has to be: that is a finding.
    pub async fn ask(&mut self, input: &Input) -> Result<()> {
        let request = client::review(input.path, input.body.clone());
        let answer = self.router.call(request.map(Body::new)).await?;
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&body).context("the answer is no JSON")?;
        match code {
            200 => self.answered(input, &answer, &body),
            400 | 413 => {
                ensure!(answer["kind"] == "Status", "no Status: {answer}");
                let message = answer["message"].as_str().unwrap_or_default();
                ensure!(message.len() > 10, "no message: {answer}");
                self.tally.refused += 1;
                Ok(())
            }
            code => bail!("HTTP {code}: {answer}"),
        }
    }

    fn answered(&mut self, input: &Input, answer: &Value, body: &Bytes) -> Result<()> {
        self.tally.answered += 1;
        let response = &answer["response"];
        let uid = response["uid"].as_str().unwrap_or_default();
        ensure!(!uid.is_empty(), "no uid: {answer}");
        if input.path == "/validate" {
            let is_allowed = response["allowed"].as_bool();
            let is_allowed = is_allowed.context("neither allowed nor not")?;
            let message = response["status"]["message"].as_str().unwrap_or_default();
            ensure!(is_allowed || !message.is_empty(), "no reason: {answer}");
            return Ok(());
        }
        if input.path == "/inject" {
            ensure!(response["allowed"] == true, "a Pod is refused: {answer}");
            let typed = response.get("patchType").is_some();
            ensure!(typed == response.get("patch").is_some(), "{answer}");
            return Ok(());
        }
        ensure!(body.len() < 64 * 1024 * 1024, "{} bytes", body.len());
        if response["result"]["status"] != "Success" {
            let message = response["result"]["message"].as_str().unwrap_or_default();
            ensure!(!message.is_empty(), "no reason: {answer}");
            return Ok(());
        }
        // What is not read may be anything, text that is none included.
        let Ok(asked) = serde_json::from_slice::<Value>(&input.body) else {
            return Ok(());
        };
        let none = Vec::new();
        let objects = asked["request"]["objects"].as_array().unwrap_or(&none);
        let converted = response["convertedObjects"].as_array().unwrap_or(&none);
        ensure!(objects.len() == converted.len(), "{answer}");
        let desired = &asked["request"]["desiredAPIVersion"];
        for (object, converted) in objects.iter().zip(converted) {
            came_back(object, converted, desired)?;
            self.tally.converted += 1;
        }
        Ok(())
    }
}

/// An API server takes no other metadata than it sent, but for labels and annotations; and clients
/// of both versions must not lose what the other one wrote.
fn came_back(object: &Value, converted: &Value, desired: &Value) -> Result<()> {
    ensure!(converted["apiVersion"] == *desired, "{converted}");
    ensure!(
        without_annotations(object) == without_annotations(converted),
        "metadata was changed: {object} -> {converted}"
    );
    if !can_carry(object) {
        return Ok(());
    }
    let from = Version::of(object["apiVersion"].as_str().unwrap_or_default())?;
    let back = convert(converted.clone(), from)?;
    ensure!(
        back == *object,
        "{object}\n came back as {back}\n from {converted}"
    );
    Ok(())
}

/// API servers send no object without metadata, and none whose annotations are no texts by name. On
/// such an object nothing can travel; and what somebody wrote into our annotations is theirs.
fn can_carry(object: &Value) -> bool {
    let ours = [FORM_V1ALPHA1, FORM_V1BETA1];
    let Some(metadata) = object["metadata"].as_object() else {
        return false;
    };
    match metadata.get("annotations") {
        None => true,
        Some(Value::Object(all)) => {
            all.values().all(Value::is_string) && !ours.iter().any(|key| all.contains_key(*key))
        }
        Some(_) => false,
    }
}

fn without_annotations(object: &Value) -> Value {
    let mut metadata = object["metadata"].clone();
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("annotations");
    }
    metadata
}

/// Runs `runs` inputs of `seed`, and says at every tenth how far it is.
///
/// # Errors
/// The first finding, with its input.
pub fn run(seed: u64, runs: u64, progress: impl Fn(u64)) -> Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut mutator = Mutator::new(seed);
    let mut judge = Judge::default();
    for run in 0..runs {
        if run > 0 && run % (runs / 10).max(1) == 0 {
            progress(run);
        }
        let input = mutator.input();
        let asked = runtime.block_on(judge.ask(&input));
        asked.with_context(|| {
            let body = String::from_utf8_lossy(&input.body);
            format!("seed {seed}, run {run}, {}: {body}", input.path)
        })?;
    }
    Ok(judge.tally)
}

/// Panics are findings that are told by their answer; their traces need not fill the screen.
pub fn hush_panics() {
    panic::set_hook(Box::new(|_| {}));
}

/// What inputs are made from.
fn corpus() -> Vec<(&'static str, Value)> {
    let (new, old) = (reviews::set("web"), reviews::old_set("web"));
    let mut changed = new.clone();
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "main:v8".into();
    let mut leaving = new.clone();
    leaving["metadata"]["labels"]["policy.kruise.io/delete-protection"] = "Cascading".into();
    let twice = |object: &Value, to| convert(object.clone(), to).unwrap_or_default();
    let carried = [
        twice(&new, Version::V1Alpha1),
        twice(&old, Version::V1Beta1),
    ];
    vec![
        (
            "/validate",
            reviews::admission("CREATE", &new, &Value::Null),
        ),
        ("/validate", reviews::admission("UPDATE", &changed, &new)),
        (
            "/validate",
            reviews::admission("CREATE", &reviews::sidecar_set("log"), &Value::Null),
        ),
        ("/inject", reviews::injection(&reviews::pod())),
        (
            "/validate",
            reviews::admission("DELETE", &Value::Null, &leaving),
        ),
        (
            "/convert",
            reviews::conversion("v1beta1", std::slice::from_ref(&old)),
        ),
        (
            "/convert",
            reviews::conversion("v1alpha1", std::slice::from_ref(&new)),
        ),
        (
            "/convert",
            reviews::conversion("v1beta1", &[old, carried[0].clone(), new]),
        ),
        ("/convert", reviews::conversion("v1alpha1", &carried[1..])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_and_never_a_crash() {
        let tally = run(1, 4000, |_| {}).unwrap();
        // All three ways are taken often, or the inputs are no good.
        assert!(tally.refused > 300, "{tally:?}");
        assert!(tally.answered > 1000, "{tally:?}");
        assert!(tally.converted > 500, "{tally:?}");
    }

    #[test]
    fn one_seed_is_one_row_of_inputs() {
        let row = |seed| {
            let mut mutator = Mutator::new(seed);
            std::iter::repeat_with(move || mutator.input())
                .take(50)
                .collect::<Vec<_>>()
        };
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
    }
}
