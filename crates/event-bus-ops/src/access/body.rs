//! The body of a request, read before anything is done with it, within bounds.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use http_body_util::LengthLimitError;
use tokio::time::timeout;

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
}

impl Unread {
    /// The status of HTTP that says so.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }
}

/// The request, and its whole body. A `GET` has none that anybody would read.
pub(crate) async fn whole_body(
    request: Request,
    limit_bytes: usize,
) -> Result<(Parts, Bytes), Unread> {
    let (parts, body) = request.into_parts();
    if [Method::GET, Method::HEAD].contains(&parts.method) {
        return Ok((parts, Bytes::new()));
    }
    let bytes = read(body, limit_bytes, BODY).await?;
    Ok((parts, bytes))
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
}
