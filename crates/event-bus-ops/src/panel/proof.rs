//! What takes the password once more, unless it was given of late.

use std::net::IpAddr;
use std::time::Duration;

use axum::response::IntoResponse as _;
use jiff::Timestamp;

use super::gate::Signed;
use super::page::{Refusal, Shown, with_session};
use super::{Panel, query};
use crate::access::cross_site::token_of;

/// Of late is within this time.
pub(super) const OF_LATE: Duration = Duration::from_secs(5 * 60);

/// What a page asks for before it.
pub(super) enum Proof {
    /// Nothing: it was given of late.
    Given,
    /// The password.
    Password,
    /// To go to the provider of identities, which asks for it, by this link of ours.
    Provider(String),
}

impl Proof {
    /// What is asked of somebody who comes back to a page of ours.
    pub(super) fn asked_of(signed: &Signed, back: &str, now: Timestamp) -> Self {
        if is_proved(signed, now) {
            Self::Given
        } else if signed.issuer.is_some() {
            let pairs = [("prove", "yes"), ("next", back)];
            Self::Provider(format!("/sign-in/oidc?{}", query::encoded(pairs)))
        } else {
            Self::Password
        }
    }

    /// Whether the form has a field for the password.
    pub(super) fn is_password(&self) -> bool {
        matches!(self, Self::Password)
    }

    /// The link, where it is asked for elsewhere.
    pub(super) fn link(&self) -> Option<&str> {
        match self {
            Self::Provider(link) => Some(link),
            Self::Given | Self::Password => None,
        }
    }
}

/// Whether the password was given of late.
fn is_proved(signed: &Signed, now: Timestamp) -> bool {
    now.duration_since(signed.proved_at).unsigned_abs() < OF_LATE
}

/// Who asks, once that needs no more proof.
pub(super) struct Proved {
    pub signed: Signed,
    /// The session that began where the password was given now.
    session: Option<String>,
}

impl Proved {
    /// What is asked for takes no password.
    pub(super) fn without(signed: &Signed) -> Self {
        Self { signed: signed.clone(), session: None }
    }

    /// The answer. Also where it failed, the session that was begun goes on.
    pub(super) fn answer(self, shown: Shown) -> Shown {
        let Some(session) = self.session else { return shown };
        Ok(with_session(shown.unwrap_or_else(Refusal::into_response), Some(&session)))
    }
}

impl Panel {
    /// Who asks, once the password was given of late or is the right one; otherwise what is wrong.
    pub(super) async fn proved_of_late(
        &self,
        signed: &Signed,
        password: &str,
        address: IpAddr,
    ) -> Result<Result<Proved, &'static str>, Refusal> {
        if is_proved(signed, Timestamp::now()) {
            return Ok(Ok(Proved::without(signed)));
        }
        if signed.issuer.is_some() {
            return Ok(Err("Prove at your provider first who you are: nothing was done."));
        }
        let Some(session) = self.prove_again(signed, password, address).await? else {
            return Ok(Err("The password is another one."));
        };
        let (csrf, proved_at) = (token_of(&session), Timestamp::now());
        let signed = Signed { csrf, proved_at, session: session.clone(), ..signed.clone() };
        Ok(Ok(Proved { signed, session: Some(session) }))
    }
}
