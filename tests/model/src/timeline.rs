//! A rollout as text: one line per write, one column per Pod.

use std::fmt::Write as _;

use apis::CloneSetStatus;
use apis::condition::ConditionType;
use planner::Effect;
use serde_json::Value;

use crate::object::Object;
use crate::server::Server;
use crate::watchdog::{condition, is_active};

#[derive(Default)]
pub struct Timeline {
    /// Nothing is written down: a random run is told in full only by the events that led to it.
    pub is_off: bool,
    rows: Vec<Row>,
    /// Pods in order of appearance: A, B, C …
    pods: Vec<String>,
    /// Revisions in order of appearance: v1, v2 …
    revisions: Vec<String>,
    last: Vec<String>,
    said: String,
}

enum Row {
    /// A change by somebody else: opens a paragraph and shows every Pod.
    User(String, Vec<String>),
    /// A write of ours or of the kubelet: shows what changed.
    Step(String, Vec<String>),
    /// The Ready condition.
    Status(String),
}

impl Timeline {
    /// Forgets what led to the present state.
    pub fn begin(&mut self) {
        self.rows.clear();
    }

    pub fn user(&mut self, what: &str, server: &Server) {
        if self.is_off {
            return;
        }
        let cells = self.cells(server);
        let what = self.translate(what);
        self.rows.push(Row::User(what, cells.clone()));
        self.last = cells;
    }

    pub fn effect(&mut self, effect: &Effect, server: &Server) {
        if self.is_off {
            return;
        }
        let cells = self.cells(server);
        let name = effect.name();
        let text = match effect {
            Effect::CreateRevision { .. } => format!("record {name}"),
            Effect::RenumberRevision { .. } => format!("{name} is the newest again"),
            Effect::NameRevision { version, .. } => format!("{name} is version {version}"),
            Effect::DeleteRevision { .. } => format!("forget {name}"),
            Effect::Adopt { .. } | Effect::AdoptRevision { .. } => format!("adopt {name}"),
            Effect::Release { .. } => format!("release {name}"),
            Effect::CreatePod { revision, .. } => format!("create {name} at {revision}"),
            Effect::DeletePod { why, .. } => format!("delete {name}: {why}"),
            Effect::Drain { .. } => format!("drain {name}"),
            Effect::PatchPod { images, .. } if images.is_empty() => {
                format!("patch {name} (metadata)")
            }
            Effect::PatchPod { images, .. } => format!("patch {name} ({})", images.join(", ")),
            Effect::Transition { state, .. } => format!("{name} is {}", state.as_str()),
            Effect::Resize { changes, .. } => format!("resize {name} ({})", changes.join(", ")),
            Effect::CreateClaim { pod: None, .. } => format!("claim {name}"),
            Effect::CreateClaim { .. } => format!("claim {name} again"),
            Effect::HandClaim { owner, .. } if owner["kind"] == "Pod" => {
                format!("claim {name} goes with its Pod")
            }
            Effect::HandClaim { .. } => format!("claim {name} stays when its Pod goes"),
            Effect::DeleteClaim { .. } => format!("delete claim {name}"),
            Effect::KeepClaims { .. } => format!("keep the claims of {name}"),
            Effect::CreateWarmer { node, .. } => format!("warm {node}"),
            Effect::DeleteWarmer { .. } => format!("end warmer {name}"),
            Effect::OpenGate { judged: None, .. } => format!("let {name} in"),
            Effect::OpenGate { .. } => format!("undrain {name}"),
        };
        // One write may do both.
        let text = match effect {
            Effect::OpenGate {
                state: Some(state), ..
            } => format!("{text} as {}", state.as_str()),
            _ => text,
        };
        self.step(&text, cells);
    }

    pub fn collected(&mut self, claim: &str, server: &Server) {
        if !self.is_off {
            let cells = self.cells(server);
            self.step(&format!("collected {claim}"), cells);
        }
    }

    pub fn kubelet(&mut self, server: &Server) {
        if self.is_off {
            return;
        }
        let cells = self.cells(server);
        if cells != self.last {
            self.step("kubelet", cells);
        }
    }

    pub fn status(&mut self, status: &CloneSetStatus, server: &Server) {
        if self.is_off {
            return;
        }
        self.cells(server);
        let Some(ready) = planner::status::condition(status, ConditionType::Ready) else {
            return;
        };
        let reason = ready.reason.as_deref().unwrap_or_default();
        let message = ready.message.as_deref().unwrap_or_default();
        let said = self.translate(&format!("Ready={} {reason}: {message}", ready.status));
        if said != self.said {
            self.rows.push(Row::Status(said.clone()));
            self.said = said;
        }
    }

    fn step(&mut self, text: &str, cells: Vec<String>) {
        let shown = cells.iter().enumerate().map(|(i, cell)| {
            let same = self.last.get(i) == Some(cell);
            if same { String::new() } else { cell.clone() }
        });
        let shown = shown.collect();
        let text = self.translate(text);
        self.rows.push(Row::Step(text, shown));
        self.last = cells;
    }

    /// How every Pod is doing, in order of appearance.
    fn cells(&mut self, server: &Server) -> Vec<String> {
        let mut revisions: Vec<&Object> = server.revisions.values().collect();
        revisions.sort_by_key(|r| r["metadata"]["uid"].as_str());
        for revision in revisions {
            learn(&mut self.revisions, &revision["metadata"]["name"]);
        }
        let mut pods: Vec<&Object> = server.pods.values().collect();
        pods.sort_by_key(|p| p["metadata"]["uid"].as_str());
        for pod in pods {
            learn(&mut self.pods, &pod["metadata"]["name"]);
        }
        for claim in server.claims.values() {
            let id = claim["metadata"]["labels"]["apps.kruise.io/cloneset-instance-id"].as_str();
            let name = id.map(|id| format!("web-{id}"));
            learn(&mut self.pods, &name.into());
        }
        let cell = |name: &String| match server.pods.get(name) {
            Some(pod) => self.translate(&describe(pod)),
            None => "-".to_owned(),
        };
        self.pods.iter().map(cell).collect()
    }

    /// Names as letters and numbers.
    fn translate(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (i, name) in self.revisions.iter().enumerate() {
            text = text.replace(name, &format!("v{}", i + 1));
        }
        for (i, name) in self.pods.iter().enumerate() {
            text = text.replace(name, &letter(i));
        }
        text
    }

    pub fn render(&self, title: &str) -> String {
        let width = self.rows.iter().map(|row| match row {
            Row::User(text, _) | Row::Step(text, _) => text.chars().count(),
            Row::Status(_) => 0,
        });
        let width = width.max().unwrap_or_default().clamp(20, 44) + 3;
        let mut out = format!("{title}\n\n{:width$}", "");
        for i in 0..self.pods.len() {
            let _ = write!(out, "  {:12}", letter(i));
        }
        let mut lines = vec![out];
        for row in &self.rows {
            match row {
                Row::User(text, cells) => {
                    lines.push(String::new());
                    lines.push(line(text, cells, width));
                }
                Row::Step(text, cells) => lines.push(line(&format!("  {text}"), cells, width)),
                Row::Status(text) => lines.push(format!("  > {text}")),
            }
        }
        let text = lines.join("\n");
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n") + "\n"
    }
}

fn line(text: &str, cells: &[String], width: usize) -> String {
    // A long sentence has a line of its own.
    let mut out = if text.chars().count() < width {
        format!("{text:width$}")
    } else {
        format!("{text}\n{:width$}", "")
    };
    for cell in cells {
        let _ = write!(out, "  {cell:12}");
    }
    out
}

fn learn(known: &mut Vec<String>, name: &Value) {
    let name = name.as_str().unwrap_or_default().to_owned();
    if !known.contains(&name) {
        known.push(name);
    }
}

fn letter(index: usize) -> String {
    char::from(b'A' + u8::try_from(index % 26).unwrap()).to_string()
}

fn describe(pod: &Value) -> String {
    let revision = pod["metadata"]["labels"]["controller-revision-hash"].as_str();
    let revision = revision.unwrap_or("?");
    let waits = ["containerStatuses", "initContainerStatuses"]
        .into_iter()
        .flat_map(|key| pod["status"][key].as_array().cloned().unwrap_or_default())
        .find_map(|s| s["state"]["waiting"]["reason"].as_str().map(str::to_owned))
        .filter(|reason| reason != "ContainerCreating");
    if crate::kubelet::is_warmer(pod) {
        let ended = pod["status"]["phase"] == "Failed";
        let state = if ended { "pulled" } else { "pulling" };
        return waits.map_or(state.into(), |reason| {
            reason.replace("ErrImagePull", "no image")
        });
    }
    let state = if pod["metadata"]["deletionTimestamp"].is_string() {
        "leaving".into()
    } else if !is_active(pod) {
        "ended".into()
    } else if let Some(reason) = waits {
        reason
            .replace("CrashLoopBackOff", "CrashLoop")
            .replace("ErrImagePull", "no image")
    } else if condition(pod, "InPlaceUpdateReady") == "False" {
        "drained".into()
    } else if condition(pod, "Ready") == "True" {
        "ready".into()
    } else {
        "starting".into()
    };
    format!("{revision} {state}")
}
