//! Signing in by a provider of identities, and proving by it once more who is signed in.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Instant;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use event_bus::store::ops::UserName;
use jiff::Timestamp;
use serde_json::json;

use super::gate::{Signed, cookie_of, session_of};
use super::page::{Refusal, Shown, see_other, with_session};
use super::proof::OF_LATE;
use super::{Panel, query};
use crate::access::oidc::{self, Came, OidcError, Provider};
use crate::access::trail::{By, Deed, Note};
use crate::desk::DeskError;
use crate::serving::Peer;

/// A browser keeps an attempt for so many seconds.
const ATTEMPT_LASTS: u32 = 600;

/// Off to the provider. Nothing is kept of it here, but in the browser.
pub(super) async fn begin(
    State(panel): State<Panel>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Shown {
    let text = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, text)| &**text);
    let next = query::local(text("next").unwrap_or_default());
    let begun = panel.provider()?.begin(next, text("prove") == Some("yes")).await;
    let begun = begun.inspect_err(|error| {
        tracing::warn!(why = ?error.to_string(), "nobody can be sent to the provider of identities");
    })?;
    Ok(with_attempt(see_other(&begun.to), Some(&begun.cookie)))
}

/// Back from the provider, by a `GET`, for providers have no other way; the attempt in the browser's cookie says that it is
/// one that this browser began.
pub(super) async fn finish(
    State(panel): State<Panel>,
    Extension(Peer(peer)): Extension<Peer>,
    signed: Option<Extension<Signed>>,
    headers: HeaderMap,
    Query(said): Query<Vec<(String, String)>>,
) -> Shown {
    let signed = signed.map(|Extension(signed)| signed);
    match panel.came_back(&said, &headers, signed.as_ref(), peer.ip()).await {
        // It may be somebody else's, while an attempt is under way.
        Err(kept @ (Refusal::Oidc(OidcError::NotBegunHere) | Refusal::TooMany { .. })) => Err(kept),
        Err(refusal) => Ok(with_attempt(refusal.into_response(), None)),
        Ok(response) => Ok(with_attempt(response, None)),
    }
}

/// Has the browser keep an attempt, or none.
fn with_attempt(mut response: Response, attempt: Option<&str>) -> Response {
    let (value, lasts) = attempt.map_or(("", 0), |attempt| (attempt, ATTEMPT_LASTS));
    let name = oidc::COOKIE;
    let cookie = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={lasts}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

impl Panel {
    fn provider(&self) -> Result<&Provider, OidcError> {
        self.provider.as_deref().ok_or(OidcError::NoProvider)
    }

    async fn came_back(
        &self,
        said: &[(String, String)],
        headers: &HeaderMap,
        signed: Option<&Signed>,
        address: IpAddr,
    ) -> Shown {
        let provider = self.provider()?;
        let tried = self
            .throttle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .attempt_from(address, Instant::now());
        if let Err(wait) = tried {
            tracing::warn!(%address, "too many came back from the provider of identities");
            return Err(Refusal::TooMany { seconds: wait.as_secs() + 1 });
        }
        let (attempt, now) = (cookie_of(headers, oidc::COOKIE), Timestamp::now());
        let came = match provider.finish(said, attempt, OF_LATE, now).await {
            Ok(came) => came,
            Err(error) => return self.not_let_in(None, address, error).await,
        };
        let name = match self.enter(&came, signed, address).await? {
            Ok(name) => name,
            Err((name, error)) => return self.not_let_in(Some(&name), address, error).await,
        };
        // Whatever session the browser was in, known or not, this is another one.
        let store = &self.desk.store;
        if let Some(old) = session_of(headers) {
            store.close_session(old).await?;
        }
        let session = store.open_session_proved(&name, came.proved_at, Timestamp::now()).await?;
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).succeeded_from(address);
        let is_proof = came.is_proof;
        tracing::info!(user = %name, is_proof, "signed in by the provider of identities");
        Ok(with_session(see_other(query::local(&came.next)), Some(&session)))
    }

    /// Makes who came a user, or gives a user the role of now, unless there is something against it.
    async fn enter(
        &self,
        came: &Came,
        signed: Option<&Signed>,
        address: IpAddr,
    ) -> Result<Result<UserName, (UserName, OidcError)>, Refusal> {
        let store = &self.desk.store;
        let known = store.vouched_user(&came.issuer, &came.subject).await?;
        let name = known.as_ref().map_or(&came.name, |user| &user.name).clone();
        let other = signed.filter(|signed| came.is_proof && signed.actor.name != name.as_str());
        if let Some(other) = other {
            let (came, signed) = (name.to_string(), other.actor.name.clone());
            return Ok(Err((name, OidcError::SomebodyElse { came, signed })));
        }
        if known.as_ref().is_some_and(|user| user.is_disabled) {
            return Ok(Err((name, OidcError::ShutOut)));
        }
        let grant = match &came.grant {
            Ok(grant) => grant,
            Err(error) => return Ok(Err((name, error.clone()))),
        };
        let note = Note::of(Deed::SignIn, &name).with(json!({
            "address": address,
            "issuer": came.issuer,
            "subject": came.subject,
            "group": grant.group,
            "role": grant.role,
            "scope": grant.scope,
        }));
        let vouched = came.vouched(grant);
        let admitted = async {
            let admitted = store.admit(&vouched).await?;
            admitted.ok_or_else(|| DeskError::Conflict("the user is shut out".to_owned()))
        };
        match self.does_as_nobody(&name, note, admitted).await {
            Ok(name) => Ok(Ok(name)),
            Err(DeskError::Conflict(_)) => Ok(Err((name, OidcError::ShutOut))),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes that somebody did not come in, and why; what groups opened that are told no more is over.
    async fn not_let_in(
        &self,
        name: Option<&UserName>,
        address: IpAddr,
        error: OidcError,
    ) -> Shown {
        let user = name;
        let (name, why) = (name.map_or(UserName::VOUCHED, UserName::as_str), error.to_string());
        tracing::warn!(user = name, %address, ?why, "not signed in by the provider of identities");
        let issuer = self.provider()?.issuer();
        let said = json!({ "address": address, "issuer": issuer, "why": why });
        let note = Note::of(Deed::SignInFailed, name).with(said);
        note.write(&self.desk.store, By { name, role: By::NOBODY }).await?;
        if let (Some(user), OidcError::NoGroups { .. } | OidcError::NoneOpens) = (user, &error) {
            self.desk.store.end_sessions(user).await?;
        }
        Err(error.into())
    }
}
