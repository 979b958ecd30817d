//! Events as they come, and the latest ones.

use axum::extract::{Query as RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use futures_util::FutureExt as _;
use serde_json::json;

use super::{ApiError, bearer};
use crate::access::policy::Actor;
use crate::desk::{Desk, DeskError, Glimpse, Wanted};
use crate::serving::Stopping;
use crate::stream::stream;

pub(super) async fn latest(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Result<Json<Vec<Glimpse>>, ApiError> {
    Ok(Json(desk.latest(&actor, &Wanted::of(pairs)?).await?))
}

pub(super) async fn live(
    State(desk): State<Desk>,
    Extension(actor): Extension<Actor>,
    Extension(Stopping(stop)): Extension<Stopping>,
    headers: HeaderMap,
    RawQuery(pairs): RawQuery<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let looking = desk.look(&actor, Wanted::of(pairs)?)?;
    let token = bearer(&headers).ok_or(ApiError::NoToken)?.to_owned();
    let still_may = move || {
        let (store, token) = (desk.store.clone(), token.clone());
        async move { matches!(store.token(&token).await, Ok(Some(_))) }.boxed()
    };
    Ok(stream(looking, Box::new(still_may), |glimpse| json!(glimpse), stop))
}

impl Wanted {
    /// What a query asks for.
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Result<Self, DeskError> {
        let mut wanted = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "event" => wanted.event = Some(value),
                "tenant" => wanted.tenant = Some(value),
                "key" => wanted.key = Some(value),
                _ => {
                    return Err(DeskError::Unclear(format!("{name}={value}: no such condition")));
                }
            }
        }
        Ok(wanted)
    }

    /// The query that asks for it.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, &str)> {
        let named = [("event", &self.event), ("tenant", &self.tenant), ("key", &self.key)];
        named.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }
}
