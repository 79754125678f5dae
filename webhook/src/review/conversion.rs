//! `ConversionReview`: objects of one version, asked for in another.
//!
//! One review may hold every object of a kind. So they are not gathered: each is read, converted and
//! written before the next one is read.

use std::fmt;

use apis::conversion::{Version, convert};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, json};

use super::{Asked, Refusal, Review};
use crate::nesting;

const REVIEW: Review = Review {
    api_version: "apiextensions.k8s.io/v1",
    kind: "ConversionReview",
};

/// The question, but for its objects.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    uid: String,
    #[serde(default, rename = "desiredAPIVersion")]
    desired: String,
}

impl Asked for Head {
    fn uid(&self) -> &str {
        &self.uid
    }
}

/// What is sent back.
#[derive(Debug)]
pub struct Answer {
    /// The review, as JSON.
    pub json: Vec<u8>,
    /// Whether the objects were converted.
    pub is_success: bool,
}

/// Answers a review: all of its objects are converted, or none.
///
/// # Errors
/// When there is no question to answer.
pub fn answer(body: &[u8]) -> Result<Answer, Refusal> {
    let Head { uid, desired } = REVIEW.read(body)?;
    let to = Version::of(&desired).map_err(|error| error.to_string());
    let mut json = Vec::with_capacity(body.len() + body.len() / 8);
    let Review { api_version, kind } = REVIEW;
    let begin = format!(
        r#"{{"apiVersion":"{api_version}","kind":"{kind}","response":{{"convertedObjects":["#
    );
    json.extend_from_slice(begin.as_bytes());
    let mut sink = Sink { json, to };
    let mut reader = serde_json::Deserializer::from_slice(body);
    let objects = Within("request", Within("objects", Each(&mut sink)));
    let read = objects.deserialize(&mut reader);
    read.map_err(|error| REVIEW.refusal(&error))?;
    let Sink { mut json, to } = sink;
    let result = match &to {
        Ok(_) => json!({"status": "Success"}),
        Err(message) => {
            json.truncate(begin.len());
            json!({"status": "Failure", "message": message, "reason": "Invalid"})
        }
    };
    let end = format!(r#"],"uid":{},"result":{result}}}}}"#, Value::from(uid));
    json.extend_from_slice(end.as_bytes());
    Ok(Answer {
        json,
        is_success: to.is_ok(),
    })
}

/// Where converted objects go.
struct Sink {
    json: Vec<u8>,
    /// The version that is asked for, or what was wrong first.
    to: Result<Version, String>,
}

impl Sink {
    fn take(&mut self, object: Value, is_first: bool) {
        let Ok(to) = self.to else { return };
        let at = |key: &str| {
            let text = object.pointer(&format!("/metadata/{key}"));
            text.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (namespace, name) = (at("namespace"), at("name"));
        if !is_first {
            self.json.push(b',');
        }
        let levels = nesting::OBJECT;
        let written = if nesting::exceeds(&object, levels) {
            Err(format!("it is nested deeper than {levels} levels"))
        } else {
            convert(object, to).map_err(|error| error.to_string())
        };
        let written = written.and_then(|object| {
            serde_json::to_writer(&mut self.json, &object).map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            self.to = Err(format!("{namespace}/{name}: {error}"));
        }
    }
}

/// Looks into one field of an object, and leaves out the others.
struct Within<S>(&'static str, S);

impl<'de, S: DeserializeSeed<'de, Value = ()>> DeserializeSeed<'de> for Within<S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: DeserializeSeed<'de, Value = ()>> Visitor<'de> for Within<S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with {:?}", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(name, seed) = self;
        let mut seed = Some(seed);
        while let Some(key) = map.next_key::<String>()? {
            if key == name {
                let seed = seed.take();
                map.next_value_seed(seed.ok_or_else(|| A::Error::duplicate_field(name))?)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Hands over one object after the other.
struct Each<'a>(&'a mut Sink);

impl<'de> DeserializeSeed<'de> for Each<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Each<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut is_first = true;
        while let Some(object) = seq.next_element()? {
            self.0.take(object, is_first);
            is_first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
