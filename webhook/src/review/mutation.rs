//! `AdmissionReview`: what should a new object be given? Nothing is ever refused by this.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::admission::{Kind, Operation, REVIEW};
use super::{Answer, Asked, Refusal};

/// API servers cut what is longer.
const WARNING_MAX: usize = 256;

/// The question.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Request {
    /// Which question it is.
    pub uid: String,
    /// What happens.
    pub operation: Operation,
    /// Which kind.
    pub kind: Kind,
    /// Its namespace; the object need not say it.
    pub namespace: String,
    /// What is written of the object; empty for all of it.
    pub sub_resource: String,
    /// The object, all of it: what is not known here stays as it is.
    pub object: Value,
}

impl Asked for Request {
    fn uid(&self) -> &str {
        &self.uid
    }
}

/// What becomes of the object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// RFC 6902; empty leaves it as it is.
    pub patch: Vec<Value>,
    /// What whoever writes it should know, one sentence each.
    pub warnings: Vec<String>,
}

/// What is sent back.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Reads a review.
///
/// # Errors
/// When there is no question to answer.
pub fn read(body: &[u8]) -> Result<Request, Refusal> {
    REVIEW.read(body)
}

/// The answer to the question `uid`.
pub fn answer(uid: String, change: Change) -> Answer<Response> {
    let Change { patch, warnings } = change;
    // Texts, numbers and lists can always be written.
    let written = || serde_json::to_vec(&patch).unwrap_or_default();
    let patch = (!patch.is_empty()).then(|| STANDARD.encode(written()));
    REVIEW.answer(Response {
        uid,
        allowed: true,
        patch_type: patch.is_some().then_some("JSONPatch"),
        patch,
        warnings: warnings.into_iter().map(shortened).collect(),
    })
}

fn shortened(warning: String) -> String {
    if warning.chars().count() <= WARNING_MAX {
        return warning;
    }
    let kept = warning.chars().take(WARNING_MAX - 3);
    kept.chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(change: Change) -> Value {
        let answer = answer("u-1".to_owned(), change);
        serde_json::to_value(answer).unwrap()["response"].clone()
    }

    #[test]
    fn nothing_to_do_is_plain_consent() {
        let response = answered(Change::default());
        assert_eq!(response, json!({"uid": "u-1", "allowed": true}));
    }

    #[test]
    fn a_patch_is_sent_as_text_in_base64() {
        let patch = vec![json!({"op": "add", "path": "/metadata/labels", "value": {"ä": "b"}})];
        let response = answered(Change {
            patch: patch.clone(),
            warnings: vec![],
        });
        assert_eq!(response["patchType"], "JSONPatch");
        let sent = STANDARD
            .decode(response["patch"].as_str().unwrap())
            .unwrap();
        let sent: Vec<Value> = serde_json::from_slice(&sent).unwrap();
        assert_eq!(sent, patch);
    }

    #[test]
    fn warnings_are_as_long_as_api_servers_pass_on() {
        let long = "ä".repeat(300);
        let response = answered(Change {
            patch: vec![],
            warnings: vec!["short".to_owned(), long],
        });
        assert_eq!(response["warnings"][0], "short");
        let cut = response["warnings"][1].as_str().unwrap();
        assert_eq!(cut.chars().count(), WARNING_MAX);
        assert!(cut.ends_with("ä..."), "{cut}");
    }

    #[test]
    fn the_object_is_kept_whole() {
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {"uid": "u-1", "operation": "CREATE", "namespace": "shop",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "object": {"spec": {"aFieldOfTomorrow": [1, 2.5]}}}});
        let request = read(body.to_string().as_bytes()).unwrap();
        assert_eq!(request.object, body["request"]["object"]);
        assert_eq!(request.namespace, "shop");
        assert_eq!(request.sub_resource, "");
    }
}
