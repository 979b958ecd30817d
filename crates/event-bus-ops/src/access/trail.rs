//! What somebody does, as the audit of the ops store has it: written before it is done. This is the one place from which
//! panel, API and command line write it.

use std::fmt::Display;

use event_bus::audit::chain::{Entry, Link};
use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::Filter;
use event_bus::store::StoreError;
use event_bus::store::ops::OpsStore;
use serde_json::{Value, json};

use super::policy::Actor;

/// A reason has so many characters at most.
pub const MAX_REASON_CHARACTERS: usize = 2_000;
/// A row has so many items of a list at most, and so many characters of another text than a reason: it says how many there are.
const MAX_ITEMS: usize = 100;
const MAX_TEXT_CHARACTERS: usize = 1_000;
/// So large is each of what a row tells of its object and beside it: a row has to fit into a record, in which it is escaped.
const MAX_PART_BYTES: usize = 32 * 1024;

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
        Self::of(deed, in_short(said))
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
    /// See [`Unwritten`].
    pub async fn write(self, store: &OpsStore, by: By<'_>) -> Result<Link, Unwritten> {
        Ok(store.audit(&self.entry(by)?).await?)
    }

    /// What is written, so that it fits into a record of the topic of audit: one that does not would keep all behind it from
    /// being sent there.
    fn entry(self, by: By<'_>) -> Result<Entry, Unwritten> {
        let characters = self.reason.as_deref().map_or(0, |reason| reason.chars().count());
        if characters > MAX_REASON_CHARACTERS {
            return Err(Unwritten::LongReason { characters });
        }
        let mut detail = in_short(self.detail);
        if detail.to_string().len() > MAX_PART_BYTES {
            detail = json!({ "begins": cut(&detail.to_string(), MAX_TEXT_CHARACTERS) });
        }
        let object = if self.object.len() > MAX_PART_BYTES {
            cut(&self.object, MAX_TEXT_CHARACTERS)
        } else {
            self.object
        };
        Ok(Entry {
            actor: cut(by.name, MAX_TEXT_CHARACTERS),
            role: by.role.to_owned(),
            action: self.deed.as_str().to_owned(),
            object,
            reason: self.reason,
            detail,
        })
    }
}

/// Why a row was not written, and what it was about not done.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    /// Its reason is too long.
    #[error("the reason has {characters} characters: say it in at most {MAX_REASON_CHARACTERS}")]
    LongReason {
        /// So many.
        characters: usize,
    },
    /// The store did not take it.
    #[error("it could not be written to the audit, so it was not done")]
    Store(#[from] StoreError),
}

/// The same with the first items of long lists, and how many more there are, and with the beginnings of long texts.
fn in_short(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(&text, MAX_TEXT_CHARACTERS)),
        Value::Array(items) => {
            let more = items.len().saturating_sub(MAX_ITEMS);
            let mut items: Vec<Value> = items.into_iter().take(MAX_ITEMS).map(in_short).collect();
            items.extend((more > 0).then(|| json!(format!("and {more} more"))));
            Value::Array(items)
        }
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, in_short(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// A text that is not longer, or its beginning and how long it is.
fn cut(text: &str, max_characters: usize) -> String {
    match text.char_indices().nth(max_characters) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
    }
}

/// Does something once it is written that it is to be done; and where it could not be done, that is written as well.
///
/// # Errors
/// The deed's, or [`Unwritten`], and then it was not begun.
pub async fn does<T, E: From<Unwritten> + Display>(
    store: &OpsStore,
    by: By<'_>,
    note: Note,
    deed: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let link = note.write(store, by).await?;
    let done = deed.await;
    if let Err(error) = &done
        && let Err(unwritten) = not_done(store, &link, &format!("{error:#}")).await
    {
        let unwritten = error_chain(&unwritten);
        tracing::warn!(error = unwritten, seq = link.seq, "what was not done is audited as done");
    }
    done
}

/// Writes that what a row says was not done.
async fn not_done(store: &OpsStore, link: &Link, why: &str) -> Result<(), Unwritten> {
    let note = Note::of(Deed::NotDone, link.seq).with(json!({ "action": link.action, "why": why }));
    note.write(store, By { name: &link.actor, role: &link.role }).await.map(drop)
}

#[cfg(test)]
mod tests {
    use event_bus::store::ops::AuditFilter;

    use super::*;
    use crate::desk::DeskError;

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

    /// What a row is written as, by somebody with this name.
    fn entry(name: &str, note: Note) -> Result<Entry, Unwritten> {
        note.entry(By { name, role: By::SHELL })
    }

    #[test]
    fn a_row_fits_into_a_record_whatever_is_asked_for() {
        let long = "\u{1}\"ä".repeat(2_000);
        let filter = Filter {
            ids: (0..5_000).map(uuid::Uuid::from_u128).collect(),
            fingerprints: vec![long.clone(); 200],
            condition: Some(long.clone()),
            ..Filter::default()
        };
        let reason = "\u{1}".repeat(MAX_REASON_CHARACTERS);
        let detail = json!({ "patch": vec![json!({ "path": long, "from": long }); 500] });
        let note = Note::about(Deed::Replay, &filter).because(Some(&reason)).with(detail);
        let entry = entry(&long, note).unwrap();
        assert_eq!(entry.reason.as_ref(), Some(&reason));
        let link = Link::next(uuid::Uuid::nil(), None, jiff::Timestamp::UNIX_EPOCH, &entry);
        let record = serde_json::to_string(&link).unwrap();
        assert!(record.len() < event_bus::limits::MAX_RECORD_BYTES / 2, "{}", record.len());
    }

    #[test]
    fn long_lists_and_texts_are_told_by_their_beginnings_and_how_much_there_is() {
        let filter = Filter {
            ids: (0..103).map(uuid::Uuid::from_u128).collect(),
            text: Some("ä".repeat(1_200)),
            ..Filter::default()
        };
        let entry = entry("ann", Note::about(Deed::Discard, &filter)).unwrap();
        let told: Value = serde_json::from_str(&entry.object).unwrap();
        let ids = told["ids"].as_array().unwrap();
        assert_eq!(
            (ids.len(), &ids[99], &ids[100]),
            (101, &json!(filter.ids[99]), &json!("and 3 more"))
        );
        let text = told["text"].as_str().unwrap();
        assert!(text.starts_with("ää") && text.ends_with("ä… (1200 characters)"), "{text}");
    }

    #[tokio::test]
    async fn what_was_written_and_could_not_be_done_is_written_as_not_done() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("ops.db").display());
        let store = OpsStore::open(&url).await.unwrap();
        let (ann, note) =
            (By { name: "ann", role: By::SHELL }, || Note::of(Deed::DisableUser, "bob"));
        let refused = async { Err::<(), _>(DeskError::NoUser("bob".to_owned())) };
        assert!(does(&store, ann, note(), refused).await.is_err());
        assert!(does(&store, ann, note(), async { Ok::<_, DeskError>(7) }).await.is_ok());
        let rows = store.audit_rows(&AuditFilter::default(), 9).await.unwrap();
        let told: Vec<_> = rows.iter().map(|row| (&*row.action, &*row.object)).collect();
        assert_eq!(told, [("disable-user", "bob"), ("not-done", "1"), ("disable-user", "bob")]);
        assert_eq!(rows[1].detail, r#"{"action":"disable-user","why":"there is no user bob"}"#);
        store.close().await;
    }

    #[test]
    fn a_reason_that_is_too_long_is_refused() {
        let note = |characters| {
            let reason = "ä".repeat(characters);
            entry("ann", Note::of(Deed::Discard, "all").because(Some(&reason)))
        };
        assert!(note(MAX_REASON_CHARACTERS).is_ok());
        let told = note(MAX_REASON_CHARACTERS + 1).unwrap_err().to_string();
        assert_eq!(told, "the reason has 2001 characters: say it in at most 2000");
    }
}
