//! `ConversionReview`: objects of one version, asked for in another.

use apis::conversion::{Unknown, Version, convert};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, Asked, Refusal, Review};

const REVIEW: Review = Review {
    api_version: "apiextensions.k8s.io/v1",
    kind: "ConversionReview",
};

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    uid: String,
    #[serde(default, rename = "desiredAPIVersion")]
    desired: String,
    #[serde(default)]
    objects: Vec<Value>,
}

impl Asked for Request {
    fn uid(&self) -> &str {
        &self.uid
    }
}

/// What is sent back.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    uid: String,
    converted_objects: Vec<Value>,
    result: Value,
}

impl Answer<Response> {
    /// Whether the objects were converted.
    pub fn is_success(&self) -> bool {
        self.response.result["status"] == "Success"
    }
}

/// Answers a review: all of its objects are converted, or none.
///
/// # Errors
/// When there is no question to answer.
pub fn answer(body: &[u8]) -> Result<Answer<Response>, Refusal> {
    let Request {
        uid,
        desired,
        objects,
    } = REVIEW.read(body)?;
    let (converted_objects, result) = match convert_all(objects, &desired) {
        Ok(converted) => (converted, json!({"status": "Success"})),
        Err(message) => {
            let result = json!({"status": "Failure", "message": message, "reason": "Invalid"});
            (Vec::new(), result)
        }
    };
    Ok(REVIEW.answer(Response {
        uid,
        converted_objects,
        result,
    }))
}

fn convert_all(objects: Vec<Value>, desired: &str) -> Result<Vec<Value>, String> {
    let to = Version::of(desired).map_err(|error| error.to_string())?;
    let convert_one = |object: Value| {
        let at = |key: &str| {
            let text = object.pointer(&format!("/metadata/{key}"));
            text.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (namespace, name) = (at("namespace"), at("name"));
        convert(object, to).map_err(|error: Unknown| format!("{namespace}/{name}: {error}"))
    };
    objects.into_iter().map(convert_one).collect()
}

#[cfg(test)]
mod tests;
