//! What the record of a dead letter says: without what is personal for everybody, and as it is for those who reveal it, with
//! a reason that is written down before.
//!
//! Whatever shows the record of a dead letter, or a text that may quote one, takes it from here. Other records are shown as
//! `Seen::without_personal` of this crate gives them.

use event_bus::Catalogue;
use event_bus::dead_letters::{
    Filter, Found, Letter, Moment, Reached, originals, reached, timeline,
};
use event_bus::envelope::Envelope;
use event_bus::kafka::Record;
use event_bus::personal::Personal;
use event_bus::store::ops::Place;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{Desk, DeskError, Lineage};
use crate::access::policy::{Action, Actor, decide};
use crate::access::trail::{Deed, Note};

/// So many values are read at once.
pub(crate) const VALUES: u32 = 100;

/// The record of a dead letter, as somebody sees it.
#[derive(Debug)]
pub struct Seen {
    /// It, without what is personal unless that was revealed.
    pub record: Record,
    /// Why no handler would see it.
    pub doom: Option<String>,
    /// What the schema of its event has against it, by pointers into the envelope.
    pub violations: Vec<(String, String)>,
    /// Whether something personal is masked in it.
    pub is_masked: bool,
    /// So many bytes has the value, with all that is in it.
    pub bytes: usize,
}

impl Seen {
    fn of(
        catalogue: &Catalogue,
        found: &Found,
        record: Record,
        personal: Option<&Personal>,
    ) -> Self {
        let value = record.value.as_deref().unwrap_or_default();
        let (doom, bytes) = (found.doom(catalogue, &record), value.len());
        let violations = violations(catalogue, found, value);
        let Some(personal) = personal else {
            return Self { record, doom, violations, is_masked: false, bytes };
        };
        let masked = |(pointer, message): (String, String)| {
            (personal.pointer(&pointer), personal.text(&message))
        };
        Self {
            doom: doom.map(|doom| personal.text(&doom)),
            violations: violations.into_iter().map(masked).collect(),
            record: personal.record(&record),
            is_masked: personal.hides(),
            bytes,
        }
    }
}

/// What the schema of its event has against a value, by pointers into the envelope.
fn violations(catalogue: &Catalogue, found: &Found, value: &[u8]) -> Vec<(String, String)> {
    let event = catalogue.event_of_topic(found.letter.topic.as_str());
    let (Some(event), Ok(envelope)) = (event, Envelope::parse(value)) else { return Vec::new() };
    let Ok(schema) = event.schema_for(&envelope.version) else { return Vec::new() };
    let violations = schema.violations(&envelope.payload).into_iter();
    violations.map(|wrong| (format!("/payload{}", wrong.pointer), wrong.message)).collect()
}

/// What a record says, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its key.
    pub key: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// Its headers.
    pub headers: Vec<(String, Option<String>)>,
    /// Whether something personal is masked in it.
    pub is_masked: bool,
}

impl Content {
    fn of(record: &Record, is_masked: bool) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = record
            .headers
            .iter()
            .map(|header| (header.name.to_string(), header.value.as_deref().map(text)));
        Self {
            key: record.key.as_deref().map(text),
            value: record.value.as_deref().map(text),
            headers: headers.collect(),
            is_masked,
        }
    }
}

/// All that is known of a dead letter.
#[derive(Debug, Serialize, Deserialize)]
pub struct Known {
    /// It, and its family.
    #[serde(flatten)]
    pub family: Lineage,
    /// What its record says; `None` where retention took it.
    pub content: Option<Content>,
    /// Why no handler would see it.
    pub doom: Option<String>,
    /// What its schema has against it, by pointers into the envelope.
    pub violations: Vec<(String, String)>,
    /// What happened to its event.
    pub timeline: Vec<Moment>,
    /// How far the groups are that consume it.
    pub groups: Vec<Reached>,
}

/// A page of dead letters with what their records say.
#[derive(Debug, Serialize, Deserialize)]
pub struct Contents {
    /// They; the content is gone where retention took the record.
    pub letters: Vec<(Found, Option<Content>)>,
    /// What `after` says for the next page; none behind the last one.
    pub next: Option<String>,
}

impl Desk {
    pub(crate) fn personal(&self, found: &Found, record: &Record) -> Personal {
        Personal::of_letter(&self.catalogue, &found.letter, record.value.as_deref())
    }

    pub(crate) async fn record(&self, found: &Found) -> Result<Option<Record>, DeskError> {
        found.record(&self.admin).await.map_err(|error| DeskError::failed(&error))
    }

    /// The record of a dead letter, as everybody sees it.
    pub(crate) async fn seen(&self, found: &Found) -> Result<Option<Seen>, DeskError> {
        Ok(self.record(found).await?.map(|record| {
            let personal = self.personal(found, &record);
            Seen::of(&self.catalogue, found, record, Some(&personal))
        }))
    }

    /// The record of a dead letter as it is, for somebody who says why. That is written before.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn reveal(
        &self,
        actor: &Actor,
        id: Uuid,
        reason: &str,
    ) -> Result<(Lineage, Option<Seen>), DeskError> {
        let mut family = self.letter(actor, Action::Reveal, id).await?;
        let reason = said(reason)?;
        let letter = &family.found.letter;
        let detail =
            json!({ "group": letter.group, "tenant": letter.tenant, "event_id": letter.event_id });
        let note = Note::of(Deed::Reveal, id).because(Some(reason)).with(detail);
        note.write(&self.store, actor.into()).await?;
        let Some(record) = self.record(&family.found).await? else { return Ok((family, None)) };
        family.found.letter = as_it_is(family.found.letter, &record);
        let seen = Seen::of(&self.catalogue, &family.found, record, None);
        Ok((family, Some(seen)))
    }

    /// What happened to a dead letter's event, and how far the groups are that consume it.
    pub(crate) async fn history(
        &self,
        family: &Lineage,
    ) -> Result<(Vec<Moment>, Vec<Reached>), DeskError> {
        let (admin, catalogue) = (&self.admin, &self.catalogue);
        let told = async {
            let record = self.record(&family.found).await?;
            let kin: Vec<&Found> = family.lineage.iter().collect();
            let moments = timeline(admin, catalogue, &kin, record.as_ref()).await;
            let mut moments = moments.map_err(|error| DeskError::failed(&error))?;
            if let Some(record) = &record {
                let personal = self.personal(&family.found, record);
                moments.iter_mut().for_each(|moment| moment.what = personal.text(&moment.what));
            }
            Ok::<_, DeskError>(moments)
        };
        // Of the event as it was published, and not of a replay that died.
        let first = family.lineage.first().unwrap_or(&family.found);
        let reached = async {
            reached(admin, catalogue, first).await.map_err(|error| DeskError::failed(&error))
        };
        tokio::try_join!(told, reached)
    }

    /// All that is known of a dead letter; as it is where a reason is given.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn known(
        &self,
        actor: &Actor,
        id: Uuid,
        reason: Option<&str>,
    ) -> Result<Known, DeskError> {
        let (family, seen) = match reason {
            Some(reason) => self.reveal(actor, id, reason).await?,
            None => {
                let family = self.letter(actor, Action::See, id).await?;
                let seen = self.seen(&family.found).await?;
                (family, seen)
            }
        };
        let (timeline, groups) = self.history(&family).await?;
        let content = seen.as_ref().map(|seen| Content::of(&seen.record, seen.is_masked));
        let (doom, violations) = seen.map(|seen| (seen.doom, seen.violations)).unwrap_or_default();
        Ok(Known { family, content, doom, violations, timeline, groups })
    }

    /// A page of dead letters with what their records say; as it is where a reason is given, which is written before.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn contents(
        &self,
        actor: &Actor,
        filter: Filter,
        after: Option<Place>,
        limit: u32,
        reason: Option<&str>,
    ) -> Result<(Contents, Option<Place>), DeskError> {
        let action = if reason.is_some() { Action::Reveal } else { Action::See };
        // As it was asked for: a condition is many ids once it is found out what it means.
        let note = Note::about(Deed::Export, &filter);
        let filter = self.meant(actor, action, filter).await?;
        let mut shown = self.store.letters(&filter, after, limit.min(VALUES)).await?;
        shown.letters.retain(|found| decide(actor, action, found.into()).is_ok());
        if let Some(reason) = reason {
            let ids: Vec<Uuid> = shown.letters.iter().map(|found| found.letter.id).collect();
            let note = note.because(Some(said(reason)?)).with(json!({ "revealed": ids }));
            note.write(&self.store, actor.into()).await?;
        }
        let records = originals(&self.admin, &shown.letters.iter().collect::<Vec<_>>()).await;
        let mut records = records.map_err(|error| DeskError::failed(&error))?;
        let letters = shown.letters.into_iter().map(|found| {
            let Some(record) = records.remove(&found.letter.id) else { return (found, None) };
            if reason.is_some() {
                let letter = as_it_is(found.letter, &record);
                return (Found { letter, ..found }, Some(Content::of(&record, false)));
            }
            let personal = self.personal(&found, &record);
            let content = Content::of(&personal.record(&record), personal.hides());
            (found, Some(content))
        });
        let next = shown.next.map(|place| format!("{}-{}", place.failed_at, place.seq));
        Ok((Contents { letters: letters.collect(), next }, shown.next))
    }
}

/// A dead letter with the texts that its record has, which the index has without what is personal.
fn as_it_is(letter: Letter, record: &Record) -> Letter {
    Letter::read(record).unwrap_or(letter)
}

/// The reason, if there is one.
fn said(reason: &str) -> Result<&str, DeskError> {
    match reason.trim() {
        "" => Err(DeskError::Unclear("a reason is needed to reveal personal data".to_owned())),
        reason => Ok(reason),
    }
}
