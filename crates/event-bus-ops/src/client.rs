//! A client of the API, for the command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use event_bus::dead_letters::{Failure, Filter};
use event_bus::store::ops::{ReplayRow, RequestRow};
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use uuid::Uuid;

use crate::api::{
    AskForEdit, AskForRepair, AskForReplay, AskForValues, AskToReveal, AskedFor, Contents, Decided,
    Decision, Edited, Known, Page, Preview, Repaired, Verdict, pairs,
};
use crate::exchange::{ExchangeError, exchange};

const HTTP_PORT: u16 = 80;
/// How long an answer may take: a replay of a million dead letters is frozen within one request.
const ANSWER: Duration = Duration::from_secs(120);

/// Where an ops process answers, such as `http://127.0.0.1:9100`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpsUrl(Uri);

/// A text that is no such address.
#[derive(Debug, thiserror::Error)]
#[error("want http://HOST:PORT of `event-bus ops serve`; TLS is left to a proxy")]
pub struct NotAnOpsUrl;

impl FromStr for OpsUrl {
    type Err = NotAnOpsUrl;

    fn from_str(text: &str) -> Result<Self, NotAnOpsUrl> {
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| NotAnOpsUrl)?;
        let is_plain = uri.scheme_str() == Some("http") && uri.query().is_none();
        if is_plain && uri.host().is_some() { Ok(Self(uri)) } else { Err(NotAnOpsUrl) }
    }
}

impl fmt::Display for OpsUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.to_string().trim_end_matches('/'))
    }
}

/// A request that was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It was not answered.
    #[error("the ops process at {url} did not answer: check that `event-bus ops serve` runs there")]
    Exchange {
        /// Where.
        url: String,
        /// What happened.
        #[source]
        source: ExchangeError,
    },
    /// Not in time.
    #[error("the ops process at {url} did not answer within {ANSWER:?}")]
    NoAnswer {
        /// Where.
        url: String,
    },
    /// It was refused.
    #[error("the ops process answered {status}: {why}")]
    Refused {
        /// The status.
        status: u16,
        /// Its words.
        why: String,
    },
    /// The answer can't be read.
    #[error(
        "the answer can't be read: {0}; this program and the ops process are of different versions"
    )]
    Unreadable(#[from] serde_json::Error),
    /// The token can't stand in a header.
    #[error("the token has characters that no token has")]
    Token,
}

/// Asks an ops process.
#[derive(Clone)]
pub struct Client {
    url: OpsUrl,
    token: String,
}

impl Client {
    /// Of the process there, with this token.
    #[must_use]
    pub fn new(url: OpsUrl, token: impl Into<String>) -> Self {
        Self { url, token: token.into() }
    }

    /// A page of dead letters.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn letters(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, ClientError> {
        let mut query = pairs(filter);
        query.push(("limit", limit.to_string()));
        query.extend(after.map(|after| ("after", after.to_owned())));
        self.get(&format!("/dead-letters?{}", encoded(&query))).await
    }

    /// All that is known of a dead letter: with what is personal where a reason is given.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn known(&self, id: Uuid, reason: Option<String>) -> Result<Known, ClientError> {
        match reason {
            None => self.get(&format!("/dead-letters/{id}/known")).await,
            Some(reason) => {
                self.post(&format!("/dead-letters/{id}/reveal"), &AskToReveal { reason }).await
            }
        }
    }

    /// A page of dead letters with their values: with what is personal where a reason is given.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn values(
        &self,
        filter: &Filter,
        after: Option<String>,
        reason: Option<String>,
    ) -> Result<Contents, ClientError> {
        let Some(reason) = reason else {
            let mut query = pairs(filter);
            query.extend(after.map(|after| ("after", after)));
            return self.get(&format!("/dead-letters/values?{}", encoded(&query))).await;
        };
        let asked = AskForValues { filter: filter.clone(), reason, after };
        self.post("/dead-letters/values", &asked).await
    }

    /// Failures.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn failures(&self, filter: &Filter) -> Result<Vec<Failure>, ClientError> {
        self.get(&format!("/failures?{}", encoded(&pairs(filter)))).await
    }

    /// Sends a dead letter back with another value.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn edit(&self, id: Uuid, edit: &AskForEdit) -> Result<Edited, ClientError> {
        self.post(&format!("/dead-letters/{id}/edit"), edit).await
    }

    /// Sends dead letters back with other values.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn repair(&self, repair: &AskForRepair) -> Result<Repaired, ClientError> {
        self.post("/dead-letters/repair", repair).await
    }

    /// Decides that nothing is to be done.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn discard(&self, decision: &Decision) -> Result<Decided, ClientError> {
        self.post("/dead-letters/discard", decision).await
    }

    /// Opens dead letters again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn restore(&self, decision: &Decision) -> Result<Decided, ClientError> {
        self.post("/dead-letters/restore", decision).await
    }

    /// What a replay would do.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn preview(&self, filter: &Filter) -> Result<Preview, ClientError> {
        self.get(&format!("/replays/preview?{}", encoded(&pairs(filter)))).await
    }

    /// Asks for a replay.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn ask_for_replay(&self, asked: &AskForReplay) -> Result<AskedFor, ClientError> {
        self.post("/replays", asked).await
    }

    /// The latest replays.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn replays(&self) -> Result<Vec<ReplayRow>, ClientError> {
        self.get("/replays").await
    }

    /// A replay.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn replay(&self, id: Uuid) -> Result<ReplayRow, ClientError> {
        self.get(&format!("/replays/{id}")).await
    }

    /// Cancels a replay. What was sent stays sent.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn cancel(&self, id: Uuid) -> Result<ReplayRow, ClientError> {
        self.post(&format!("/replays/{id}/cancel"), &()).await
    }

    /// What waits for a second one, and what was decided about it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn requests(&self) -> Result<Vec<RequestRow>, ClientError> {
        self.get("/requests").await
    }

    /// Lets be done what another one asked for.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn approve(
        &self,
        id: Uuid,
        reason: Option<String>,
    ) -> Result<RequestRow, ClientError> {
        self.post(&format!("/requests/{id}/approve"), &Verdict { reason }).await
    }

    /// Does not let it be done.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn deny(&self, id: Uuid, reason: Option<String>) -> Result<RequestRow, ClientError> {
        self.post(&format!("/requests/{id}/deny"), &Verdict { reason }).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.ask(Method::POST, path, serde_json::to_vec(body)?.into()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let uri = &self.url.0;
        // An IPv6 address stands in brackets there, and in none here.
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", uri.path().trim_end_matches('/')))
            .header(HOST, uri.authority().map_or("", hyper::http::uri::Authority::as_str))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|_| ClientError::Token)?;
        let exchanged = exchange((host, uri.port_u16().unwrap_or(HTTP_PORT)), request);
        let url = || self.url.to_string();
        let answer = timeout(ANSWER, exchanged).await;
        let answer = answer.map_err(|_| ClientError::NoAnswer { url: url() })?;
        let (status, body) =
            answer.map_err(|source| ClientError::Exchange { url: url(), source })?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&body)?);
        }
        let told = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let why = told.as_ref().and_then(|told| told["error"].as_str()).map(str::to_owned);
        let why = why.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
        Err(ClientError::Refused { status: status.as_u16(), why })
    }
}

/// `application/x-www-form-urlencoded`, where all that is not plain is escaped.
fn encoded(pairs: &[(&str, String)]) -> String {
    let escaped = |value: &str| {
        value.bytes().fold(String::new(), |mut text, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
            text
        })
    };
    let parts: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    parts.join("&")
}
