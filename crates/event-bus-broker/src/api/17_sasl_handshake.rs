//! SaslHandshake (key 17), version 1: which mechanism a client logs in by. Its messages follow as SaslAuthenticate.
//!
//! Version 0, after which they would follow without a header, is not served.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, SaslHandshakeRequest, SaslHandshakeResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Call};
use crate::login::Mechanism;

pub(super) fn api() -> Api {
    Api::new(ApiKey::SaslHandshake, 1..=1, handle)
}

async fn handle(call: Call, request: SaslHandshakeRequest) -> Option<SaslHandshakeResponse> {
    let names = Mechanism::ALL.map(|mechanism| StrBytes::from_static_str(mechanism.name()));
    let response = SaslHandshakeResponse::default();
    if call.node.config.users.is_none() {
        return Some(response.with_error_code(ResponseError::IllegalSaslState.code()));
    }
    let response = response.with_mechanisms(names.to_vec());
    let Some(mechanism) = Mechanism::named(&request.mechanism) else {
        call.session.fail();
        return Some(response.with_error_code(ResponseError::UnsupportedSaslMechanism.code()));
    };
    let is_time = call.session.choose(mechanism);
    let error = if is_time { 0 } else { ResponseError::IllegalSaslState.code() };
    Some(response.with_error_code(error))
}
