//! The names of APIs and errors in scripts.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;

use crate::api;

/// The largest error code that is looked at; Kafka has some 130.
const LAST_ERROR_CODE: i16 = 300;

/// The API of that name, if it is served.
pub(super) fn api(name: &str) -> Option<ApiKey> {
    api::registry().values().map(|api| api.key).find(|key| format!("{key:?}") == name)
}

/// The error of that name, such as `NOT_LEADER_OR_FOLLOWER`.
pub(super) fn error(name: &str) -> Option<ResponseError> {
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let wanted = plain(name);
    let known = |error: &ResponseError| !matches!(error, ResponseError::Unknown(_));
    (-1..=LAST_ERROR_CODE)
        .filter_map(ResponseError::try_from_code)
        .filter(known)
        .find(|error| plain(&format!("{error:?}")) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        assert_eq!(api("OffsetCommit"), Some(ApiKey::OffsetCommit));
        assert_eq!(api("offset"), None);
        assert_eq!(api("Envelope"), None);
        assert_eq!(error("NOT_LEADER_OR_FOLLOWER"), Some(ResponseError::NotLeaderOrFollower));
        assert_eq!(error("UNKNOWN_SERVER_ERROR"), Some(ResponseError::UnknownServerError));
        assert_eq!(error("NO_SUCH_ERROR"), None);
    }
}
