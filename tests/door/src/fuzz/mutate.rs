//! How inputs are made: a review that makes sense, changed as JSON, as bytes, or both.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::{Input, corpus};

/// Words that mean something to somebody.
const WORDS: &[&str] = &[
    "",
    "0",
    "-1",
    "40%",
    "-3%",
    "101%",
    "99999999999999999999%",
    "1e9",
    "2147483648",
    "apps.kruise.io/v1alpha1",
    "apps.kruise.io/v1beta1",
    "apps.kruise.io/v1alpha1-form",
    "apps.kruise.io/v1beta1-form",
    "policy.kruise.io/delete-protection",
    "Always",
    "Cascading",
    "CloneSet",
    "CREATE",
    "UPDATE",
    "DELETE",
    "ReCreate",
    "InPlaceOnly",
    "InPlaceIfPossible",
    "RollingUpdate",
    "OnDelete",
    "metadata",
    "annotations",
    "labels",
    "spec",
    "status",
    "updateStrategy",
    "rollingUpdate",
    "scaleStrategy",
    "inPlaceUpdateStrategy",
    "disablePVCReuse",
    "enablePVCReuse",
    "podUpdatePolicy",
    "type",
    "partition",
    "maxUnavailable",
    "maxSurge",
    "paused",
    "template",
    "selector",
    "matchLabels",
    "matchExpressions",
    "containers",
    "initContainers",
    "image",
    "env",
    "name",
    "value",
    "replicas",
    "deletionTimestamp",
    "finalizers",
    "volumeClaimTemplates",
    "lifecycle",
    "priorityStrategy",
    "scatterStrategy",
    "weightPriority",
    "request",
    "object",
    "oldObject",
    "objects",
    "uid",
    "\u{0}",
    "\u{1f980}\u{202e}",
    "a/b~1c~0",
];

/// Makes inputs, always the same ones from the same seed.
#[derive(Debug)]
pub struct Mutator {
    random: Rng,
    corpus: Vec<(&'static str, Value)>,
}

impl Mutator {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            corpus: corpus(),
        }
    }

    /// The next one.
    pub fn input(&mut self) -> Input {
        let which = self.random.usize(..self.corpus.len());
        let (path, mut review) = self.corpus[which].clone();
        let way = self.random.u8(..20);
        if way < 17 {
            for _ in 0..self.random.usize(1..5) {
                let part = self.part(&mut review);
                self.change(part);
            }
        }
        let mut body = review.to_string().into_bytes();
        if way >= 15 {
            for _ in 0..self.random.usize(1..4) {
                self.damage(&mut body);
            }
        }
        // Now and then to the other path.
        let path = match self.random.u8(..50) {
            0 => "/convert",
            1 => "/validate",
            _ => path,
        };
        Input { path, body }
    }

    /// Where a change may happen: mostly in an object, as a broken envelope is soon refused.
    fn part<'v>(&mut self, review: &'v mut Value) -> &'v mut Value {
        let has = |name: &&str| !review["request"][name].is_null();
        let parts: Vec<&str> = ["object", "oldObject", "objects"]
            .into_iter()
            .filter(has)
            .collect();
        let Some(name) = self.random.choice(parts) else {
            return review;
        };
        if self.random.u8(..20) == 0 {
            return review;
        }
        &mut review["request"][name]
    }

    /// Changes one node.
    fn change(&mut self, part: &mut Value) {
        let mut node = part;
        // Most of it is in the depth.
        while self.random.u8(..8) > 0 {
            let children = match &*node {
                Value::Array(items) => items.len(),
                Value::Object(map) => map.len(),
                _ => 0,
            };
            if children == 0 {
                break;
            }
            let which = self.random.usize(..children);
            let child = match node {
                Value::Array(items) => items.get_mut(which),
                Value::Object(map) => map.values_mut().nth(which),
                _ => None,
            };
            match child {
                Some(child) => node = child,
                None => return,
            }
        }
        match (self.random.u8(..6), node) {
            (0, Value::Object(map)) => self.drop_or_rename(map),
            (1 | 2, Value::Object(map)) => {
                let (key, value) = (self.word(), self.value(0));
                map.insert(key, value);
            }
            (0, Value::Array(items)) if !items.is_empty() => {
                items.remove(self.random.usize(..items.len()));
            }
            (1, Value::Array(items)) if !items.is_empty() => {
                let twin = items[self.random.usize(..items.len())].clone();
                let times = if self.random.u8(..100) == 0 { 200 } else { 1 };
                items.extend(std::iter::repeat_n(twin, times));
            }
            (2, Value::Array(items)) => items.push(self.value(0)),
            // What travels in annotations is JSON as text.
            (3, node) => *node = Value::String(self.value(0).to_string()),
            (_, node) => *node = self.value(0),
        }
    }

    fn drop_or_rename(&mut self, map: &mut Map<String, Value>) {
        if map.is_empty() {
            return;
        }
        let which = self.random.usize(..map.len());
        let key = map.keys().nth(which).cloned().unwrap_or_default();
        let value = map.remove(&key).unwrap_or_default();
        if self.random.bool() {
            map.insert(self.word(), value);
        }
    }

    fn word(&mut self) -> String {
        self.random.choice(WORDS).copied().unwrap_or("x").to_owned()
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.random.u8(..16) {
            0 => Value::Null,
            1 => self.random.bool().into(),
            2 => self.random.i64(..).into(),
            3 => self.random.i32(-2..12).into(),
            // Of 17 digits the last one is not kept by the parser, and no API has such fields.
            4 => (f64::from(self.random.i32(..)) / 64.0).into(),
            5 => json!(u64::MAX),
            6 => "x".repeat(self.random.usize(..300)).into(),
            7 | 8 if depth < 4 => {
                let items = self.random.usize(..4);
                (0..items).map(|_| self.value(depth + 1)).collect()
            }
            9 | 10 if depth < 4 => {
                let entries = self.random.usize(..4);
                let entry = |_| (self.word(), self.value(depth + 1));
                Value::Object((0..entries).map(entry).collect())
            }
            11 if self.random.u8(..20) == 0 => {
                let nest = |inner, _| json!([inner]);
                (0..self.random.usize(1..140)).fold(Value::Null, nest)
            }
            12 => {
                let (_, review) = &self.corpus[self.random.usize(..self.corpus.len())];
                let parts = ["/request/object/spec", "/request/objects/0", "/request"];
                let part = parts[self.random.usize(..parts.len())];
                review.pointer(part).cloned().unwrap_or_default()
            }
            _ => self.word().into(),
        }
    }

    /// Changes some bytes.
    fn damage(&mut self, body: &mut Vec<u8>) {
        if body.is_empty() {
            return;
        }
        let at = self.random.usize(..body.len());
        let end = (at + self.random.usize(1..40)).min(body.len());
        match self.random.u8(..7) {
            0 => body[at] ^= 1 << self.random.u8(..8),
            1 => body[at] = self.random.u8(..),
            2 => drop(body.drain(at..end)),
            3 => {
                let twin = body[at..end].to_vec();
                body.splice(at..at, twin);
            }
            4 => body.truncate(at),
            5 => {
                let bytes: Vec<u8> = (0..end - at).map(|_| self.random.u8(..)).collect();
                body.splice(at..at, bytes);
            }
            _ => {
                let marks = br#"{}[]",:\0-e"#;
                body[at] = marks[self.random.usize(..marks.len())];
            }
        }
    }
}
