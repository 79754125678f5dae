//! UIDs and versions differ between the two sides: what each side calls them.

use std::collections::BTreeMap;

use planner::effect::Resource;
use serde_json::Value;

/// The kind of object that a resource is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Pod,
    Claim,
    Revision,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Pod, Self::Claim, Self::Revision];

    pub(crate) fn of(resource: Resource) -> Self {
        match resource {
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize => Self::Pod,
            Resource::Claims => Self::Claim,
            Resource::ControllerRevisions => Self::Revision,
        }
    }
}

const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// What one side has told of its objects so far.
#[derive(Default)]
pub(crate) struct Names {
    known: BTreeMap<(Kind, String), Vec<Life>>,
}

/// One object of a name: its UID and the versions it had, oldest first.
type Life = (String, Vec<String>);

impl Names {
    /// Takes note of an object. Returns whether this version of it is a new one.
    pub(crate) fn learn(&mut self, kind: Kind, object: &Value) -> bool {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
        let (name, uid, version) = (text("name"), text("uid"), text("resourceVersion"));
        let lives = self.known.entry((kind, name.to_owned())).or_default();
        let at = lives.iter().position(|(known, _)| known == uid);
        let at = at.unwrap_or_else(|| {
            lives.push((uid.to_owned(), Vec::new()));
            lives.len() - 1
        });
        let versions = &mut lives[at].1;
        let is_new = versions.last().is_none_or(|last| last != version);
        if is_new {
            versions.push(version.to_owned());
        }
        is_new
    }

    /// A UID as `name#1`, the same on both sides.
    pub(crate) fn alias(&self, uid: &str) -> String {
        for ((_, name), lives) in &self.known {
            if let Some(at) = lives.iter().position(|(known, _)| known == uid) {
                return format!("{name}#{}", at + 1);
            }
        }
        uid.to_owned()
    }

    fn uid(&self, kind: Kind, name: &str) -> Option<String> {
        let lives = self.known.get(&(kind, name.to_owned()))?;
        Some(lives.last()?.0.clone())
    }

    fn version(&self, kind: Kind, name: &str, back: usize) -> Option<String> {
        let lives = self.known.get(&(kind, name.to_owned()))?;
        let versions = &lives.last()?.1;
        versions.get(versions.len().checked_sub(1 + back)?).cloned()
    }

    /// A body with this side's own UIDs and versions in place of the words that stand for them.
    pub(crate) fn fill(&self, kind: Kind, name: &str, body: &Value) -> Value {
        match body {
            Value::String(text) => {
                let filled = match text.as_str() {
                    "$uid" => self.uid(kind, name),
                    "$rv" => self.version(kind, name, 0),
                    "$old" => self.version(kind, name, 1).or(Some("2147483647".into())),
                    "$nobody" => Some(NOBODY.into()),
                    text => match text.strip_prefix("$uid:") {
                        Some(other) => self.uid(Kind::Pod, other),
                        None => Some(text.into()),
                    },
                };
                filled.unwrap_or_else(|| NOBODY.into()).into()
            }
            Value::Array(items) => items.iter().map(|v| self.fill(kind, name, v)).collect(),
            Value::Object(map) => {
                let filled = map
                    .iter()
                    .map(|(key, v)| (key.clone(), self.fill(kind, name, v)));
                Value::Object(filled.collect())
            }
            other => other.clone(),
        }
    }
}
