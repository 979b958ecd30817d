//! ApiVersions (key 18), versions 0 to 4: which APIs this broker serves in which versions, derived from what is
//! registered.
//!
//! A version that the broker does not know is answered in version 0 with `UNSUPPORTED_VERSION` and the list, as
//! KIP-511 asks; the server does that, for the request's body can't be read.

use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::{Api, Call};

pub(super) fn api() -> Api {
    Api::new(ApiKey::ApiVersions, 0..=4, handle)
}

async fn handle(_call: Call, _request: ApiVersionsRequest) -> Option<ApiVersionsResponse> {
    None
}
