//! The body of a request, read before anything is done with it, within bounds; and that no text in a request has what no
//! database takes.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use http_body_util::LengthLimitError;
use tokio::time::timeout;

/// NUL in an address, and in a form.
const ENCODED_NUL: &str = "%00";
/// So long may a body take, however slowly it is sent.
const BODY: Duration = Duration::from_secs(30);

/// A body that was not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It is too large.
    #[error("the request has more than {limit_bytes} bytes")]
    TooLarge {
        /// What is allowed.
        limit_bytes: usize,
    },
    /// It took too long.
    #[error("the request took longer than {BODY:?}")]
    TooSlow,
    /// It broke off.
    #[error("the request broke off")]
    Broken,
    /// A text in it has the character NUL, which PostgreSQL takes in no text.
    #[error("a text in the request has the character NUL (U+0000): take it out")]
    Nul,
}

impl Unread {
    /// The status of HTTP that says so.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken | Self::Nul => StatusCode::BAD_REQUEST,
        }
    }
}

/// The request, and its whole body. A `GET` has none that anybody would read.
pub(crate) async fn whole_body(
    request: Request,
    limit_bytes: usize,
) -> Result<(Parts, Bytes), Unread> {
    let (parts, body) = request.into_parts();
    if parts.uri.path_and_query().is_some_and(|address| address.as_str().contains(ENCODED_NUL)) {
        return Err(Unread::Nul);
    }
    if [Method::GET, Method::HEAD].contains(&parts.method) {
        return Ok((parts, Bytes::new()));
    }
    let bytes = read(body, limit_bytes, BODY).await?;
    if has_nul(&parts, &bytes) {
        return Err(Unread::Nul);
    }
    Ok((parts, bytes))
}

/// Whether a text in a body has NUL, in the way in which its kind writes that.
fn has_nul(parts: &Parts, body: &[u8]) -> bool {
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    body.contains(&0)
        || if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            body.windows(ENCODED_NUL.len()).any(|bytes| bytes == ENCODED_NUL.as_bytes())
        } else {
            has_escaped_nul(body)
        }
}

/// Whether a text of this JSON has NUL. An event that is written in such a text may have it: there its backslash is escaped.
fn has_escaped_nul(json: &[u8]) -> bool {
    let mut is_escaped = false;
    json.iter().enumerate().any(|(at, byte)| {
        let was_escaped = is_escaped;
        is_escaped = *byte == b'\\' && !was_escaped;
        was_escaped && json[at..].starts_with(b"u0000")
    })
}

async fn read(body: Body, limit_bytes: usize, within: Duration) -> Result<Bytes, Unread> {
    let read = timeout(within, to_bytes(body, limit_bytes)).await.map_err(|_| Unread::TooSlow)?;
    read.map_err(|error| {
        let is_too_large = std::error::Error::source(&error)
            .is_some_and(<dyn std::error::Error>::is::<LengthLimitError>);
        if is_too_large { Unread::TooLarge { limit_bytes } } else { Unread::Broken }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_bounded_in_size_and_in_time() {
        assert_eq!(read(Body::from("four"), 4, BODY).await.unwrap(), "four");
        let refused = read(Body::from("fives"), 4, BODY).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let endless =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, axum::Error>>());
        assert_eq!(
            read(endless, 4, Duration::from_millis(1)).await.unwrap_err().status(),
            StatusCode::REQUEST_TIMEOUT
        );
    }

    #[tokio::test]
    async fn a_text_with_nul_is_refused_in_an_address_in_a_form_and_in_json() {
        const FORM: &str = "application/x-www-form-urlencoded";
        const JSON: &str = "application/json; charset=utf-8";
        for (address, kind, body, is_refused) in [
            ("/a?reason=x", FORM, "reason=why", false),
            ("/a?reason=%00", FORM, "", true),
            ("/a%00b", FORM, "", true),
            ("/a?b=%2500", FORM, "reason=%2500", false),
            ("/a", FORM, "reason=a%00b", true),
            ("/a", FORM, "reason=a\0b", true),
            // An event that is edited may have it.
            ("/a", FORM, "value=%22%5Cu0000%22", false),
            ("/a", JSON, r#"{"reason":"a\u0000b"}"#, true),
            ("/a", JSON, r#"{"reason":"a\\\u0000b"}"#, true),
            ("/a", JSON, r#"{"value":"{\"text\":\"\\u0000\"}","reason":"100%00"}"#, false),
        ] {
            let request = Request::post(address).header(CONTENT_TYPE, kind);
            let read = whole_body(request.body(Body::from(body)).unwrap(), 1_000).await;
            assert_eq!(matches!(read, Err(Unread::Nul)), is_refused, "{address} {body}");
            assert!(is_refused || read.is_ok(), "{address} {body}");
        }
        let request = Request::get("/a?actor=%00").body(Body::empty()).unwrap();
        assert_eq!(whole_body(request, 9).await.unwrap_err().status(), StatusCode::BAD_REQUEST);
    }
}
