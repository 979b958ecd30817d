//! Who may do what with whose dead letters. Pure.

use std::fmt;

use event_bus::dead_letters::{Found, Scope};
use event_bus::store::ops::{ApiToken, Role, User};

/// Who asks, whichever way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// What is done is audited under this name.
    pub name: String,
    /// What this one may do.
    pub role: Role,
    /// With whose dead letters.
    pub scope: Scope,
}

impl From<&User> for Actor {
    fn from(user: &User) -> Self {
        Self { name: user.name.to_string(), role: user.role, scope: user.scope.clone() }
    }
}

impl From<ApiToken> for Actor {
    fn from(token: ApiToken) -> Self {
        Self { name: token.name, role: token.role, scope: token.scope }
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// See dead letters, replays and groups, and take copies along.
    See,
    /// Send dead letters back as they are.
    Replay,
    /// Stop a replay.
    Cancel,
    /// Send dead letters back with other values.
    Edit,
    /// Decide that nothing is to be done.
    Discard,
    /// Take that back.
    Restore,
    /// Write notes about failures, and remove one's own.
    Note,
    /// Remove those of others.
    RemoveNotes,
    /// Have a group go on from elsewhere.
    Reset,
    /// Decide about rows of an outbox that can never be sent as they are.
    Lift,
    /// See what is personal in dead letters.
    Reveal,
    /// Let others do what takes two.
    Approve,
    /// See what everybody did.
    Audit,
    /// Say who may sign in.
    ManageUsers,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::See,
        Self::Replay,
        Self::Cancel,
        Self::Edit,
        Self::Discard,
        Self::Restore,
        Self::Note,
        Self::RemoveNotes,
        Self::Reset,
        Self::Lift,
        Self::Reveal,
        Self::Approve,
        Self::Audit,
        Self::ManageUsers,
    ];

    /// The smallest role that may.
    #[must_use]
    pub const fn needs(self) -> Role {
        match self {
            Self::See => Role::Viewer,
            Self::Replay
            | Self::Cancel
            | Self::Edit
            | Self::Discard
            | Self::Restore
            | Self::Note
            | Self::Reset
            | Self::Lift
            | Self::Reveal
            | Self::Approve => Role::Operator,
            Self::RemoveNotes | Self::Audit | Self::ManageUsers => Role::Admin,
        }
    }

    /// What it is done with, as far as that is known before it is found.
    #[must_use]
    pub const fn object(self) -> Object<'static> {
        match self {
            Self::Audit | Self::ManageUsers => Object::Everything,
            _ => Object::InScope,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::See => "to see dead letters",
            Self::Replay => "to replay dead letters",
            Self::Cancel => "to cancel replays",
            Self::Edit => "to edit dead letters",
            Self::Discard => "to discard dead letters",
            Self::Restore => "to restore dead letters",
            Self::Note => "to write notes",
            Self::RemoveNotes => "to remove notes of others",
            Self::Reset => "to reset groups",
            Self::Lift => "to decide about rows of outboxes",
            Self::Reveal => "to reveal personal data",
            Self::Approve => "to approve what others asked for",
            Self::Audit => "to see the audit",
            Self::ManageUsers => "to manage users",
        })
    }
}

/// What it is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object<'a> {
    /// Whatever is in scope: each of it is asked about, or found by a filter that has the scope in it.
    InScope,
    /// A dead letter.
    Letter {
        /// The service whose group failed.
        service: &'a str,
        /// The tenant whose event it is, where that can be read.
        tenant: Option<&'a str>,
    },
    /// A consumer group, and with it the events of all tenants.
    Group {
        /// Whose it is.
        service: &'a str,
    },
    /// An outbox, and with it the events of all tenants.
    Outbox {
        /// Whose it is.
        service: &'a str,
    },
    /// An event.
    Event {
        /// The services that publish or consume it.
        services: &'a [&'a str],
        /// The tenant whose event it is, where that can be read.
        tenant: Option<&'a str>,
    },
    /// All of the bus, such as its users.
    Everything,
}

impl<'a> From<&'a Found> for Object<'a> {
    fn from(found: &'a Found) -> Self {
        Self::Letter { service: &found.letter.service, tenant: found.letter.tenant.as_deref() }
    }
}

/// Why it is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The role is too small.
    #[error("{name} is {role}, and {action} takes {}", action.needs())]
    Role {
        /// Who asks.
        name: String,
        /// The role.
        role: Role,
        /// What was wanted.
        action: Action,
    },
    /// Who asked for it does not approve it.
    #[error("{name} asked for it, so somebody else has to decide")]
    OwnRequest {
        /// Who asked.
        name: String,
    },
    /// It is none of this one's. Told as if it did not exist.
    #[error("it is not in scope")]
    OutOfScope,
    /// It can be seen, and is done to others' events too.
    #[error("{name} acts for some tenants, and {action} is done to the events of all")]
    OthersToo {
        /// Who asks.
        name: String,
        /// What was wanted.
        action: Action,
    },
}

/// Whether somebody may do this with that.
///
/// # Errors
/// Why not.
pub fn decide(actor: &Actor, action: Action, object: Object<'_>) -> Result<(), Denied> {
    if actor.role < action.needs() {
        return Err(Denied::Role { name: actor.name.clone(), role: actor.role, action });
    }
    let is_in_scope = match object {
        Object::InScope => true,
        Object::Letter { service, tenant } => actor.scope.covers(service, tenant),
        // How far a group is, and how much an outbox holds, says nothing of any tenant.
        Object::Group { service } | Object::Outbox { service } => {
            actor.scope.covers_service(service)
        }
        Object::Event { services, tenant } => {
            services.iter().any(|service| actor.scope.covers(service, tenant))
        }
        // Who may not see all would give others what is not theirs to give.
        Object::Everything => actor.scope.is_all(),
    };
    if !is_in_scope {
        return Err(Denied::OutOfScope);
    }
    match object {
        Object::Group { .. } | Object::Outbox { .. }
            if action != Action::See && actor.scope.tenants.is_some() =>
        {
            Err(Denied::OthersToo { name: actor.name.clone(), action })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[&str] = &[];

    fn actor(role: Role, services: &[&str], tenants: &[&str]) -> Actor {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let scope = Scope::of(&names(services), &names(tenants));
        Actor { name: "ann".to_owned(), role, scope }
    }

    /// Each role, action, scope and object, against rules that are written down once more.
    #[test]
    fn each_cell_of_roles_actions_and_scopes_is_as_it_is_written_down() {
        let scopes: [(&[&str], &[&str]); 4] =
            [(ALL, ALL), (&["payment"], ALL), (ALL, &["acme"]), (&["payment"], &["acme"])];
        let tenants = [Some("acme"), Some("bolt"), None];
        let mut cells = 0;
        for role in Role::ALL {
            for action in Action::ALL {
                for (services, of_tenants) in scopes {
                    let actor = actor(role, services, of_tenants);
                    let has_role = match role {
                        Role::Viewer => action == Action::See,
                        Role::Operator => {
                            ![Action::RemoveNotes, Action::Audit, Action::ManageUsers]
                                .contains(&action)
                        }
                        Role::Admin => true,
                    };
                    for service in ["payment", "brand"] {
                        let is_theirs = services.is_empty() || service == "payment";
                        let is_whole = of_tenants.is_empty() || action == Action::See;
                        for object in [Object::Group { service }, Object::Outbox { service }] {
                            let decided = decide(&actor, action, object);
                            assert_eq!(decided.is_ok(), has_role && is_theirs && is_whole);
                            if has_role && !is_theirs {
                                assert_eq!(decided, Err(Denied::OutOfScope));
                            }
                        }
                        for tenant in tenants {
                            let is_theirs = (services.is_empty() || service == "payment")
                                && (of_tenants.is_empty() || tenant == Some("acme"));
                            let decided =
                                decide(&actor, action, Object::Letter { service, tenant });
                            assert_eq!(
                                decided.is_ok(),
                                has_role && is_theirs,
                                "{actor:?} {action:?}"
                            );
                            if has_role && !is_theirs {
                                assert_eq!(decided, Err(Denied::OutOfScope));
                            }
                            // An event is theirs as soon as one of its services is.
                            for (event, is_one_of) in
                                [(&[service][..], false), (&["stock", "payment"], true)]
                            {
                                let event = Object::Event { services: event, tenant };
                                let is_theirs = is_theirs
                                    || (is_one_of
                                        && (of_tenants.is_empty() || tenant == Some("acme")));
                                assert_eq!(
                                    decide(&actor, action, event).is_ok(),
                                    has_role && is_theirs
                                );
                            }
                            cells += 1;
                        }
                    }
                    assert_eq!(decide(&actor, action, Object::InScope).is_ok(), has_role);
                    let is_all = services.is_empty() && of_tenants.is_empty();
                    let everything = decide(&actor, action, Object::Everything);
                    assert_eq!(everything.is_ok(), has_role && is_all);
                }
            }
        }
        assert_eq!(cells, 3 * 14 * 4 * 2 * 3);
    }

    #[test]
    fn a_refusal_says_which_role_it_takes() {
        let denied = decide(&actor(Role::Viewer, ALL, ALL), Action::Replay, Object::InScope);
        let told = denied.unwrap_err().to_string();
        assert_eq!(told, "ann is viewer, and to replay dead letters takes operator");
    }
}
