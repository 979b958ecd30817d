//! SaslAuthenticate (key 36), versions 0 to 2: a message of the log-in. A log-in does not run out, so there is none again.
//!
//! A client that is not who it says is told so after a pause, and its connection ends.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse};

use super::{Api, Call, text};
use crate::login::Step;

/// How long a refusal waits (`connection.failed.authentication.delay.ms`), so that passwords can't be tried out fast.
const REFUSAL_DELAY: Duration = Duration::from_millis(100);

pub(super) fn api() -> Api {
    Api::new(ApiKey::SaslAuthenticate, 0..=2, handle)
}

async fn handle(call: Call, request: SaslAuthenticateRequest) -> Option<SaslAuthenticateResponse> {
    let response = SaslAuthenticateResponse::default();
    let step = match &call.node.config.users {
        Some(users) => call.session.go_on(users, &request.auth_bytes),
        None => Step::Untimely,
    };
    let (error, message) = match step {
        Step::Answer(bytes) => return Some(response.with_auth_bytes(Bytes::from(bytes))),
        Step::Untimely => (
            ResponseError::IllegalSaslState,
            "SaslAuthenticate request received in a state in which it is not expected",
        ),
        Step::Failed(reason) => {
            tracing::warn!(peer = %call.peer, %reason, "a client could not log in");
            tokio::time::sleep(REFUSAL_DELAY).await;
            (
                ResponseError::SaslAuthenticationFailed,
                "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM",
            )
        }
    };
    Some(response.with_error_code(error.code()).with_error_message(text(message)))
}
