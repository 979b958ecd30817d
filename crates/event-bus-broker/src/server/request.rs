//! A request's header: which API in which version it asks for.

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Decodable, StrBytes};

use super::frame::{Frame, Share};
use crate::api::{self, Api};

/// Why bytes are no request that this broker serves. The connection is closed then, as Kafka does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("{0} bytes are too short for a request")]
    Short(usize),
    #[error("API {0} is not served")]
    UnknownApi(i16),
    #[error("version {version} of {key:?} is not served")]
    UnknownVersion { key: ApiKey, version: i16 },
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
    /// `ApiVersions` in a version that is not known: answered in version 0, see KIP-511.
    pub unknown_version: bool,
}

impl Request {
    /// # Errors
    /// When the bytes don't begin with a header, or ask for what is not served.
    pub fn parse(frame: Frame) -> Result<Self, RequestError> {
        let Frame { mut bytes, share } = frame;
        let Some(mut start) = bytes.get(..8) else {
            return Err(RequestError::Short(bytes.len()));
        };
        let (key, version, correlation_id) = (start.get_i16(), start.get_i16(), start.get_i32());
        let api = api::registry().get(&key).ok_or(RequestError::UnknownApi(key))?;
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
                unknown_version,
            });
        }
        let header = RequestHeader::decode(&mut bytes, api.key.request_header_version(version))
            .map_err(|source| RequestError::Header { key: api.key, source })?;
        Ok(Self {
            api,
            version,
            correlation_id,
            client_id: header.client_id,
            body: bytes,
            share,
            unknown_version: false,
        })
    }
}
