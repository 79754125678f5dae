//! Requests that get no review for an answer, but a status that says what is wrong. The API server
//! shows its message to whoever waits.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

use crate::review::Refusal;
use crate::sets::Missing;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("there is no path {0:?}: POST to /convert, /inject or /validate")]
    NoSuchPath(String),
    #[error("the method {0} is not understood: POST a review")]
    Method(Method),
    #[error("the content type {0:?} is not understood: send application/json")]
    MediaType(String),
    #[error("the content encoding {0:?} is not understood: send the body as it is")]
    Encoding(String),
    #[error("the body has more than {max} bytes")]
    TooLarge { max: usize },
    #[error("the body did not arrive in time")]
    SlowBody,
    #[error("failed to read the body: {0}")]
    BrokenBody(String),
    #[error("too many requests are being answered: try again")]
    Busy,
    #[error("the answer was not found in time: it is too much for one review")]
    Late,
    #[error(transparent)]
    Review(#[from] Refusal),
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error("failed to answer; this is a bug, and its traces are in the log of the webhook")]
    Panicked,
}

impl Refused {
    /// The `outcome` label of metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::NoSuchPath(_) => "no_such_path",
            Self::Method(_) => "method",
            Self::MediaType(_) | Self::Encoding(_) => "media_type",
            Self::TooLarge { .. } => "too_large",
            Self::SlowBody => "slow_body",
            Self::BrokenBody(_) => "broken_body",
            Self::Busy => "busy",
            Self::Late => "late",
            Self::Review(_) => "no_review",
            Self::Missing(_) => "not_known",
            Self::Panicked => "panicked",
        }
    }

    /// The HTTP status, and the reason in the words of the API.
    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSuchPath(_) => (StatusCode::NOT_FOUND, "NotFound"),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::MediaType(_) | Self::Encoding(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType")
            }
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            Self::SlowBody => (StatusCode::REQUEST_TIMEOUT, "Timeout"),
            Self::BrokenBody(_) | Self::Review(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
            Self::Busy => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
            Self::Missing(_) => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            Self::Late => (StatusCode::GATEWAY_TIMEOUT, "Timeout"),
            Self::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        }
    }

    /// As the API server says such things itself.
    pub(super) fn response(&self) -> Response {
        let (code, reason) = self.code();
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.to_string(), "reason": reason, "code": code.as_u16(),
        });
        let mut response = json(code, status.to_string().into_bytes());
        if matches!(self, Self::Method(_)) {
            let allowed = HeaderValue::from_static("POST");
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        response
    }
}

pub(super) fn json(code: StatusCode, body: Vec<u8>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (code, kind, Body::from(body)).into_response()
}
