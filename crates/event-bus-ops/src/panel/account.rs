//! Who is signed in, and another password.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;

use super::Panel;
use super::gate::{Fields, Signed};
use super::page::{Shell, Shown, show, show_as, with_session};
use super::text::filters;
use crate::access::password;
use crate::access::trail::{Deed, Note};
use crate::desk::DeskError;
use crate::serving::Peer;

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    shell: Shell,
    signed: Signed,
    problem: String,
    is_changed: bool,
}

impl Account {
    fn of(signed: &Signed, problem: String) -> Self {
        let shell = Shell::of(signed, "account", "Your account");
        Self { shell, signed: signed.clone(), problem, is_changed: false }
    }

    fn services(&self) -> String {
        told(self.signed.actor.scope.services.as_ref())
    }

    fn tenants(&self) -> String {
        told(self.signed.actor.scope.tenants.as_ref())
    }
}

/// Names of a scope.
pub(super) fn told(names: Option<&std::collections::BTreeSet<String>>) -> String {
    names.map_or("all".to_owned(), |names| names.iter().cloned().collect::<Vec<_>>().join(", "))
}

pub(super) async fn page(Extension(signed): Extension<Signed>) -> Shown {
    show(&Account::of(&signed, String::new()))
}

pub(super) async fn password(
    State(panel): State<Panel>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(signed): Extension<Signed>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let refused =
        |problem: String| show_as(StatusCode::UNPROCESSABLE_ENTITY, &Account::of(&signed, problem));
    if signed.issuer.is_some() {
        return refused("Your password is with your provider, and not here.".to_owned());
    }
    let chosen = fields.text("password");
    if chosen != fields.text("again") {
        return refused("Both new passwords have to be the same.".to_owned());
    }
    if let Err(unfit) = password::check(chosen, &signed.actor.name) {
        return refused(format!("{unfit}."));
    }
    let name = panel.proved(&signed.actor.name, fields.text("current"), peer.ip()).await?;
    let Some(name) = name else {
        return refused("The current password is another one.".to_owned());
    };
    let hash = password::hash(chosen.to_owned()).await?;
    // All sessions end, this one too.
    let changed = async {
        match panel.desk.store.set_password(&name, &hash).await? {
            true => Ok(()),
            false => Err(DeskError::NoUser(name.to_string())),
        }
    };
    panel.desk.does(&signed.actor, Note::of(Deed::Password, &name), changed).await?;
    let session = panel.desk.store.open_session(&name, Timestamp::now()).await?;
    tracing::info!(user = %name, "changed the password");
    let csrf = crate::access::cross_site::token_of(&session);
    let signed = Signed { csrf, session: session.clone(), ..signed };
    let page = Account { is_changed: true, ..Account::of(&signed, String::new()) };
    Ok(with_session(show(&page)?, Some(&session)))
}
