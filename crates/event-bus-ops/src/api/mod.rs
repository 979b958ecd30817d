//! The API of an ops process, for the command line and for programs: `/api/v1`, JSON, a bearer token.
//!
//! Nothing is decided here: who asks is found out by the token, and what is asked for is the library's.

mod error;
mod letters;
mod query;
mod repairs;
mod replays;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::routing::{get, post};
use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::{Filter, Found};
use event_bus::publisher::Publisher;
use event_bus::store::ops::{ApiToken, OpsStore, Role};
use event_bus::{Catalogue, KafkaConfig};

use crate::condition::{Condition, ConditionError};
use crate::http;

pub use error::ApiError;
pub use letters::{AskForEdit, Decided, Decision, Edited, Lineage, Page};
pub use query::pairs;
pub use repairs::{AskForRepair, Repaired, Sample};
pub use replays::{AskForReplay, AskedFor, Preview};

/// So many dead letters are decided about at once, or judged by what their events say.
const MOST: u32 = 100_000;
/// A request's body may have so many bytes: an edited event of the largest size, however it is escaped.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// What the API stands on.
#[derive(Clone)]
pub struct Api {
    store: Arc<OpsStore>,
    catalogue: Arc<Catalogue>,
    kafka: KafkaConfig,
    publisher: Arc<Publisher>,
}

impl Api {
    /// On this store, for the dead letters of this catalogue.
    #[must_use]
    pub fn new(
        store: Arc<OpsStore>,
        catalogue: Arc<Catalogue>,
        kafka: KafkaConfig,
        publisher: Arc<Publisher>,
    ) -> Self {
        Self { store, catalogue, kafka, publisher }
    }

    /// Its routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(http::livez))
            .route("/api/v1/dead-letters", get(letters::list))
            .route("/api/v1/dead-letters/{id}", get(letters::show))
            .route("/api/v1/dead-letters/{id}/edit", post(letters::edit))
            .route("/api/v1/dead-letters/discard", post(letters::discard))
            .route("/api/v1/dead-letters/restore", post(letters::restore))
            .route("/api/v1/failures", get(letters::failures))
            .route("/api/v1/dead-letters/repair", post(repairs::repair))
            .route("/api/v1/replays", get(replays::list).post(replays::ask))
            .route("/api/v1/replays/preview", get(replays::preview))
            .route("/api/v1/replays/{id}", get(replays::show))
            .route("/api/v1/replays/{id}/cancel", post(replays::cancel))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self)
    }
}

impl Api {
    /// A filter without a condition: in its place stand the dead letters of whose events it is true.
    async fn judged(&self, mut filter: Filter) -> Result<Filter, ApiError> {
        let unclear = |error: ConditionError| match error {
            ConditionError::Read(_) => ApiError::Failed(error_chain(&error)),
            _ => ApiError::Unclear(error_chain(&error)),
        };
        let Some(condition) = Condition::of(&mut filter).map_err(unclear)? else {
            return Ok(filter);
        };
        let shown = self.store.letters(&filter, None, MOST).await?;
        if shown.next.is_some() {
            return Err(ApiError::Unclear(format!(
                "a condition is judged of at most {MOST} dead letters: narrow them by a topic, a time or the like"
            )));
        }
        let letters: Vec<&Found> = shown.letters.iter().collect();
        filter.ids = condition.ids(&self.kafka, &letters).await.map_err(unclear)?;
        Ok(filter)
    }
}

/// Somebody who may see.
pub(crate) struct Viewer;

/// Somebody who may act.
pub(crate) struct Operator(pub(crate) ApiToken);

async fn holder(parts: &Parts, api: &Api, role: Role) -> Result<ApiToken, ApiError> {
    let token = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or(ApiError::NoToken)?;
    let token = api.store.token(token.trim()).await?.ok_or(ApiError::UnknownToken)?;
    if token.role < role {
        return Err(ApiError::NotAllowed { name: token.name, role: token.role, needed: role });
    }
    Ok(token)
}

impl FromRequestParts<Api> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        holder(parts, api, Role::Viewer).await.map(|_| Self)
    }
}

impl FromRequestParts<Api> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        holder(parts, api, Role::Operator).await.map(Self)
    }
}
