//! What a request is answered that can't be done.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use event_bus::dead_letter::error_chain;
use event_bus::store::StoreError;
use event_bus::store::ops::Role;
use serde_json::json;
use uuid::Uuid;

/// Why a request was not done, in words for who made it.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It carries no token.
    #[error("no token: send `Authorization: Bearer TOKEN`; `event-bus ops token make` makes one")]
    NoToken,
    /// Nobody has this token.
    #[error("the token is not known: it may be revoked, or another ops store's")]
    UnknownToken,
    /// Its role is too small.
    #[error("{name} is {role}, and this takes {needed}")]
    NotAllowed {
        /// Whose token it is.
        name: String,
        /// The token's role.
        role: Role,
        /// The role that it takes.
        needed: Role,
    },
    /// What is asked for can't be meant.
    #[error("{0}")]
    Unclear(String),
    /// No dead letter has this id.
    #[error("no dead letter has the id {0}; one that died just now may not be in the index yet")]
    NoLetter(Uuid),
    /// No replay has this id.
    #[error("no replay has the id {0}")]
    NoReplay(Uuid),
    /// Kafka or the ops store did not do its part.
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Failed(format!("the ops store did not answer: {}", error_chain(&error)))
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::Unclear(rejection.body_text())
    }
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::UnknownToken => StatusCode::UNAUTHORIZED,
            Self::NotAllowed { .. } => StatusCode::FORBIDDEN,
            Self::Unclear(_) => StatusCode::BAD_REQUEST,
            Self::NoLetter(_) | Self::NoReplay(_) => StatusCode::NOT_FOUND,
            Self::Failed(_) => StatusCode::BAD_GATEWAY,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Failed(why) = &self {
            tracing::warn!(why, "a request of the API failed");
        }
        (self.status(), Json(json!({ "error": self.to_string() }))).into_response()
    }
}
