//! What a request is answered that can't be done.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use event_bus::store::StoreError;
use serde_json::json;

use crate::access::body::Unread;
use crate::access::policy::Denied;
use crate::desk::DeskError;

/// Why a request was not done, in words for who made it.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It carries no token.
    #[error("no token: send `Authorization: Bearer TOKEN`; `event-bus ops token make` makes one")]
    NoToken,
    /// Nobody has this token.
    #[error("the token is not known: it may be revoked, or another ops store's")]
    UnknownToken,
    /// Its body was not read.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// It was not done.
    #[error(transparent)]
    Desk(#[from] DeskError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Desk(error.into())
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        Self::Desk(denied.into())
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::Desk(DeskError::Unclear(rejection.body_text()))
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::Desk(DeskError::Unclear(rejection.body_text()))
    }
}

impl DeskError {
    /// The status of HTTP that says so.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotAllowed(
                Denied::Role { .. } | Denied::OthersToo { .. } | Denied::OwnRequest { .. },
            ) => StatusCode::FORBIDDEN,
            Self::Unclear(_) => StatusCode::BAD_REQUEST,
            Self::NotAllowed(Denied::OutOfScope)
            | Self::NoLetter(_)
            | Self::NoReplay(_)
            | Self::NoFailure(_)
            | Self::NoNote(_)
            | Self::NoGroup(_)
            | Self::NoService(_)
            | Self::NoEvent(_)
            | Self::NoUser(_)
            | Self::NoRequest(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed(_) => StatusCode::BAD_GATEWAY,
        }
    }
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::UnknownToken => StatusCode::UNAUTHORIZED,
            Self::Unread(unread) => unread.status(),
            Self::Desk(error) => error.status(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Desk(DeskError::Failed(why)) = &self {
            tracing::warn!(why, "a request of the API failed");
        }
        let told = Json(json!({ "error": self.to_string() }));
        let mut response = (self.status(), told).into_response();
        if let Self::Desk(DeskError::Busy { seconds }) = self {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
