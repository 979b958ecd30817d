//! One request to a collector.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode, Uri};

use crate::exchange::{ExchangeError, exchange};

/// What OTLP adds to the endpoint for spans.
const PATH: &str = "/v1/traces";
const HTTP_PORT: u16 = 80;

/// Where a collector takes OTLP over HTTP, such as `http://127.0.0.1:4318`.
#[derive(Clone, Debug)]
pub struct Endpoint(Uri);

/// A text that is no such address.
#[derive(Debug, thiserror::Error)]
#[error(
    "want http://HOST:PORT of a collector's OTLP over HTTP, usually port 4318; leave TLS to a collector nearby"
)]
pub struct NotAnEndpoint;

/// A request that the collector did not take.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("no answer in time")]
    NoAnswer,
    #[error("the collector answered {0}")]
    Refused(StatusCode),
}

impl PostError {
    /// Whether the same request may succeed later: the specification of OTLP names these statuses.
    pub(super) fn is_worth_a_retry(&self) -> bool {
        match self {
            Self::Exchange(_) | Self::NoAnswer => true,
            Self::Refused(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }
}

impl FromStr for Endpoint {
    type Err = NotAnEndpoint;

    fn from_str(text: &str) -> Result<Self, NotAnEndpoint> {
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| NotAnEndpoint)?;
        let is_plain_http = uri.scheme_str() == Some("http");
        if is_plain_http && uri.host().is_some() && uri.query().is_none() {
            Ok(Self(uri))
        } else {
            Err(NotAnEndpoint)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.to_string().trim_end_matches('/'))
    }
}

impl Endpoint {
    fn address(&self) -> (&str, u16) {
        let host = self.0.host().unwrap_or_default();
        // An IPv6 address stands in brackets there, and in none here.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (host, self.0.port_u16().unwrap_or(HTTP_PORT))
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let path = format!("{}{PATH}", self.0.path().trim_end_matches('/'));
        let authority = self.0.authority().map_or("", hyper::http::uri::Authority::as_str);
        Request::post(path)
            .header(HOST, authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .expect("path and authority are those of a URI")
    }
}

/// Hands spans to the collector, on a connection of their own.
pub(super) async fn post(endpoint: &Endpoint, body: Bytes) -> Result<(), PostError> {
    match exchange(endpoint.address(), endpoint.request(body)).await? {
        (status, _) if status.is_success() => Ok(()),
        (status, _) => Err(PostError::Refused(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_http_with_a_host() {
        for (text, address, shown) in [
            ("http://127.0.0.1:4318", ("127.0.0.1", 4318), "http://127.0.0.1:4318"),
            ("http://collector/", ("collector", 80), "http://collector"),
            ("http://[::1]:4318/otlp/", ("::1", 4318), "http://[::1]:4318/otlp"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.address(), endpoint.to_string()), (address, shown.to_owned()));
        }
        for text in ["", "127.0.0.1:4318", "https://collector:4318", "http://", "http://a?b=c"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn spans_go_to_the_path_that_otlp_names() {
        for (endpoint, path) in
            [("http://a:1", "/v1/traces"), ("http://a:1/otlp/", "/otlp/v1/traces")]
        {
            let request = endpoint.parse::<Endpoint>().unwrap().request(Bytes::new());
            assert_eq!(request.uri().path(), path);
            assert_eq!(request.headers()[HOST], "a:1");
        }
    }
}
