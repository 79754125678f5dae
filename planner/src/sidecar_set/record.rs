//! What a Pod remembers of its sidecars, and how far the kubelet has come with them.

use std::collections::BTreeMap;

use apis::in_place_state::InPlaceState;
use apis::names;
use apis::sidecar_set::record::{self, Entries, State, States};
use jiff::Timestamp;

use crate::Pod;
use crate::in_place::{self, Progress};
use crate::reason::Reason;

/// What one Pod remembers.
#[derive(Debug)]
pub(super) struct Record {
    /// Of every set.
    pub(super) hashes: Entries,
    /// The hash of one set, and that without images.
    pub(super) hash: String,
    pub(super) hash_without_image: String,
    /// The revision of one set.
    pub(super) revision: Option<String>,
    /// Of every set.
    pub(super) states: States,
    /// Which of two twins works, by the name of the sidecar; of every set.
    pub(super) working: BTreeMap<String, String>,
}

impl Record {
    /// What `pod` remembers of the set called `set`.
    ///
    /// # Errors
    /// The reason to leave the Pod alone.
    pub(super) fn read(pod: &Pod, set: &str) -> Result<Self, Reason> {
        let entries = |annotation: &'static str| {
            let text = pod.annotations().get(annotation).unwrap_or_default();
            let entries = record::parse(text).ok();
            let entries = entries.filter(|entries| entries.contains_key(set));
            entries.ok_or(Reason::UnreadableRecord { annotation })
        };
        let hashes = entries(names::SIDECAR_HASH_ANNOTATION)?;
        let mut without = entries(names::SIDECAR_HASH_WITHOUT_IMAGE_ANNOTATION)?;
        let hash_of = |entries: &Entries| entries.get(set).map(|e| e.hash.clone());
        Ok(Self {
            hash: hash_of(&hashes).unwrap_or_default(),
            hash_without_image: without.remove(set).unwrap_or_default().hash,
            revision: hashes.get(set).and_then(|e| e.controller_revision.clone()),
            hashes,
            states: states(pod),
            working: working(pod)?,
        })
    }

    /// Whether the last update of the containers of `set` is done.
    pub(super) fn progress(&self, pod: &Pod, set: &str, now: Timestamp) -> Progress {
        let Some(state) = self.states.get(set) else {
            return unseen(pod);
        };
        match progress(pod, state) {
            // The kubelet may still be speaking of the container before.
            Progress::Restarting(reason)
                if reason.needs_a_person() && doubtful_until(state, now).is_some() =>
            {
                Progress::Restarting(Reason::Patched)
            }
            Progress::Done => unseen(pod),
            told => told,
        }
    }

    /// Whether `container` has yet to restart for the last update of the containers of `set`.
    pub(super) fn awaits(&self, pod: &Pod, set: &str, container: &str) -> bool {
        let last = self.states.get(set).and_then(|state| {
            let last = state.last.get(container)?;
            Some((last, &state.update_timestamp))
        });
        last.is_some_and(|(last, asked)| in_place::is_awaited(pod, container, last, asked))
    }

    /// When time alone tells more of it.
    pub(super) fn look_at(&self, set: &str, now: Timestamp) -> Option<Timestamp> {
        doubtful_until(self.states.get(set)?, now)
    }
}

/// How far the kubelet has come with what the set called `set` changed last in `pod`.
pub(super) fn progress_of(pod: &Pod, set: &str, now: Timestamp) -> Progress {
    match Record::read(pod, set) {
        Ok(record) => record.progress(pod, set, now),
        Err(_) => unseen(pod),
    }
}

fn working(pod: &Pod) -> Result<BTreeMap<String, String>, Reason> {
    let annotation = names::WORKING_TWIN_ANNOTATION;
    let text = pod.annotations().get(annotation).filter(|t| !t.is_empty());
    let working = text.map_or(Ok(BTreeMap::new()), serde_json::from_str);
    working.map_err(|_| Reason::UnreadableRecord { annotation })
}

fn doubtful_until(state: &State, now: Timestamp) -> Option<Timestamp> {
    in_place::doubtful_since(&state.update_timestamp).filter(|until| *until > now)
}

fn states(pod: &Pod) -> States {
    let text = pod
        .annotations()
        .get(names::SIDECAR_IN_PLACE_STATE_ANNOTATION);
    text.map(record::parse_states).unwrap_or_default()
}

/// Somebody changed the spec, and the kubelet has not seen it.
fn unseen(pod: &Pod) -> Progress {
    if pod.is_unseen() {
        Progress::Unseen
    } else {
        Progress::Done
    }
}

fn progress(pod: &Pod, state: &State) -> Progress {
    let state = InPlaceState {
        update_timestamp: state.update_timestamp.clone(),
        last: state.last.clone(),
        ..InPlaceState::default()
    };
    in_place::progress(pod, Some(&state))
}

/// Whether the kubelet has come to the end with all sidecars of `pod` that were updated. As long as
/// it has not, the Pod may become unready at any moment, whoever wants to know.
pub(crate) fn is_settled(pod: &Pod) -> bool {
    states(pod)
        .values()
        .all(|state| progress(pod, state) == Progress::Done)
}
