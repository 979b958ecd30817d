//! What takes the password once more, unless it was given of late.

use std::net::IpAddr;
use std::time::Duration;

use axum::response::IntoResponse as _;
use jiff::Timestamp;

use super::Panel;
use super::gate::Signed;
use super::page::{Refusal, Shown, with_session};
use crate::access::cross_site::token_of;

/// Of late is within this time.
const OF_LATE: Duration = Duration::from_secs(5 * 60);

/// Whether the password was given of late.
pub(super) fn is_proved(signed: &Signed, now: Timestamp) -> bool {
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
    /// Who asks, once the password was given of late or is the right one; `None` where it is another one.
    pub(super) async fn proved_of_late(
        &self,
        signed: &Signed,
        password: &str,
        address: IpAddr,
    ) -> Result<Option<Proved>, Refusal> {
        if is_proved(signed, Timestamp::now()) {
            return Ok(Some(Proved::without(signed)));
        }
        let session = self.prove_again(signed, password, address).await?;
        Ok(session.map(|session| {
            let (csrf, proved_at) = (token_of(&session), Timestamp::now());
            let signed = Signed { csrf, proved_at, session: session.clone(), ..signed.clone() };
            Proved { signed, session: Some(session) }
        }))
    }
}
