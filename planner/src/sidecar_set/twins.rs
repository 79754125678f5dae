//! `HotUpgrade`: of two twins one works and the other one idles. The idle one is given the new image
//! and takes over; once it is ready, the other one idles.

use apis::names::{TWIN_OTHER_VERSION_PREFIX, TWIN_VERSION_PREFIX};
use apis::validation::sidecar_set::{Effective, Hot, Sidecar};

use super::record::Record;
use super::way::{Absent, Step, change, found};
use crate::Pod;
use crate::in_place::{ImageChange, List};

/// Who works from now on.
#[derive(Debug, PartialEq)]
pub(super) struct Turn {
    pub(super) works: String,
    pub(super) other: String,
    /// Whether the other one idles from now on, and no longer just goes on.
    pub(super) is_last: bool,
}

impl Turn {
    /// Annotations that tell both twins, of which `pod` has some. `version` is new.
    pub(super) fn versions(&self, pod: &Pod, version: &str) -> Vec<(String, String)> {
        let key = |prefix: &str, twin: &str| format!("{prefix}{twin}");
        let put = |prefix, twin: &str, value: &str| (key(prefix, twin), value.to_owned());
        if self.is_last {
            return vec![
                put(TWIN_VERSION_PREFIX, &self.other, "0"),
                put(TWIN_OTHER_VERSION_PREFIX, &self.works, "0"),
            ];
        }
        let old = pod
            .annotations()
            .get(&key(TWIN_VERSION_PREFIX, &self.other));
        vec![
            put(TWIN_VERSION_PREFIX, &self.works, version),
            put(TWIN_OTHER_VERSION_PREFIX, &self.works, old.unwrap_or("0")),
            put(TWIN_OTHER_VERSION_PREFIX, &self.other, version),
        ]
    }
}

/// A sidecar's twins in one Pod: the one that works, and the other one.
struct Pair {
    works: String,
    other: String,
}

impl Pair {
    fn of(record: &Record, sidecar: &Sidecar) -> Self {
        let [first, second] = sidecar.twins();
        if record.working.get(&sidecar.name) == Some(&second) {
            return Self {
                works: second,
                other: first,
            };
        }
        Self {
            works: first,
            other: second,
        }
    }
}

fn image<'a>(pod: &'a Pod, list: List, twin: &str) -> Result<&'a str, Absent> {
    found(pod, list, twin).map(|(_, _, live)| &*live.image)
}

/// Who is to have the image that the set wants, if there is anything to do.
pub(super) fn next(
    pod: &Pod,
    record: &Record,
    (list, sidecar): (List, &Sidecar),
    hot: &Hot,
    is_unchanged: bool,
) -> Result<Option<(Turn, Option<ImageChange>)>, Absent> {
    let Pair { works, other } = Pair::of(record, sidecar);
    let (working, idle) = (image(pod, list, &works)?, image(pod, list, &other)?);
    let wanted = sidecar.image();
    if is_unchanged || working == wanted {
        return Ok(None);
    }
    let turn = |works: String, other: String| Turn {
        works,
        other,
        is_last: false,
    };
    // The one that was to be replaced has it still: it goes on.
    if idle == wanted {
        return Ok(Some((turn(other, works), None)));
    }
    // One that never came up is given another image; the other one has worked all the time.
    let again = idle != hot.empty_image && !is_ready(pod, &works);
    let (to, from) = if again {
        (works, other)
    } else {
        (other, works)
    };
    let change = change(pod, (list, &to), wanted)?;
    Ok(Some((turn(to, from), Some(change))))
}

fn is_ready(pod: &Pod, twin: &str) -> bool {
    pod.container_status(twin).is_some_and(|s| s.ready)
}

/// Twins that were replaced and do not idle yet, in `pod`.
pub(super) fn is_handing_over(pod: &Pod, record: &Record, set: &Effective) -> bool {
    pairs(set).any(|(list, sidecar, hot)| {
        let pair = Pair::of(record, sidecar);
        image(pod, list, &pair.other).is_ok_and(|image| image != hot.empty_image)
    })
}

/// Has every twin idle that was replaced by one that is ready.
pub(super) fn hand_over(pod: &Pod, record: &Record, set: &Effective) -> Option<Step> {
    let mut step = Step::default();
    for (list, sidecar, hot) in pairs(set) {
        let Pair { works, other } = Pair::of(record, sidecar);
        if !image(pod, list, &other).is_ok_and(|image| image != hot.empty_image) {
            continue;
        }
        if record.awaits(pod, &set.name, &works) || !is_ready(pod, &works) {
            return None;
        }
        let idles = change(pod, (list, &other), &hot.empty_image).ok()?;
        step.images.push(idles);
        let turn = Turn {
            works,
            other,
            is_last: true,
        };
        step.working.push((sidecar.name.clone(), turn));
    }
    (!step.images.is_empty()).then_some(step)
}

fn pairs(set: &Effective) -> impl Iterator<Item = (List, &Sidecar, &Hot)> {
    let natives = set.init_containers.iter().filter(|c| c.is_native);
    let natives = natives.map(|c| (List::Init, c));
    let all = natives.chain(set.containers.iter().map(|c| (List::App, c)));
    all.filter_map(|(list, sidecar)| Some((list, sidecar, sidecar.hot.as_ref()?)))
}
