//! `AdmissionReview`: may this object be written?

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, Asked, Refusal, Review};
use apis::FieldError;

pub(super) const REVIEW: Review = Review {
    api_version: "admission.k8s.io/v1",
    kind: "AdmissionReview",
};

/// What happens to the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// It is new.
    Create,
    /// It replaces `old_object`.
    Update,
    /// `old_object` goes.
    Delete,
    /// Somebody looks into it; nothing here is about that.
    #[default]
    #[serde(other)]
    Connect,
}

/// The question.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Which question it is.
    #[serde(default)]
    pub uid: String,
    /// What happens.
    #[serde(default)]
    pub operation: Operation,
    /// Which kind.
    #[serde(default)]
    pub kind: Kind,
    /// Its name, as far as it is known.
    #[serde(default)]
    pub name: String,
    /// The object as it would be; none when it goes.
    #[serde(default)]
    pub object: Option<Object>,
    /// The object as it is; none when it is new.
    #[serde(default)]
    pub old_object: Option<Object>,
}

/// What is looked at of an object. All the rest (who wrote which field, the status) is often the
/// larger part, and is skipped where it is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Object {
    /// Of all kinds alike.
    pub metadata: Metadata,
    /// Of its kind.
    pub spec: Value,
}

/// What is looked at of an object's metadata.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    /// Null, or its name.
    pub name: Value,
    /// Null, or an object of texts.
    pub annotations: Value,
    /// Null, or since when it is on its way out.
    pub deletion_timestamp: Value,
    /// Null, or an object of texts.
    pub labels: Value,
}

/// Group, version and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Kind {
    /// API group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

impl Asked for Request {
    fn uid(&self) -> &str {
        &self.uid
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be written.
    Allowed {
        /// What whoever writes it should know, one sentence each.
        warnings: Vec<String>,
    },
    /// It makes no sense: everything that is wrong with it.
    Invalid(Vec<FieldError>),
    /// It makes sense, and is not wanted; what to do instead.
    Forbidden(String),
}

impl Verdict {
    /// The `outcome` label of metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Allowed { .. } => "allowed",
            Self::Invalid(_) => "invalid",
            Self::Forbidden(_) => "forbidden",
        }
    }
}

/// What is sent back.
#[derive(Debug, Serialize)]
pub struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Answers a review by `judge`, who may take the objects out of it.
///
/// # Errors
/// When there is no question to answer, or `judge` has no answer.
pub fn answer<E: From<Refusal>>(
    body: &[u8],
    judge: impl FnOnce(&mut Request) -> Result<Verdict, E>,
) -> Result<Answer<Response>, E> {
    let mut request: Request = REVIEW.read(body)?;
    let (status, warnings) = match judge(&mut request)? {
        Verdict::Allowed { warnings } => (None, warnings),
        Verdict::Invalid(errors) => (Some(invalid(&request, &errors)), Vec::new()),
        Verdict::Forbidden(why) => (Some(forbidden(&request, &why)), Vec::new()),
    };
    Ok(REVIEW.answer(Response {
        uid: request.uid,
        allowed: status.is_none(),
        status,
        warnings,
    }))
}

/// As the API server says it of its own kinds, so that clients read it alike.
fn invalid(request: &Request, errors: &[FieldError]) -> Value {
    let Kind { group, kind, .. } = &request.kind;
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let what = match texts.as_slice() {
        [one] => one.clone(),
        all => format!("[{}]", all.join(", ")),
    };
    let cause = |error: &FieldError| json!({"reason": "FieldValueInvalid", "field": error.path, "message": error.message});
    let causes: Vec<Value> = errors.iter().map(cause).collect();
    let name = &request.name;
    json!({
        "status": "Failure", "code": 422, "reason": "Invalid",
        "message": format!("{kind}.{group} \"{name}\" is invalid: {what}"),
        "details": {"group": group, "kind": kind, "name": name, "causes": causes},
    })
}

fn forbidden(request: &Request, why: &str) -> Value {
    let Kind { group, kind, .. } = &request.kind;
    let name = &request.name;
    json!({
        "status": "Failure", "code": 403, "reason": "Forbidden",
        "message": format!("{kind}.{group} \"{name}\" is forbidden: {why}"),
        "details": {"group": group, "kind": kind, "name": name},
    })
}

#[cfg(test)]
mod tests;
