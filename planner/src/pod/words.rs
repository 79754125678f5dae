//! Labels and annotations as they are kept: side by side, in the order of their keys, and each text
//! once for all Pods that were introduced to each other. As trees of texts of their own they would
//! take more memory than all else that is kept of a Pod.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A key and its value.
type Pair = (Arc<str>, Arc<str>);

/// Labels or annotations of one object; None where it has no map for them at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(Option<Box<[Pair]>>);

impl Words {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.find(key).map(|(_, value)| &**value)
    }

    fn find(&self, key: &str) -> Option<&Pair> {
        let pairs = self.0.as_deref()?;
        let place = pairs.binary_search_by(|(there, _)| (**there).cmp(key));
        pairs.get(place.ok()?)
    }

    /// Whether there is a map to add to.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// The same without `key`.
    pub(crate) fn without(self, key: &str) -> Self {
        if !self.contains_key(key) {
            return self;
        }
        let others = self.iter().filter(|(there, _)| *there != key);
        others.collect()
    }

    /// Whether there is such a key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Keys with their values, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.as_deref().unwrap_or_default();
        pairs.iter().map(|(key, value)| (&**key, &**value))
    }

    /// As selectors want it.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let owned = self
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        owned.collect()
    }

    /// Takes texts that are those of `other` from it, so that they are kept once.
    pub(super) fn share(&mut self, other: &Self) {
        for (key, value) in self.0.iter_mut().flatten() {
            if let Some((their_key, their_value)) = other.find(key) {
                share(key, their_key);
                share(value, their_value);
            }
        }
    }
}

/// Takes the same text from `other`.
pub(super) fn share(text: &mut Arc<str>, other: &Arc<str>) {
    if *text == *other {
        *text = Arc::clone(other);
    }
}

impl<K: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(K, V)> for Words {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter().map(|(k, v)| (k.into(), v.into()));
        let mut pairs: Vec<Pair> = pairs.collect();
        // Of a key that is given twice the last one counts.
        pairs.reverse();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, first| later.0 == first.0);
        Self(Some(pairs.into()))
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Words, A::Error> {
                let mut pairs: Vec<Pair> = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs.into_iter().collect())
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written_as_the_map_they_are() {
        let words: Words = serde_json::from_str(r#"{"b": "2", "a": "1", "b": "3"}"#).unwrap();
        assert_eq!((words.get("a"), words.get("b")), (Some("1"), Some("3")));
        assert_eq!(words.get("c"), None);
        let text = serde_json::to_string(&words).unwrap();
        assert_eq!(text, r#"{"a":"1","b":"3"}"#);
    }

    fn pairs(words: &Words) -> &[Pair] {
        words.0.as_deref().unwrap()
    }

    #[test]
    fn texts_that_are_the_same_are_kept_once() {
        let theirs: Words = [("a", "1"), ("b", "2")].into_iter().collect();
        let mut ours: Words = [("a", "1"), ("b", "x")].into_iter().collect();
        let before = ours.clone();
        ours.share(&theirs);
        assert_eq!(ours, before);
        assert!(Arc::ptr_eq(&pairs(&ours)[0].1, &pairs(&theirs)[0].1));
        assert!(Arc::ptr_eq(&pairs(&ours)[1].0, &pairs(&theirs)[1].0));
    }
}
