//! What the API server asks and is answered, as JSON; nowhere else is the envelope known.

use serde::{Deserialize, Serialize};

pub mod admission;
pub mod conversion;
pub mod mutation;

/// A request that cannot be answered: nobody could tell which question the answer belongs to. It
/// is told by an HTTP status instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No JSON, or not of this shape.
    #[error("the body is no {expected}: {why}")]
    Shape {
        /// The kind that was expected.
        expected: &'static str,
        /// What is wrong, and where.
        why: String,
    },
    /// Another kind or version of review.
    #[error("the body is a {found}; only {expected} is answered")]
    Kind {
        /// `apiVersion/kind` as it was sent.
        found: String,
        /// `apiVersion/kind` that would be answered.
        expected: String,
    },
    /// A review without its question.
    #[error("the {0} has no request with a uid")]
    NoRequest(&'static str),
}

/// Which review it is.
struct Review {
    api_version: &'static str,
    kind: &'static str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<R> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<R>,
}

/// The answer, as it is sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<R> {
    api_version: &'static str,
    kind: &'static str,
    response: R,
}

/// Something that says which answer belongs to it.
trait Asked {
    fn uid(&self) -> &str;
}

impl Review {
    fn read<'b, R: Deserialize<'b> + Asked>(&self, body: &'b [u8]) -> Result<R, Refusal> {
        // Which review it is comes first: of another version the rest may well be different.
        let version: Envelope<serde::de::IgnoredAny> = self.parse(body)?;
        if (version.api_version.as_str(), version.kind.as_str()) != (self.api_version, self.kind) {
            return Err(Refusal::Kind {
                found: format!("{}/{}", version.api_version, version.kind),
                expected: format!("{}/{}", self.api_version, self.kind),
            });
        }
        let envelope: Envelope<R> = self.parse(body)?;
        let request = envelope.request.filter(|request| !request.uid().is_empty());
        request.ok_or(Refusal::NoRequest(self.kind))
    }

    fn parse<'b, T: Deserialize<'b>>(&self, body: &'b [u8]) -> Result<T, Refusal> {
        serde_json::from_slice(body).map_err(|error| self.refusal(&error))
    }

    fn refusal(&self, error: &serde_json::Error) -> Refusal {
        Refusal::Shape {
            expected: self.kind,
            why: error.to_string(),
        }
    }

    fn answer<R: Serialize>(&self, response: R) -> Answer<R> {
        Answer {
            api_version: self.api_version,
            kind: self.kind,
            response,
        }
    }
}
