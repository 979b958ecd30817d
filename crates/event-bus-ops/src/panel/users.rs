//! Who may sign in.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, StatusCode};
use event_bus::dead_letters::Scope;
use event_bus::store::ops::{Role, User, UserName};
use jiff::Timestamp;
use serde_json::json;

use super::Panel;
use super::account::told;
use super::gate::{Fields, Signed};
use super::page::{Refusal, Shell, Shown, see_other, show, show_as};
use super::text::{Clock, filters};
use crate::access::trail::{Deed, Note};
use crate::desk::DeskError;

const USERS: &str = "/access/users";

#[derive(Template)]
#[template(path = "users.html")]
struct Users {
    shell: Shell,
    clock: Clock,
    users: Vec<Row>,
    roles: [&'static str; 3],
    /// Whom a link is for that was made now, and the link.
    link: Option<(String, String)>,
    problem: String,
}

struct Row {
    user: User,
    services: String,
    tenants: String,
    is_self: bool,
}

impl Row {
    fn of(user: User, signed: &Signed) -> Self {
        Self {
            services: told(user.scope.services.as_ref()),
            tenants: told(user.scope.tenants.as_ref()),
            is_self: user.name.as_str() == signed.actor.name,
            user,
        }
    }
}

impl Panel {
    async fn users(&self, signed: &Signed) -> Result<Users, Refusal> {
        let users = self.desk.store.users().await?;
        Ok(Users {
            shell: Shell::of(signed, "users", "Users"),
            clock: Clock::now(),
            users: users.into_iter().map(|user| Row::of(user, signed)).collect(),
            roles: Role::NAMES,
            link: None,
            problem: String::new(),
        })
    }

    /// The page with a link for a user, which is shown this once.
    async fn with_link(&self, signed: &Signed, headers: &HeaderMap, name: &UserName) -> Shown {
        let invited = async {
            let token = self.desk.store.invite(name, Timestamp::now()).await?;
            token.ok_or_else(|| DeskError::NoUser(name.to_string()))
        };
        let note = Note::of(Deed::InviteUser, name);
        let token = self.desk.does(&signed.actor, note, invited).await?;
        tracing::info!(user = %name, by = signed.actor.name, "a user was invited");
        // That it is ours was looked at before.
        let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        let link = format!("{}/welcome?token={token}", origin.unwrap_or_default());
        let mut users = self.users(signed).await?;
        users.link = Some((name.to_string(), link));
        show(&users)
    }
}

pub(super) async fn page(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
) -> Shown {
    show(&panel.users(&signed).await?)
}

pub(super) async fn make(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    headers: HeaderMap,
    Extension(fields): Extension<Fields>,
) -> Shown {
    let names = |field: &str| -> Vec<String> {
        let names = fields.text(field).split(',').map(str::trim);
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let scope = Scope::of(&names("services"), &names("tenants"));
    let name = fields.text("name").trim().parse::<UserName>();
    let problem = match (name, fields.text("role").parse::<Role>()) {
        (Ok(name), Ok(role)) => {
            let note = Note::of(Deed::MakeUser, &name);
            let note = note.with(json!({ "role": role, "scope": scope }));
            let made = async {
                match panel.desk.store.make_user(&name, role, &scope, None).await? {
                    true => Ok(()),
                    false => Err(DeskError::Conflict(format!("There is a user {name} already"))),
                }
            };
            match panel.desk.does(&signed.actor, note, made).await {
                Ok(()) => {
                    tracing::info!(user = %name, by = signed.actor.name, "a user was made");
                    return panel.with_link(&signed, &headers, &name).await;
                }
                Err(DeskError::Conflict(told)) => format!("{told}."),
                Err(error) => return Err(error.into()),
            }
        }
        (Err(error), _) => format!("{error}."),
        (_, Err(error)) => format!("{error}."),
    };
    let users = Users { problem, ..panel.users(&signed).await? };
    show_as(StatusCode::UNPROCESSABLE_ENTITY, &users)
}

pub(super) async fn invite(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Shown {
    let name = name.parse().map_err(|_| Refusal::Nowhere)?;
    panel.with_link(&signed, &headers, &name).await
}

pub(super) async fn disable(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(name): Path<String>,
) -> Shown {
    if name == signed.actor.name {
        let told = "nobody shuts themselves out: another administrator can";
        return Err(DeskError::Unclear(told.to_owned()).into());
    }
    panel.set_disabled(&signed, &name, true).await
}

pub(super) async fn enable(
    State(panel): State<Panel>,
    Extension(signed): Extension<Signed>,
    Path(name): Path<String>,
) -> Shown {
    panel.set_disabled(&signed, &name, false).await
}

impl Panel {
    async fn set_disabled(&self, signed: &Signed, name: &str, is_disabled: bool) -> Shown {
        let name = UserName::of_anybody(name).map_err(|_| Refusal::Nowhere)?;
        let deed = if is_disabled { Deed::DisableUser } else { Deed::EnableUser };
        let changed = async {
            match self.desk.store.set_disabled(&name, is_disabled).await? {
                true => Ok(()),
                false => Err(DeskError::NoUser(name.to_string())),
            }
        };
        self.desk.does(&signed.actor, Note::of(deed, &name), changed).await?;
        tracing::info!(user = %name, by = signed.actor.name, is_disabled, "a user was changed");
        Ok(see_other(USERS))
    }
}
