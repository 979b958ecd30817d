//! A request's header: which API in which version it asks for.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Decodable, StrBytes};

use super::Body;
use super::frame::{Frame, Share};
use crate::api::{self, Api, Call, CallError};
use crate::faults::{self, Fate, Faults, Verdict};
use crate::login::Session;
use crate::node::Node;

/// Why bytes are no request that this broker serves. The connection is closed then, as Kafka does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("{0} bytes are too short for a request")]
    Short(usize),
    #[error("API {0} is not served")]
    UnknownApi(i16),
    #[error("version {version} of {key:?} is not served")]
    UnknownVersion { key: ApiKey, version: i16 },
    #[error("a {0:?} request came before the log-in")]
    BeforeLogin(ApiKey),
    #[error("a request of {0} bytes came before the log-in")]
    LongBeforeLogin(usize),
    #[error("the header of a {key:?} request is malformed: {source}")]
    Header { key: ApiKey, source: anyhow::Error },
}

/// A request whose body is still to be decoded.
pub(crate) struct Request {
    pub api: &'static Api,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
    pub body: Bytes,
    /// What it holds of the bytes that all requests may hold.
    pub share: Option<Share>,
    /// What a script of faults makes of it. Counted when it is read.
    pub verdict: Verdict,
    /// `ApiVersions` in a version that is not known: answered in version 0, see KIP-511.
    pub unknown_version: bool,
}

impl Request {
    /// # Errors
    /// When the bytes don't begin with a header, or ask for what is not served.
    pub fn parse(frame: Frame, faults: &Faults) -> Result<Self, RequestError> {
        let Frame { mut bytes, share } = frame;
        let Some(mut start) = bytes.get(..8) else {
            return Err(RequestError::Short(bytes.len()));
        };
        let (key, version, correlation_id) = (start.get_i16(), start.get_i16(), start.get_i32());
        let api = api::registry().get(&key).ok_or(RequestError::UnknownApi(key))?;
        let verdict = faults.on_request(api.key);
        if !api.versions.contains(&version) {
            if api.key != ApiKey::ApiVersions {
                return Err(RequestError::UnknownVersion { key: api.key, version });
            }
            // The header of a version that is not known can't be read beyond its fixed start.
            let (client_id, body) = (None, Bytes::new());
            let unknown_version = true;
            return Ok(Self {
                api,
                version: 0,
                correlation_id,
                client_id,
                body,
                share,
                verdict,
                unknown_version,
            });
        }
        let header = RequestHeader::decode(&mut bytes, api.key.request_header_version(version))
            .map_err(|source| RequestError::Header { key: api.key, source })?;
        Ok(Self {
            api,
            version,
            correlation_id,
            // A slice would hold the whole request as long as the name is kept.
            client_id: header.client_id.map(|id| StrBytes::from_string(id.to_string())),
            body: bytes,
            share,
            verdict,
            unknown_version: false,
        })
    }

    /// Whether it may be worked on while others of its kind are, on the same connection.
    pub fn overlaps(&self, faults: &Faults) -> bool {
        // What waits before it begins would be overtaken.
        let waits_first = !self.verdict.delay.is_zero()
            || (self.api.key == ApiKey::Produce && faults.slows_produce());
        self.api.overlaps && !waits_first
    }

    /// Works on it.
    ///
    /// # Errors
    /// When it gets no answer and its connection has to be closed.
    pub async fn work(
        self,
        node: Arc<Node>,
        (peer, session): (SocketAddr, Arc<Session>),
    ) -> Result<Option<Body>, WorkError> {
        if !self.verdict.delay.is_zero() {
            tokio::time::sleep(self.verdict.delay).await;
        }
        let api = self.api;
        match self.verdict.fate {
            Fate::DropBefore => return Err(WorkError::Scripted(api.key)),
            Fate::Refuse(error) => {
                let refused = faults::refuse(api.key, &self.body, self.version, error)?;
                return Ok(refused.map(Body::from));
            }
            Fate::Serve | Fate::DropAfter => {}
        }
        if self.unknown_version {
            return Ok(Some(api::unsupported_version().into()));
        }
        let Self { version, client_id, body, share, .. } = self;
        let principal = session.principal();
        let call = Call { node, version, client_id, peer, session, principal };
        let answer = api.answer(call, body).await;
        drop(share);
        match self.verdict.fate {
            Fate::DropAfter => Err(WorkError::Scripted(api.key)),
            _ => Ok(answer?),
        }
    }
}

/// Why a request gets no answer and its connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the script of faults drops the connection of a {0:?} request")]
    Scripted(ApiKey),
}

impl WorkError {
    /// Whether it is the broker's fault, and not in the script.
    pub fn is_defect(&self) -> bool {
        matches!(self, Self::Call(CallError::Unanswerable { .. }))
    }
}
