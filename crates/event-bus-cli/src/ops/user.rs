//! `event-bus ops user`: who may sign in to the panel.

use std::io::{self, IsTerminal, Read as _};

use anyhow::Context;
use clap::Subcommand;
use event_bus::dead_letters::Scope;
use event_bus::store::ops::{OpsStore, Role, User as Known, UserName};
use event_bus_ops::access::origin::Origin;
use event_bus_ops::access::password;
use event_bus_ops::access::trail::{Deed, Note};
use jiff::Timestamp;
use serde_json::json;

use super::{ScopeOptions, Where, Work, told};
use crate::exit::{Exit, usage};
use crate::global::Global;
use crate::output::{Output, printable};

#[derive(Subcommand)]
pub enum User {
    /// Make a user. Without a password, print a link by which the user chooses one: it is good once, and for a day
    Make {
        /// The user's name: what is done is audited under it
        name: UserName,
        /// What the user may do
        #[arg(long, value_parser = Role::NAMES, default_value = "viewer")]
        role: String,
        #[command(flatten)]
        scope: ScopeOptions,
        /// Read the password from stdin
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        link: Link,
        #[command(flatten)]
        at: Work,
    },
    /// Print another link by which a user chooses a password
    Invite {
        /// Whose
        name: UserName,
        #[command(flatten)]
        link: Link,
        #[command(flatten)]
        at: Work,
    },
    /// Show who may sign in
    List {
        #[command(flatten)]
        at: Where,
    },
    /// Shut a user out, whose sessions end
    Disable {
        /// Whom
        #[arg(value_parser = UserName::of_anybody)]
        name: UserName,
        #[command(flatten)]
        at: Work,
    },
    /// Let a user in again
    Enable {
        /// Whom
        #[arg(value_parser = UserName::of_anybody)]
        name: UserName,
        #[command(flatten)]
        at: Work,
    },
    /// Give a user another password, read from stdin. The user's sessions end
    Password {
        /// Whom
        name: UserName,
        #[command(flatten)]
        at: Work,
    },
    /// Remove a user
    Remove {
        /// Whom
        #[arg(value_parser = UserName::of_anybody)]
        name: UserName,
        #[command(flatten)]
        at: Work,
    },
}

/// Where links lead to.
#[derive(clap::Args)]
pub struct Link {
    /// Where the panel is for those who are invited
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9300")]
    panel: Origin,
}

impl User {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let mut output = global.output();
        match self {
            Self::Make { name, role, scope, password_stdin, link, at } => {
                let (role, scope): (Role, Scope) = (role.parse()?, scope.scope());
                let hash = if password_stdin { Some(read_hash(&name).await?) } else { None };
                let store = at.open().await?;
                let said = json!({ "role": role, "scope": scope });
                let made = async {
                    match store.make_user(&name, role, &scope, hash.as_deref()).await? {
                        true => Ok(()),
                        false => usage(format!("there is a user {name}")),
                    }
                };
                at.does(&store, Note::of(Deed::MakeUser, &name).with(said), made).await?;
                if !password_stdin {
                    invite(&at, &store, &name, &link, &mut output).await?;
                }
            }
            Self::Invite { name, link, at } => {
                invite(&at, &at.open().await?, &name, &link, &mut output).await?;
            }
            Self::List { at } => list(&at.open().await?.users().await?, &mut output)?,
            Self::Disable { name, at } => {
                let store = at.open().await?;
                let disabled = async { known(store.set_disabled(&name, true).await?, &name) };
                at.does(&store, Note::of(Deed::DisableUser, &name), disabled).await?;
            }
            Self::Enable { name, at } => {
                let store = at.open().await?;
                let enabled = async { known(store.set_disabled(&name, false).await?, &name) };
                at.does(&store, Note::of(Deed::EnableUser, &name), enabled).await?;
            }
            Self::Password { name, at } => {
                let hash = read_hash(&name).await?;
                let store = at.open().await?;
                let changed = async { known(store.set_password(&name, &hash).await?, &name) };
                at.does(&store, Note::of(Deed::Password, &name), changed).await?;
            }
            Self::Remove { name, at } => {
                let store = at.open().await?;
                let removed = async { known(store.remove_user(&name).await?, &name) };
                at.does(&store, Note::of(Deed::RemoveUser, &name), removed).await?;
            }
        }
        Ok(Exit::Done)
    }
}

fn known(is_known: bool, name: &UserName) -> anyhow::Result<()> {
    if is_known { Ok(()) } else { usage(format!("there is no user {name}")) }
}

async fn invite(
    at: &Work,
    store: &OpsStore,
    name: &UserName,
    link: &Link,
    output: &mut Output,
) -> anyhow::Result<()> {
    let invited = async {
        let token = store.invite(name, Timestamp::now()).await?;
        token.map_or_else(|| usage(format!("there is no user {name}")), Ok)
    };
    let token = at.does(store, Note::of(Deed::InviteUser, name), invited).await?;
    let link = format!("{}/welcome?token={token}", link.panel);
    if output.is_json() {
        return output.json_document(&json!({ "name": name, "link": link }));
    }
    output.line(&link)?;
    output.flush()
}

fn list(users: &[Known], output: &mut Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json_document(&users);
    }
    let cells = |user: &Known| {
        let state = match (user.is_disabled, &user.issuer, user.has_password) {
            (true, ..) => "shut out".to_owned(),
            (false, Some(issuer), _) => format!("may sign in by {}", printable(issuer)),
            (false, None, true) => "may sign in".to_owned(),
            (false, None, false) => "invited".to_owned(),
        };
        vec![
            user.name.to_string(),
            user.role.to_string(),
            told(user.scope.services.as_ref()),
            told(user.scope.tenants.as_ref()),
            state,
            user.made_at.to_string(),
        ]
    };
    let header = ["NAME", "ROLE", "SERVICES", "TENANTS", "STATE", "MADE AT"];
    output.table(&header, users.iter().map(cells))
}

/// The hash of the password on stdin: one in an argument would be seen by everybody on the machine.
async fn read_hash(name: &UserName) -> anyhow::Result<String> {
    /// More than a password has.
    const MOST: u64 = 4_096;
    if io::stdin().is_terminal() {
        eprintln!("event-bus: the password, then Enter and Ctrl-D (it is shown)");
    }
    let mut text = String::new();
    io::stdin().take(MOST).read_to_string(&mut text).context("the password can't be read")?;
    let password = text.trim_end_matches(['\r', '\n']);
    if let Err(unfit) = password::check(password, name.as_str()) {
        return usage(unfit.to_string());
    }
    Ok(password::hash(password.to_owned()).await?)
}
