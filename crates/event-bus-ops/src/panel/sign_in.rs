//! Signing in and out.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Instant;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use event_bus::store::ops::UserName;
use jiff::Timestamp;
use serde_json::json;

use super::gate::{Fields, Signed, session_of};
use super::page::{Refusal, Shell, Shown, see_other, show, show_as, with_session};
use super::text::filters;
use super::{Panel, query};
use crate::access::password;
use crate::access::trail::{self, By, Deed, Note};
use crate::desk::DeskError;
use crate::serving::Peer;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    shell: Shell,
    name: String,
    next: String,
    problem: &'static str,
    /// The provider of identities, where there is one.
    issuer: Option<String>,
}

impl SignIn {
    /// The link that leads to the provider, and from there to the same page.
    fn to_provider(&self) -> String {
        format!("/sign-in/oidc?{}", query::encoded([("next", &self.next)]))
    }
}

pub(super) async fn form(
    State(panel): State<Panel>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Shown {
    let next = pairs.into_iter().find(|(name, _)| name == "next").map(|(_, value)| value);
    show(&panel.sign_in_page("", query::local(next.as_deref().unwrap_or_default()), ""))
}

pub(super) async fn sign_in(
    State(panel): State<Panel>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let (name, next) = (fields.text("name").trim(), query::local(fields.text("next")));
    match panel.proved(name, fields.text("password"), peer.ip()).await? {
        Some(name) => {
            // Whatever session the browser was in, known or not, this is another one.
            if let Some(old) = session_of(&headers) {
                panel.desk.store.close_session(old).await?;
            }
            let note = Note::of(Deed::SignIn, &name).with(json!({ "address": peer.ip() }));
            let opened =
                async { Ok(panel.desk.store.open_session(&name, Timestamp::now()).await?) };
            let session = panel.does_as_nobody(&name, note, opened).await?;
            tracing::info!(user = %name, "signed in");
            Ok(with_session(see_other(next), Some(&session)))
        }
        None => {
            let problem = "This name and password are not known together.";
            show_as(StatusCode::UNAUTHORIZED, &panel.sign_in_page(name, next, problem))
        }
    }
}

pub(super) async fn sign_out(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
) -> Shown {
    let actor = &signed.actor;
    let closed = async { Ok(panel.desk.store.close_session(&signed.session).await?) };
    panel.desk.does(actor, Note::of(Deed::SignOut, &actor.name), closed).await?;
    Ok(with_session(see_other("/sign-in"), None))
}

impl Panel {
    fn sign_in_page(&self, name: &str, next: &str, problem: &'static str) -> SignIn {
        let issuer = self.provider.as_ref().map(|provider| provider.issuer().to_owned());
        let (name, next) = (name.to_owned(), next.to_owned());
        SignIn { shell: Shell::of_nobody("", "Sign in"), name, next, problem, issuer }
    }

    /// Does what a user does who is not signed in, or not any more, once it is written that it is to be done.
    pub(super) async fn does_as_nobody<T>(
        &self,
        name: &UserName,
        note: Note,
        deed: impl Future<Output = Result<T, DeskError>>,
    ) -> Result<T, DeskError> {
        let by = By { name: name.as_str(), role: By::NOBODY };
        trail::does(&self.desk.store, by, note, deed).await
    }

    /// Who this is, if the password is right. An unknown name takes as long as a wrong password.
    pub(super) async fn proved(
        &self,
        name: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<Option<UserName>, Refusal> {
        let name: Option<UserName> = name.parse().ok();
        let throttled = name.as_ref().map_or("", UserName::as_str);
        let attempt = self.throttle.lock().unwrap_or_else(PoisonError::into_inner).attempt(
            throttled,
            address,
            Instant::now(),
        );
        if let Err(wait) = attempt {
            tracing::warn!(user = throttled, %address, "too many passwords were tried");
            return Err(Refusal::TooMany { seconds: wait.as_secs() + 1 });
        }
        let hash = match &name {
            Some(name) => self.desk.store.password_of(name).await?,
            None => None,
        };
        let is_right = password::verify(password.to_owned(), hash).await?;
        if !is_right {
            tracing::warn!(user = throttled, %address, "a wrong password");
            // A text that is no name may be the password, which somebody wrote into the wrong field.
            let note = Note::of(Deed::SignInFailed, throttled).with(json!({ "address": address }));
            note.write(&self.desk.store, By { name: throttled, role: By::NOBODY }).await?;
            return Ok(None);
        }
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.succeeded(throttled, address);
        Ok(name)
    }

    /// Asks who is signed in for the password again. The session goes on under another id, which is given back.
    pub(super) async fn prove_again(
        &self,
        signed: &Signed,
        password: &str,
        address: IpAddr,
    ) -> Result<Option<String>, Refusal> {
        let Some(name) = self.proved(&signed.actor.name, password, address).await? else {
            return Ok(None);
        };
        self.desk.store.close_session(&signed.session).await?;
        Ok(Some(self.desk.store.open_session(&name, Timestamp::now()).await?))
    }
}
