//! Bodies: how large they say they are, and no more than that.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::refused::Refused;

/// Memory for a body grows as it comes in, from here on: announcing is cheap.
const FIRST: usize = 64 * 1024;
/// So much of a body that nobody wants is read all the same: who still writes when the connection
/// closes may never see the answer.
const DISCARD_MAX: usize = 16 * 1024 * 1024;
const DISCARD_WITHIN: Duration = Duration::from_secs(2);

/// How many bytes there may be at most: those that are announced, else as many as are allowed.
pub(super) fn check(headers: &HeaderMap, max: usize) -> Result<usize, Refused> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let media = text(header::CONTENT_TYPE).unwrap_or_default();
    let kind = media.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Refused::MediaType(media.to_owned()));
    }
    if let Some(coding) = text(header::CONTENT_ENCODING)
        && !coding.eq_ignore_ascii_case("identity")
    {
        return Err(Refused::Encoding(coding.to_owned()));
    }
    match text(header::CONTENT_LENGTH).map(str::parse::<usize>) {
        Some(Ok(length)) if length <= max => Ok(length),
        Some(_) => Err(Refused::TooLarge { max }),
        None => Ok(max),
    }
}

/// Reads at most `max` bytes.
pub(super) async fn read(mut body: Body, max: usize) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::with_capacity(max.min(FIRST));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refused::BrokenBody(error.to_string()))?;
        // Trailers are nobody's business here.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > max {
            discard(body).await;
            return Err(Refused::TooLarge { max });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Reads for a while what nobody wants.
pub(super) async fn discard(mut body: Body) {
    let mut rest = DISCARD_MAX;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let read = frame.data_ref().map_or(0, hyper::body::Bytes::len);
            match rest.checked_sub(read) {
                Some(left) => rest = left,
                None => return,
            }
        }
    };
    // Late or not, it was read for courtesy only.
    let _ = timeout(DISCARD_WITHIN, reading).await;
}
