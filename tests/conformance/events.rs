//! What a watch told.

use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Added,
    Modified,
    Deleted,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) type_: Type,
    pub(crate) version: String,
    pub(crate) name: String,
    /// As [`crate::project`] has it.
    pub(crate) object: Value,
}

impl Event {
    /// A line for comparison.
    pub(crate) fn line(&self) -> String {
        format!("{:?} {} {}", self.type_, self.name, self.object)
    }
}

/// Versions only ever grow, and every answer names the version of some event: a cache that takes
/// in both never goes back.
pub(crate) fn check_versions(events: &[Event], answered: &[String]) -> Result<(), String> {
    let number = |version: &str| version.parse::<u64>().unwrap_or_default();
    let grows = events.is_sorted_by(|a, b| number(&a.version) < number(&b.version));
    if !grows {
        return Err("versions do not grow from event to event".into());
    }
    let told = |version: &&String| !events.iter().any(|event| event.version == **version);
    match answered.iter().find(told) {
        Some(version) => Err(format!(
            "no event has version {version}, which was answered"
        )),
        None => Ok(()),
    }
}
