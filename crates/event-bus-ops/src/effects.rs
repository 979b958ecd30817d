//! Asks a service how many effects an event has had.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use event_bus::names::EventId;
use http_body_util::Full;
use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{Request, StatusCode, Uri};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::exchange::{ExchangeError, exchange_on};

const HTTP_PORT: u16 = 80;
const ANSWER: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where a service answers that: `GET {url}?event_id={id}` with `{"effects": n}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectsUrl(Uri);

/// A text that is no such address.
#[derive(Debug, thiserror::Error)]
#[error("want http://HOST:PORT/PATH without a query; TLS is left to a proxy")]
pub struct NotAnEffectsUrl;

impl FromStr for EffectsUrl {
    type Err = NotAnEffectsUrl;

    fn from_str(text: &str) -> Result<Self, NotAnEffectsUrl> {
        let uri: Uri = text.parse().map_err(|_| NotAnEffectsUrl)?;
        let is_plain = uri.scheme_str() == Some("http") && uri.query().is_none();
        if is_plain && uri.host().is_some() { Ok(Self(uri)) } else { Err(NotAnEffectsUrl) }
    }
}

/// Why it was not told.
#[derive(Debug, thiserror::Error)]
pub enum EffectsError {
    /// There was no answer.
    #[error("{url} did not answer")]
    Exchange {
        /// Where.
        url: Uri,
        /// What happened.
        #[source]
        source: ExchangeError,
    },
    /// Not in time.
    #[error("{url} did not answer within {ANSWER:?}")]
    NoAnswer {
        /// Where.
        url: Uri,
    },
    /// It was refused.
    #[error("{url} answered {status} instead of 200")]
    Refused {
        /// Where.
        url: Uri,
        /// The status.
        status: StatusCode,
    },
    /// The answer is another.
    #[error("{url} did not answer {{\"effects\": n}}")]
    Unreadable {
        /// Where.
        url: Uri,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Answer {
    effects: u64,
}

/// How many effects an event has had, by the service's own word.
///
/// # Errors
/// When it does not say.
pub async fn effects(of: &EffectsUrl, id: EventId) -> Result<u64, EffectsError> {
    let uri = &of.0;
    let url = || uri.clone();
    // An IPv6 address stands in brackets there, and in none here.
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let request = Request::builder()
        .uri(format!("{}?event_id={id}", uri.path()))
        .header(HOST, uri.authority().map_or("", Authority::as_str))
        .body(Full::new(Bytes::new()))
        .expect("parts of an address make a request");
    let address = (host, uri.port_u16().unwrap_or(HTTP_PORT));
    let exchanged =
        async { exchange_on(TcpStream::connect(address).await?, request, ANSWER_BYTES_MAX).await };
    let answer = timeout(ANSWER, exchanged).await;
    let answer = answer.map_err(|_| EffectsError::NoAnswer { url: url() })?;
    let (status, body) = answer.map_err(|source| EffectsError::Exchange { url: url(), source })?;
    if status != StatusCode::OK {
        return Err(EffectsError::Refused { url: url(), status });
    }
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|source| EffectsError::Unreadable { url: url(), source })?;
    Ok(answer.effects)
}
