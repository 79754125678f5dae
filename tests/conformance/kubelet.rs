//! What the model claims of the kubelet, against a kubelet.
//!
//! Both sides are asked for the same. The model shows the Pod after each of its stages. A kubelet
//! may pass over stages, since it writes what it finds when it comes to it; but whatever it shows
//! has to be a stage of the model, in the model's order, and it comes to rest where the model does.

use std::fmt::Write as _;
use std::time::Duration;

use kube::Client;
use model::kubelet::Kubelet;
use serde_json::Value;

use crate::events::Type;
use crate::model_side::ModelSide;
use crate::real_side::{REAL_NODE, RealSide};
use crate::step::{Sequence, Step};

/// What any step of a kubelet may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A Pod in words; IDs are numbered in the order in which they appear.
#[derive(Default)]
struct Words {
    containers: Vec<String>,
    images: Vec<String>,
}

fn number(known: &mut Vec<String>, id: &Value) -> usize {
    let Some(id) = id.as_str().filter(|id| !id.is_empty()) else {
        return 0;
    };
    let at = known.iter().position(|k| k == id).unwrap_or_else(|| {
        known.push(id.to_owned());
        known.len() - 1
    });
    at + 1
}

/// The condition's status.
fn condition<'a>(pod: &'a Value, name: &str) -> &'a str {
    let all = pod["status"]["conditions"].as_array();
    let found = all.and_then(|all| all.iter().find(|c| c["type"] == name));
    found.and_then(|c| c["status"].as_str()).unwrap_or("unset")
}

fn state(container: &Value) -> &str {
    let state = container["state"].as_object();
    match state.and_then(|state| state.iter().next()) {
        Some((kind, _)) if kind != "waiting" => kind,
        Some((_, why)) => match why["reason"].as_str() {
            Some("ErrImagePull" | "ImagePullBackOff") => "pull",
            _ => "waiting",
        },
        None => "unknown",
    }
}

impl Words {
    fn say(&mut self, pod: &Value) -> String {
        let status = &pod["status"];
        let is_seen = status["observedGeneration"] == pod["metadata"]["generation"];
        let mut out = format!(
            "{} {} ready={} gate={}",
            if is_seen { "seen" } else { "unseen" },
            status["phase"].as_str().unwrap_or_default(),
            condition(pod, "Ready"),
            condition(pod, "InPlaceUpdateReady"),
        );
        if pod["metadata"]["deletionTimestamp"].is_string() {
            out += " leaving";
        }
        let lists = [
            &status["initContainerStatuses"],
            &status["containerStatuses"],
        ];
        for container in lists.into_iter().filter_map(Value::as_array).flatten() {
            let cpu = &container["resources"]["requests"]["cpu"];
            let _ = write!(
                out,
                " [{} {} ready={} container={} image={} restarts={} cpu={}]",
                container["name"].as_str().unwrap_or_default(),
                state(container),
                container["ready"],
                number(&mut self.containers, &container["containerID"]),
                number(&mut self.images, &container["imageID"]),
                container["restartCount"],
                cpu.as_str().unwrap_or_default(),
            );
        }
        out
    }

    fn say_event(&mut self, deleted: bool, pod: &Value) -> String {
        if deleted {
            "gone".into()
        } else {
            self.say(pod)
        }
    }
}

/// In the model tags that differ only in `-again` are of one digest; on the node `v3b` is `v3`.
fn as_modelled(step: &Step) -> Step {
    Step::read(&step.line.replace("app:v3b", "app:v3-again"))
}

/// Plays the sequence on both sides; after each request both come to rest.
pub(crate) async fn play(client: &Client, sequence: &Sequence) -> Result<(), String> {
    let mut real = RealSide::open(client.clone(), REAL_NODE).await;
    let mut model = ModelSide::new(REAL_NODE);
    let mut kubelet = Kubelet::default();
    // The sequence itself says when a Pod gets its node.
    kubelet.is_unschedulable = true;
    let (mut real_words, mut model_words) = (Words::default(), Words::default());
    let mut story = format!("\n== {}\n", sequence.name);
    let mut rest = String::new();
    for step in &sequence.steps {
        let claimed = model.play(&as_modelled(step)).0.outcome;
        let told = real.play(step).await.0.outcome;
        let _ = writeln!(story, "{} -> {told}", step.line);
        if told != claimed {
            return Err(format!("{story}  the model says {claimed}\n"));
        }
        while kubelet.sync(&mut model.server, &step.name) {}
        let changes = model.server.journal.replace(Vec::new());
        let stages = changes.into_iter().flatten();
        let stages = stages.map(|c| model_words.say_event(c.deleted, &c.object));
        // What does not show in our words may still come after the rest before.
        let mut stages: Vec<String> = std::iter::once(rest).chain(stages).collect();
        stages.dedup();
        rest = stages.last().cloned().unwrap_or_default();
        let mut seen: Vec<String> = Vec::new();
        let comes_to_rest = tokio::time::timeout(PATIENCE, async {
            while seen.last() != Some(&rest) {
                let (type_, pod) = real.next_pod().await;
                seen.push(real_words.say_event(type_ == Type::Deleted, &pod));
            }
        });
        let is_late = comes_to_rest.await.is_err();
        seen.dedup();
        let mut explained = stages.iter();
        if is_late || !seen.iter().all(|seen| explained.any(|stage| stage == seen)) {
            let (seen, stages) = (seen.join("\n    "), stages.join("\n    "));
            return Err(format!(
                "{story}  the kubelet\n    {seen}\n  the model\n    {stages}\n"
            ));
        }
    }
    real.close().await;
    Ok(())
}
