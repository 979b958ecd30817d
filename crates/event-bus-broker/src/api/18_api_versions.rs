//! ApiVersions (key 18), versions 0 to 4: which APIs this broker serves in which versions, derived from what is
//! registered.
//!
//! A version that the broker does not know is answered in version 0 with `UNSUPPORTED_VERSION` and the list, as
//! KIP-511 asks; the server does that, for the request's body can't be read. The only feature that is offered is the
//! second version of the transaction protocol (KIP-890), as a new Kafka cluster does.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call};

/// The feature by which clients choose how they speak of transactions.
const TRANSACTION_VERSION: &str = "transaction.version";
/// The version of the feature in which a producer's epoch changes with each transaction.
const EPOCH_PER_TRANSACTION: i16 = 2;

/// Older librdkafka, as Debian has it, compresses nothing for a broker that does not announce the oldest versions of Produce, which
/// it never uses (KAFKA-18659). They are refused like any that is not served.
const PRODUCE_ANNOUNCED_FROM: i16 = 0;
/// And it logs in to no broker that does not announce the oldest version of SaslHandshake, to ask in version 1 then.
const SASL_HANDSHAKE_ANNOUNCED_FROM: i16 = 0;

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
        let announced_from = match api.key {
            ApiKey::Produce => PRODUCE_ANNOUNCED_FROM,
            ApiKey::SaslHandshake => SASL_HANDSHAKE_ANNOUNCED_FROM,
            _ => *api.versions.start(),
        };
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(announced_from)
            .with_max_version(*api.versions.end())
    });
    let name = StrBytes::from_static_str(TRANSACTION_VERSION);
    let supported = SupportedFeatureKey::default()
        .with_name(name.clone())
        .with_min_version(0)
        .with_max_version(EPOCH_PER_TRANSACTION);
    let finalized = FinalizedFeatureKey::default()
        .with_name(name)
        .with_min_version_level(EPOCH_PER_TRANSACTION)
        .with_max_version_level(EPOCH_PER_TRANSACTION);
    ApiVersionsResponse::default()
        .with_api_keys(keys.collect())
        .with_supported_features(vec![supported])
        .with_finalized_features_epoch(0)
        .with_finalized_features(vec![finalized])
}

/// Letters, digits, dots and hyphens, the first and last a letter or digit.
fn is_software_name(name: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    is_edge(name.chars().next())
        && is_edge(name.chars().next_back())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}
