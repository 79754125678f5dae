//! Plays one sequence on both sides and compares.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kube::Client;
use serde_json::Value;

use crate::events::{Event, check_versions};
use crate::model_side::ModelSide;
use crate::names::{Kind, Names};
use crate::project::project;
use crate::real_side::{NODE, RealSide};
use crate::step::Sequence;

/// What came of one request.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) outcome: String,
    /// Whether the object that was asked about has a new version.
    moved: bool,
    answer: Value,
    object: Value,
}

/// What came of it, and the version in the answer, which differs between the sides.
pub(crate) type Answered = (Told, Option<String>);

/// What a side tells of a request: the outcome, the answer, and the object as it is then.
pub(crate) fn told(
    names: &mut Names,
    kind: Kind,
    outcome: &str,
    answer: Option<&Value>,
    object: Option<&Value>,
) -> Answered {
    let mut moved = false;
    for object in [answer, object].into_iter().flatten() {
        moved |= names.learn(kind, object);
    }
    let seen = |object: Option<&Value>| object.map_or(Value::Null, |o| project(names, o));
    let version = answer.and_then(|o| o["metadata"]["resourceVersion"].as_str());
    let told = Told {
        outcome: outcome.to_owned(),
        moved,
        answer: seen(answer),
        object: seen(object),
    };
    (told, version.map(str::to_owned))
}

/// Says where the two sides part, if they do.
pub(crate) async fn play(client: &Client, sequence: &Sequence) -> Result<(), String> {
    let mut real = RealSide::open(client.clone(), NODE).await;
    let mut model = ModelSide::new(NODE);
    let mut story = format!("\n== {}\n", sequence.name);
    // Versions that were answered, by kind: the server's and the model's.
    let mut answered: BTreeMap<Kind, [Vec<String>; 2]> = BTreeMap::new();
    for step in &sequence.steps {
        let (told, version) = real.play(step).await;
        let (claimed, claimed_version) = model.play(step);
        let _ = writeln!(story, "{} -> {}", step.line, told.outcome);
        if told != claimed {
            return Err(story + &difference(&told, &claimed));
        }
        let versions = answered.entry(Kind::of(step.resource)).or_default();
        versions[0].extend(version);
        versions[1].extend(claimed_version);
    }
    for kind in Kind::ALL {
        let told = real.events(kind).await;
        let claimed = model.events(kind);
        let lines = |events: &[Event]| -> Vec<String> { events.iter().map(Event::line).collect() };
        if lines(&told) != lines(&claimed) {
            let (told, claimed) = (lines(&told).join("\n  "), lines(&claimed).join("\n  "));
            return Err(format!(
                "{story}watch of the server:\n  {told}\nof the model:\n  {claimed}\n"
            ));
        }
        let versions = answered.remove(&kind).unwrap_or_default();
        check_versions(&told, &versions[0]).map_err(|why| format!("{story}server: {why}"))?;
        check_versions(&claimed, &versions[1]).map_err(|why| format!("{story}model: {why}"))?;
    }
    real.close().await;
    Ok(())
}

fn difference(real: &Told, model: &Told) -> String {
    let mut out = String::new();
    let mut line = |what: &str, real: String, model: String| {
        if real != model {
            let _ = writeln!(out, "  {what}: server {real}\n  {what}: model  {model}");
        }
    };
    line("outcome", real.outcome.clone(), model.outcome.clone());
    line("moved", real.moved.to_string(), model.moved.to_string());
    line("answer", real.answer.to_string(), model.answer.to_string());
    line("object", real.object.to_string(), model.object.to_string());
    out
}
