//! Reasons to Events: what happened to a set, gathered for a second, so that a rollout of a
//! thousand Pods makes a handful of Events and not a thousand.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::FIELD_MANAGER;

const GATHER_FOR: Duration = Duration::from_secs(1);
const QUEUE: usize = 1024;
/// Names of Pods spelled out in one Event; the rest is counted.
const NAMES: usize = 3;
/// API limit of `note` is 1024 bytes.
const NOTE_MAX: usize = 1000;

/// Good news or bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// As wanted.
    Normal,
    /// Somebody should look.
    Warning,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Note {
    /// The set.
    pub about: ObjectReference,
    /// See [`Tone`].
    pub tone: Tone,
    /// One word.
    pub reason: &'static str,
    /// What was done, without naming the Pod: notes that agree in this are told as one.
    pub text: String,
    /// The Pod it was done to, if it was one.
    pub pod: Option<String>,
}

/// Sends notes on their way. Never blocks; drops when the API server cannot keep up.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<Note>);

type Group = (String, Tone, &'static str, String);

impl Events {
    /// A sender and the task that publishes until `shutdown`.
    pub fn new(client: Client, shutdown: CancellationToken) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), publish(client, receiver, shutdown))
    }

    /// Tells `note`.
    pub fn tell(&self, note: Note) {
        if self.0.try_send(note).is_err() {
            tracing::debug!("an event was dropped: too many are waiting");
        }
    }
}

async fn publish(client: Client, mut notes: mpsc::Receiver<Note>, shutdown: CancellationToken) {
    let reporter = Reporter {
        controller: FIELD_MANAGER.to_owned(),
        instance: std::env::var("POD_NAME").ok(),
    };
    let recorder = Recorder::new(client, reporter);
    loop {
        let first = tokio::select! {
            () = shutdown.cancelled() => return,
            note = notes.recv() => note,
        };
        let Some(first) = first else { return };
        let mut groups: BTreeMap<Group, (ObjectReference, Vec<String>)> = BTreeMap::new();
        gather(&mut groups, first);
        let until = tokio::time::sleep(GATHER_FOR);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => break,
                () = shutdown.cancelled() => break,
                Some(note) = notes.recv() => gather(&mut groups, note),
            }
        }
        for ((_, tone, reason, text), (about, pods)) in groups {
            let event = Event {
                type_: match tone {
                    Tone::Normal => EventType::Normal,
                    Tone::Warning => EventType::Warning,
                },
                reason: reason.to_owned(),
                note: Some(note(&pods, &text)),
                action: reason.to_owned(),
                secondary: None,
            };
            let published = recorder.publish(&event, &about);
            match tokio::time::timeout(Duration::from_secs(5), published).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, reason, "failed to publish an event"),
                Err(_elapsed) => tracing::debug!(reason, "failed to publish an event in time"),
            }
        }
    }
}

fn gather(groups: &mut BTreeMap<Group, (ObjectReference, Vec<String>)>, note: Note) {
    let uid = note.about.uid.clone().unwrap_or_default();
    let key = (uid, note.tone, note.reason, note.text);
    groups
        .entry(key)
        .or_insert_with(|| (note.about, Vec::new()))
        .1
        .extend(note.pod);
}

/// `web-a, web-b, web-c and 4 more: patched …`
fn note(pods: &[String], text: &str) -> String {
    let mut note = match pods {
        [] => text.to_owned(),
        [pod] => format!("Pod {pod}: {text}"),
        _ => {
            let named = pods
                .iter()
                .take(NAMES)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            match pods.len().saturating_sub(NAMES) {
                0 => format!("Pods {named}: {text}"),
                more => format!("Pods {named} and {more} more: {text}"),
            }
        }
    };
    if note.len() > NOTE_MAX {
        let end = (0..=NOTE_MAX)
            .rev()
            .find(|i| note.is_char_boundary(*i))
            .unwrap_or_default();
        note.truncate(end);
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pods_make_one_sentence() {
        let pods: Vec<String> = (0..7).map(|n| format!("web-{n}")).collect();
        assert_eq!(
            note(&pods, "patched"),
            "Pods web-0, web-1, web-2 and 4 more: patched"
        );
        assert_eq!(note(&pods[..1], "patched"), "Pod web-0: patched");
        assert_eq!(note(&[], "stalled"), "stalled");
    }

    #[test]
    fn a_note_fits_what_the_api_takes_whatever_the_kubelet_says() {
        assert!(note(&[], &"é".repeat(2000)).len() <= NOTE_MAX);
    }
}
