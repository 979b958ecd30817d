//! The APIs that the broker serves, one file each, numbered by its API key. What is not served stands under the
//! same numbers in `SKIPPED.md`.

#[path = "18_api_versions.rs"]
mod api_versions;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Encodable, Request, StrBytes};

use crate::node::Node;

/// Who asks, and in which version of the API.
#[derive(Clone)]
pub(crate) struct Call {
    /// What the request works on.
    pub node: Arc<Node>,
    /// The version that request and response are written in.
    pub version: i16,
    /// The name that the client gives itself.
    pub client_id: Option<StrBytes>,
    /// Where the request came from.
    pub peer: SocketAddr,
}

/// Why a request got no answer and its connection has to be closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The bytes are not a request of this API and version.
    #[error("not a valid {api:?} request of version {version}: {source}")]
    Malformed { api: ApiKey, version: i16, source: anyhow::Error },
    /// The response can't be written in the version that was asked for: a defect of the broker.
    #[error("the response to {api:?} of version {version} can't be encoded: {source}")]
    Unanswerable { api: ApiKey, version: i16, source: anyhow::Error },
}

type Answering = Pin<Box<dyn Future<Output = Result<Option<BytesMut>, CallError>> + Send>>;
type Handle = Box<dyn Fn(Call, Bytes) -> Answering + Send + Sync>;

/// One API: the versions that are served, and how.
pub(crate) struct Api {
    pub key: ApiKey,
    pub versions: RangeInclusive<i16>,
    handle: Handle,
}

impl Api {
    /// Serves the requests of type `R` in `versions` by `handler`, which answers `None` where the protocol has no
    /// answer (produce without acknowledgement).
    pub fn new<R, H, F>(key: ApiKey, versions: RangeInclusive<i16>, handler: H) -> Self
    where
        R: Request + Send + 'static,
        R::Response: Send,
        H: Fn(Call, R) -> F + Send + Sync + Clone + 'static,
        F: Future<Output = Option<R::Response>> + Send + 'static,
    {
        debug_assert_eq!(key as i16, R::KEY, "{key:?} is registered with another API's request");
        let handle =
            move |call: Call, mut body: Bytes| -> Answering {
                let handler = handler.clone();
                Box::pin(async move {
                    let version = call.version;
                    let request = R::decode(&mut body, version)
                        .map_err(|source| CallError::Malformed { api: key, version, source })?;
                    let Some(response) = handler(call, request).await else { return Ok(None) };
                    let mut bytes = BytesMut::new();
                    response
                        .encode(&mut bytes, version)
                        .map_err(|source| CallError::Unanswerable { api: key, version, source })?;
                    Ok(Some(bytes))
                })
            };
        Self { key, versions, handle: Box::new(handle) }
    }

    /// Decodes the request's body, handles it and encodes the response's body.
    ///
    /// # Errors
    /// When the bytes are no request; its connection can't be used any more then.
    pub async fn answer(&self, call: Call, body: Bytes) -> Result<Option<BytesMut>, CallError> {
        (self.handle)(call, body).await
    }

    /// The version of the response's header.
    pub fn response_header_version(&self, version: i16) -> i16 {
        self.key.response_header_version(version)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("key", &self.key).field("versions", &self.versions).finish()
    }
}

/// All APIs that are served, by key. What `ApiVersions` tells clients is derived from this.
pub(crate) fn all() -> BTreeMap<i16, Api> {
    let apis = [api_versions::api()];
    apis.into_iter().map(|api| (api.key as i16, api)).collect()
}
