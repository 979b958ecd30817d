//! What somebody does, as the audit of the ops store has it: written before it is done. This is the one place from which
//! panel, API and command line write it.

use event_bus::audit::chain::{Entry, Link};
use event_bus::dead_letters::Filter;
use event_bus::store::StoreError;
use event_bus::store::ops::OpsStore;
use serde_json::{Value, json};

use super::policy::Actor;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Somebody came in.
    SignIn,
    /// Somebody did not, for the password was another one.
    SignInFailed,
    /// Somebody left.
    SignOut,
    /// Somebody followed an invitation, and chose a password.
    Welcome,
    /// A password becomes another one.
    Password,
    /// A user is made.
    MakeUser,
    /// A user gets a link.
    InviteUser,
    /// A user is shut out.
    DisableUser,
    /// A user is let in again.
    EnableUser,
    /// A user is removed.
    RemoveUser,
    /// A token is made.
    MakeToken,
    /// A token is taken away.
    RevokeToken,
    /// Personal data of a dead letter is shown.
    Reveal,
    /// Dead letters are taken along, with personal data or without.
    Export,
    /// Dead letters go back.
    Replay,
    /// A replay ends.
    Cancel,
    /// A dead letter goes back with another value.
    Edit,
    /// Many do.
    Repair,
    /// Nothing is to be done about dead letters.
    Discard,
    /// Something is after all.
    Restore,
    /// A note about a failure is written.
    Note,
    /// One goes.
    RemoveNote,
    /// A group goes on from elsewhere.
    Reset,
    /// A row of an outbox is sent again.
    RetryRow,
    /// A row of an outbox is never sent.
    DiscardRow,
    /// Somebody asks for what a second one has to approve.
    Request,
    /// A second one approves it.
    Approve,
    /// A second one does not.
    Deny,
    /// What a row said was to be done was not.
    NotDone,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::SignIn,
        Self::SignInFailed,
        Self::SignOut,
        Self::Welcome,
        Self::Password,
        Self::MakeUser,
        Self::InviteUser,
        Self::DisableUser,
        Self::EnableUser,
        Self::RemoveUser,
        Self::MakeToken,
        Self::RevokeToken,
        Self::Reveal,
        Self::Export,
        Self::Replay,
        Self::Cancel,
        Self::Edit,
        Self::Repair,
        Self::Discard,
        Self::Restore,
        Self::Note,
        Self::RemoveNote,
        Self::Reset,
        Self::RetryRow,
        Self::DiscardRow,
        Self::Request,
        Self::Approve,
        Self::Deny,
        Self::NotDone,
    ];

    /// Its name in the audit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::SignInFailed => "sign-in-failed",
            Self::SignOut => "sign-out",
            Self::Welcome => "welcome",
            Self::Password => "password",
            Self::MakeUser => "make-user",
            Self::InviteUser => "invite-user",
            Self::DisableUser => "disable-user",
            Self::EnableUser => "enable-user",
            Self::RemoveUser => "remove-user",
            Self::MakeToken => "make-token",
            Self::RevokeToken => "revoke-token",
            Self::Reveal => "reveal",
            Self::Export => "export",
            Self::Replay => "replay",
            Self::Cancel => "cancel",
            Self::Edit => "edit",
            Self::Repair => "repair",
            Self::Discard => "discard",
            Self::Restore => "restore",
            Self::Note => "note",
            Self::RemoveNote => "remove-note",
            Self::Reset => "reset",
            Self::RetryRow => "retry-row",
            Self::DiscardRow => "discard-row",
            Self::Request => "request",
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::NotDone => "not-done",
        }
    }
}

/// Who does it: a name, and a role or from where.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// A user's or a token's name.
    pub name: &'a str,
    /// The role, or [`By::SHELL`], or [`By::NOBODY`].
    pub role: &'a str,
}

impl By<'_> {
    /// The role of those who work on the ops store itself.
    pub const SHELL: &'static str = "shell";
    /// The role of those who are not signed in.
    pub const NOBODY: &'static str = "nobody";
}

impl<'a> From<&'a Actor> for By<'a> {
    fn from(actor: &'a Actor) -> Self {
        Self { name: &actor.name, role: actor.role.as_str() }
    }
}

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Note {
    deed: Deed,
    object: String,
    reason: Option<String>,
    detail: Value,
}

impl Note {
    /// That this is done with an object.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an id or a number is told as it is, and a name by reference"
    )]
    pub fn of(deed: Deed, object: impl ToString) -> Self {
        Self { deed, object: object.to_string(), reason: None, detail: json!({}) }
    }

    /// That this is done with the dead letters that a filter means.
    #[must_use]
    pub fn about(deed: Deed, filter: &Filter) -> Self {
        let mut said = json!(filter);
        if let Value::Object(conditions) = &mut said {
            conditions.retain(|_, value| !value.is_null() && *value != json!([]));
        }
        Self::of(deed, said)
    }

    /// Why.
    #[must_use]
    pub fn because(mut self, reason: Option<&str>) -> Self {
        self.reason = reason.map(str::trim).filter(|reason| !reason.is_empty()).map(str::to_owned);
        self
    }

    /// With more about it.
    #[must_use]
    pub fn with(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// Writes it. What can't be written is not to be done.
    ///
    /// # Errors
    /// The store's.
    pub async fn write(self, store: &OpsStore, by: By<'_>) -> Result<Link, StoreError> {
        let Self { deed, object, reason, detail } = self;
        let (actor, role, action) =
            (by.name.to_owned(), by.role.to_owned(), deed.as_str().to_owned());
        store.audit(&Entry { actor, role, action, object, reason, detail }).await
    }
}

/// Writes that what a row says was not done.
///
/// # Errors
/// The store's.
pub async fn not_done(store: &OpsStore, link: &Link, why: &str) -> Result<(), StoreError> {
    let note = Note::of(Deed::NotDone, link.seq).with(json!({ "action": link.action, "why": why }));
    note.write(store, By { name: &link.actor, role: &link.role }).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deed_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            Deed::ALL.iter().map(|deed| deed.as_str()).collect();
        assert_eq!(names.len(), Deed::ALL.len());
    }

    #[test]
    fn of_a_filter_only_what_it_says_is_written() {
        let filter = Filter {
            tenants: vec!["acme".to_owned()],
            text: Some("a".to_owned()),
            ..Filter::default()
        };
        assert_eq!(
            Note::about(Deed::Discard, &filter).object,
            r#"{"tenants":["acme"],"text":"a"}"#
        );
    }
}
