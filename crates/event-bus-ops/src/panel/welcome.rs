//! Where an invitation leads to: a password is chosen, by the first administrator also a name.

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use event_bus::store::ops::{Invited, UserName};
use jiff::Timestamp;

use super::gate::Fields;
use super::page::{Shell, Shown, see_other, show, show_as, with_session};
use super::text::filters;
use super::{HOME, Panel};
use crate::access::password;
use crate::access::trail::{Deed, Note};
use crate::desk::DeskError;

#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome {
    shell: Shell,
    token: String,
    /// Who is invited; `None` is whoever comes first.
    invited: Option<UserName>,
    name: String,
    problem: String,
}

#[derive(Template)]
#[template(path = "link_over.html")]
struct LinkOver {
    shell: Shell,
}

pub(super) async fn form(
    State(panel): State<Panel>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Shown {
    let token = pairs.into_iter().find(|(name, _)| name == "token").map(|(_, value)| value);
    let token = token.unwrap_or_default();
    match panel.desk.store.invited(&token, Timestamp::now()).await? {
        Some(invited) => show(&page(invited, token, "", String::new())),
        None => link_over(),
    }
}

pub(super) async fn welcome(
    State(panel): State<Panel>,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let (token, store, now) = (fields.text("token"), &panel.desk.store, Timestamp::now());
    let Some(invited) = store.invited(token, now).await? else { return link_over() };
    let refused = |problem: String| {
        let page = page(invited.clone(), token.to_owned(), fields.text("name"), problem);
        show_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
    };
    let name = match &invited {
        Invited::User(name) => name.clone(),
        Invited::First => match fields.text("name").trim().parse::<UserName>() {
            Ok(name) => name,
            Err(error) => return refused(format!("{error}.")),
        },
    };
    let chosen = fields.text("password");
    if chosen != fields.text("again") {
        return refused("Both passwords have to be the same.".to_owned());
    }
    if let Err(unfit) = password::check(chosen, name.as_str()) {
        return refused(format!("{unfit}."));
    }
    let hash = password::hash(chosen.to_owned()).await?;
    let accepted = async {
        let is_done = match invited {
            Invited::First => store.accept_first(token, &name, &hash, now).await?,
            Invited::User(_) => store.accept(token, &hash, now).await?.is_some(),
        };
        let over = || DeskError::Conflict("the link is over".to_owned());
        is_done.then_some(()).ok_or_else(over)
    };
    match panel.does_as_nobody(&name, Note::of(Deed::Welcome, &name), accepted).await {
        Ok(()) => {}
        Err(DeskError::Conflict(_)) => return link_over(),
        Err(error) => return Err(error.into()),
    }
    tracing::info!(user = %name, "chose a password by an invitation");
    match store.password_of(&name).await? {
        Some(_) => {
            let session = store.open_session(&name, now).await?;
            Ok(with_session(see_other(HOME), Some(&session)))
        }
        // Shut out meanwhile.
        None => Ok(see_other("/sign-in")),
    }
}

fn page(invited: Invited, token: String, name: &str, problem: String) -> Welcome {
    let (title, invited) = match invited {
        Invited::First => ("Set up the panel", None),
        Invited::User(name) => ("Choose a password", Some(name)),
    };
    Welcome { shell: Shell::of_nobody("", title), token, invited, name: name.to_owned(), problem }
}

fn link_over() -> Shown {
    show_as(StatusCode::GONE, &LinkOver { shell: Shell::of_nobody("", "This link is over") })
}
