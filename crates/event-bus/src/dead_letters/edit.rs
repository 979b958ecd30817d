//! A dead letter goes back with another value: for an event that nobody can handle as it was published.

use bytes::Bytes;
use uuid::Uuid;

use super::{Found, Plan, Refusal, originals};
use crate::audit::{Action, Deed, NotWritten};
use crate::catalogue::Catalogue;
use crate::envelope::{Envelope, OutgoingRecord};
use crate::headers::{Header, REPLAY_EDITED_BY};
use crate::kafka::Record;
use crate::kafka::admin::Admin;
use crate::kafka::producer::SendError;
use crate::kafka::reader::ReadError;
use crate::publisher::Publisher;

/// An edited value that is not sent. The dead letter stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// Its state does not allow it.
    #[error("the dead letter {0}")]
    NotOpen(Refusal),
    /// Retention took its record, so its headers are not known.
    #[error("retention has taken the dead letter's record")]
    Gone,
    /// The value is the one that died.
    #[error("nothing was changed: `event-bus dlq replay` sends it as it is")]
    Unchanged,
    /// Another event or tenant would be in its place.
    #[error(
        "{field} was {was} and is {now}: an edit keeps it, publish another event in place of this"
    )]
    Another {
        /// Which field.
        field: &'static str,
        /// What it was.
        was: String,
        /// What the edited value says.
        now: String,
    },
    /// Its consumer would not handle it either.
    #[error("the edited event would be dead at once: {0}")]
    Doomed(String),
    /// The record could not be read.
    #[error("the dead letter could not be read")]
    Read(#[from] ReadError),
    /// The deed was not written.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    /// It was not sent: `event-bus dlq restore` opens it again.
    #[error("the edited event was not sent: `event-bus dlq restore` opens the dead letter again")]
    NotSent(#[from] SendError),
}

/// A dead letter with another value, which its consumer would handle.
#[derive(Debug)]
pub struct Edit<'a> {
    found: &'a Found,
    /// The record of the dead letter, as it is.
    pub original: Record,
    /// Its value from now on.
    pub value: Bytes,
}

impl<'a> Edit<'a> {
    /// Checks what would go back.
    ///
    /// # Errors
    /// See [`EditError`].
    pub async fn plan(
        admin: &Admin,
        catalogue: &Catalogue,
        found: &'a Found,
        value: Bytes,
    ) -> Result<Self, EditError> {
        if let Some(refusal) = Plan::replay(catalogue, [found]).refused.into_keys().next() {
            return Err(EditError::NotOpen(refusal));
        }
        let mut originals = originals(admin, &[found]).await?;
        let original = originals.remove(&found.letter.id).ok_or(EditError::Gone)?;
        Self::of(catalogue, found, original, value)
    }

    /// Checks what would go back of an open dead letter, whose record this is.
    pub(super) fn of(
        catalogue: &Catalogue,
        found: &'a Found,
        original: Record,
        value: Bytes,
    ) -> Result<Self, EditError> {
        if original.value.as_ref() == Some(&value) {
            return Err(EditError::Unchanged);
        }
        keeps(found, &value)?;
        let edited = Record { value: Some(value.clone()), ..original.clone() };
        if let Some(doom) = found.doom(catalogue, &edited) {
            return Err(EditError::Doomed(doom));
        }
        Ok(Self { found, original, value })
    }

    /// Sends it, to its group alone. The dead letter and its bytes stay; the headers of what is sent say who edited it.
    ///
    /// # Errors
    /// See [`EditError`].
    pub async fn carry_out(
        self,
        publisher: &Publisher,
        by: &str,
        reason: &str,
    ) -> Result<Uuid, EditError> {
        let letter = &self.found.letter;
        let reason = format!("edited: {reason}");
        let deed = Deed::about_letters(Action::Replay, vec![letter.id], by, Some(&reason));
        deed.write(publisher).await?;
        let replay = deed.id;
        publisher.begin_sealed(&self.record(replay, by)).await?.delivered().await?;
        Ok(replay)
    }

    /// Which dead letter it is of.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.found.letter.id
    }

    /// What goes back.
    pub(super) fn record(self, replay: Uuid, by: &str) -> OutgoingRecord {
        let edited = Record { value: Some(self.value), ..self.original };
        let mut record = self.found.letter.replayed(replay, edited);
        record.headers.push(Header::text(REPLAY_EDITED_BY, by));
        record
    }
}

/// Whether event, tenant and id are those of the dead letter. A value that is no envelope is judged by others.
fn keeps(found: &Found, value: &[u8]) -> Result<(), EditError> {
    let Ok(envelope) = Envelope::parse(value) else { return Ok(()) };
    let letter = &found.letter;
    let same = |field, was: Option<&str>, now: String| match was {
        Some(was) if was != now => Err(EditError::Another { field, was: was.to_owned(), now }),
        _ => Ok(()),
    };
    if let Some(id) = envelope.event_id {
        same("event_id", Some(&letter.event_id.to_string()), id.to_string())?;
    }
    same("tenant_id", letter.tenant.as_deref(), envelope.tenant_id.to_string())?;
    same("event", letter.event.as_deref(), envelope.event.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::letter::tests::dead;
    use crate::dead_letters::{Letter, State};

    #[test]
    fn an_edit_keeps_event_and_tenant() {
        let record = dead(7, "no money", "2026-01-02T00:00:00Z");
        let found = Found { letter: Letter::read(&record).unwrap(), state: State::Open };
        let text = String::from_utf8(record.value.clone().unwrap().into()).unwrap();
        let edited = |from: &str, to: &str| {
            keeps(&found, text.replace(from, to).as_bytes()).map_err(|error| error.to_string())
        };
        edited("\"payload\":{}", "\"payload\":{\"a\":1}").unwrap();
        for (from, to, field) in [
            ("000000000007", "000000000008", "event_id"),
            ("acme", "bolt", "tenant_id"),
            ("OrderPlaced", "OrderSent", "event"),
        ] {
            let error = edited(from, to).unwrap_err();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
