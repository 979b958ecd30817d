//! What a provider says of itself and of its keys, asked again after a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use event_bus::dead_letter::error_chain;
use http_body_util::Full;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_native_tls::TlsConnector;
use tokio_native_tls::native_tls::{self, Protocol};

use super::keys::{self, Key};
use super::{Address, OidcError};
use crate::exchange::{ExchangeError, exchange_on};

/// Where a provider says it, after its address. OpenID Connect Discovery 1.0, section 4.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// What it said is believed for so long: a key that it took back is taken for no longer.
const BELIEVED: Duration = Duration::from_secs(60 * 60);
/// After it did not answer, those who wait meanwhile are told so, and it is asked again no sooner.
const PAUSE: Duration = Duration::from_secs(1);
/// An answer may take so long, from the connection on.
const ANSWER: Duration = Duration::from_secs(10);
/// An answer has at most so many bytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// What a provider says of itself, as far as it is needed.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Document {
    issuer: String,
    pub(super) authorization_endpoint: Address,
    pub(super) token_endpoint: Address,
    jwks_uri: Address,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether its answers to browsers say who answers, RFC 9207.
    #[serde(default, rename = "authorization_response_iss_parameter_supported")]
    pub(super) names_itself: bool,
}

impl Document {
    /// Whether a client's secret goes into a header. That is so where nothing else is said.
    pub(super) fn takes_basic(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_deref();
        methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }
}

/// What it said.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) document: Document,
    pub(super) keys: Vec<Key>,
    at: Instant,
}

/// What it said last, or when it did not and why.
type Last = Result<Arc<Known>, (Instant, OidcError)>;

/// Asks a provider.
#[derive(Debug)]
pub(super) struct Discovery {
    issuer: Address,
    tls: TlsConnector,
    /// Whoever finds nothing there asks, and the others wait for that.
    last: Mutex<Option<Last>>,
}

impl Discovery {
    pub(super) fn of(issuer: Address) -> Result<Self, OidcError> {
        let tls = native_tls::TlsConnector::builder()
            .min_protocol_version(Some(Protocol::Tlsv12))
            .build()
            .map_err(|error| OidcError::Machine(error.to_string()))?;
        Ok(Self { issuer, tls: tls.into(), last: Mutex::default() })
    }

    /// What the provider says.
    pub(super) async fn known(&self) -> Result<Arc<Known>, OidcError> {
        self.asked(|known| known.at.elapsed() < BELIEVED).await
    }

    /// What it says by now, which may be other keys.
    pub(super) async fn known_after(&self, old: &Arc<Known>) -> Result<Arc<Known>, OidcError> {
        self.asked(|known| !Arc::ptr_eq(known, old)).await
    }

    async fn asked(&self, is_good: impl Fn(&Arc<Known>) -> bool) -> Result<Arc<Known>, OidcError> {
        let mut last = self.last.lock().await;
        match &*last {
            Some(Ok(known)) if is_good(known) => return Ok(Arc::clone(known)),
            Some(Err((at, error))) if at.elapsed() < PAUSE => return Err(error.clone()),
            _ => {}
        }
        let asked = self.ask_all().await.map(Arc::new);
        *last = Some(asked.clone().map_err(|error| (Instant::now(), error)));
        asked
    }

    async fn ask_all(&self) -> Result<Known, OidcError> {
        let at = Instant::now();
        let unusable = |address: &Address, why: String| OidcError::Unusable {
            address: address.to_string(),
            why,
        };
        let address = self.issuer.with(WELL_KNOWN);
        let address = address.map_err(|error| unusable(&self.issuer, error.to_string()))?;
        let document: Document = self.json(&address).await?;
        // Or one provider could speak for another.
        if document.issuer != self.issuer.as_str() {
            let why = format!("it is of {:?}, not of {:?}", document.issuer, self.issuer.as_str());
            return Err(unusable(&address, why));
        }
        let set: Value = self.json(&document.jwks_uri).await?;
        let keys = keys::read(&set);
        if keys.is_empty() {
            let why = "none of its keys is one that is taken here".to_owned();
            return Err(unusable(&document.jwks_uri, why));
        }
        Ok(Known { document, keys, at })
    }

    async fn json<T: serde::de::DeserializeOwned>(&self, from: &Address) -> Result<T, OidcError> {
        let request = Request::get(from.path_and_query()).header(ACCEPT, "application/json");
        let request = request.body(Full::default()).expect("the path is an address'");
        let (status, body) = self.ask(from, request).await?;
        let unusable = |why| OidcError::Unusable { address: from.to_string(), why };
        if status != StatusCode::OK {
            return Err(unusable(format!("it answered {}", status.as_u16())));
        }
        serde_json::from_slice(&body).map_err(|error| unusable(error.to_string()))
    }

    /// Sends a request there, on a connection of its own. Nobody is followed elsewhere.
    pub(super) async fn ask(
        &self,
        address: &Address,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), OidcError> {
        let unreachable = |why| OidcError::Unreachable { address: address.to_string(), why };
        let host = address.authority().parse();
        let host = host.map_err(|_| unreachable("its name fits no header".to_owned()))?;
        request.headers_mut().insert(HOST, host);
        let answer = async {
            let stream = TcpStream::connect((address.host(), address.port())).await;
            let stream =
                stream.map_err(ExchangeError::Connect).map_err(|error| error_chain(&error))?;
            let answer = if address.is_tls() {
                let stream = self.tls.connect(address.host(), stream).await;
                let stream = stream.map_err(|error| error_chain(&error))?;
                exchange_on(stream, request, MAX_ANSWER_BYTES).await
            } else {
                exchange_on(stream, request, MAX_ANSWER_BYTES).await
            };
            answer.map_err(|error| error_chain(&error))
        };
        let answer = timeout(ANSWER, answer).await;
        answer.unwrap_or_else(|_| Err("no answer in time".to_owned())).map_err(unreachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_names_only_addresses_that_nobody_listens_in_on() {
        let document = |token: &str| {
            serde_json::from_value::<Document>(serde_json::json!({
                "issuer": "https://id.example.com",
                "authorization_endpoint": "https://id.example.com/authorize",
                "token_endpoint": token,
                "jwks_uri": "https://id.example.com/keys",
                "scopes_supported": ["openid"],
            }))
        };
        assert!(document("https://id.example.com/token").unwrap().takes_basic());
        assert!(document("http://id.example.com/token").is_err());
    }
}
