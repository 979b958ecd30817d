//! ApiVersions (key 18), versions 0 to 4: which APIs this broker serves in which versions, derived from what is
//! registered.
//!
//! A version that the broker does not know is answered in version 0 with `UNSUPPORTED_VERSION` and the list, as
//! KIP-511 asks; the server does that, for the request's body can't be read. No features are offered: clients
//! then use the first version of the transaction protocol.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::{Api, Call};

pub(super) fn api() -> Api {
    Api::new(ApiKey::ApiVersions, 0..=4, handle)
}

async fn handle(call: Call, request: ApiVersionsRequest) -> Option<ApiVersionsResponse> {
    let names = [&request.client_software_name, &request.client_software_version];
    if call.version >= 3 && !names.into_iter().all(|name| is_software_name(name)) {
        return Some(
            ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code()),
        );
    }
    Some(served())
}

/// What is served.
pub(crate) fn served() -> ApiVersionsResponse {
    let keys = super::registry().values().map(|api| {
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(*api.versions.start())
            .with_max_version(*api.versions.end())
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect())
}

/// Letters, digits, dots and hyphens, the first and last a letter or digit.
fn is_software_name(name: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    is_edge(name.chars().next())
        && is_edge(name.chars().next_back())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}
