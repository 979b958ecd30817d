//! A record and what is in it, if it is an event.

use std::borrow::Cow;

use event_bus::catalogue::{Catalogue, Event};
use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::Letter;
use event_bus::envelope::{Envelope, ParseError};
use event_bus::headers;
use event_bus::kafka::Record;
use event_bus::names::EventId;
use event_bus::personal::Personal;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::access::policy::{Action, Actor, Object, decide};

/// A record that was read, of an event's topic or of its dead letter topic.
#[derive(Debug)]
pub struct Seen {
    /// It.
    pub record: Record,
    /// What its value says.
    pub envelope: Result<Envelope, ParseError>,
    /// The id that the bus knows its event by.
    pub event_id: Option<EventId>,
    /// Whether it stands on a dead letter topic.
    pub is_dead_letter: bool,
}

impl Seen {
    /// Looks into a record.
    #[must_use]
    pub fn new(record: Record, catalogue: &Catalogue) -> Self {
        let is_dead_letter = catalogue.event_of_dead_letter_topic(&record.topic).is_some();
        // A null value has no bytes, and no bytes are no JSON.
        let envelope = Envelope::parse(record.value.as_deref().unwrap_or_default());
        let event_id = event_id(&record, envelope.as_ref().ok(), is_dead_letter);
        Self { record, envelope, event_id, is_dead_letter }
    }

    /// The key as text.
    #[must_use]
    pub fn key(&self) -> Option<Cow<'_, str>> {
        self.record.key.as_deref().map(String::from_utf8_lossy)
    }

    /// The tenant; a record whose tenant can't be read has none.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.envelope.as_ref().ok().map(|envelope| envelope.tenant_id.as_str())
    }

    /// It without what is personal, and why it is no event, where it is none. It is asked beforehand who may see it.
    #[must_use]
    pub(crate) fn without_personal(self, catalogue: &Catalogue) -> (Self, Option<String>) {
        let personal = Personal::of_record(catalogue, &self.record);
        let problem = self.envelope.as_ref().err().map(|error| personal.text(&error_chain(error)));
        let record = personal.record(&self.record);
        let envelope = Envelope::parse(record.value.as_deref().unwrap_or_default());
        (Self { record, envelope, ..self }, problem)
    }

    /// Everything of the record.
    #[must_use]
    pub fn json(&self) -> Value {
        let record = &self.record;
        let headers: Vec<Value> = record
            .headers
            .iter()
            .map(|header| {
                let value = header.value.as_deref().map(String::from_utf8_lossy);
                json!({ "name": header.name, "value": value })
            })
            .collect();
        let mut document = json!({
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": time(record.timestamp_ms),
            "key": self.key(),
            "event_id": self.event_id,
            "headers": headers,
        });
        match &self.envelope {
            Ok(envelope) => {
                document["event"] = json!(envelope.event);
                document["version"] = json!(envelope.version);
                document["occurred_at"] = json!(envelope.occurred_at);
                document["service"] = json!(envelope.service);
                document["tenant_id"] = json!(envelope.tenant_id);
                document["payload"] = envelope.payload.to_value();
            }
            Err(error) => {
                document["problem"] = error_chain(error).into();
                document["value"] = json!(record.value.as_deref().map(String::from_utf8_lossy));
            }
        }
        document
    }
}

/// The id that the bus knows the event by. A dead letter stands elsewhere than its event stood, so it carries the id
/// of one that had none.
fn event_id(record: &Record, envelope: Option<&Envelope>, is_dead_letter: bool) -> Option<EventId> {
    let carried = || headers::last(&record.headers, headers::EVENT_ID)?.parse().ok();
    let is_replay = || headers::last(&record.headers, headers::REPLAY_ID).is_some();
    let derived = || {
        let value = record.value.as_deref().unwrap_or_default();
        EventId::of_position(
            &record.topic,
            record.partition,
            record.offset,
            record.timestamp_ms,
            value,
        )
    };
    if let Some(id) = envelope.and_then(|envelope| envelope.event_id) {
        return Some(id);
    }
    if (is_dead_letter || is_replay())
        && let Some(id) = carried()
    {
        return Some(id);
    }
    (!is_dead_letter).then(derived)
}

/// The services whose event it is.
pub(crate) fn services_of(event: &Event) -> Vec<&str> {
    let consumers = event.consumers.iter().map(|consumer| consumer.service.as_str());
    [event.producer.as_str()].into_iter().chain(consumers).collect()
}

/// Whether a record is in scope: a dead letter as each is, an event by any of its services.
pub(crate) fn may_see(catalogue: &Catalogue, actor: &Actor, seen: &Seen) -> bool {
    let tenant = seen.tenant();
    if seen.is_dead_letter {
        return Letter::read(&seen.record).is_ok_and(|letter| {
            let object = Object::Letter { service: &letter.service, tenant };
            decide(actor, Action::See, object).is_ok()
        });
    }
    let event = catalogue.event_of_topic(seen.record.topic.as_str());
    event.is_some_and(|event| {
        let object = Object::Event { services: &services_of(event), tenant };
        decide(actor, Action::See, object).is_ok()
    })
}

/// When a record came onto its topic, as it is shown.
#[must_use]
pub fn time(millis: i64) -> String {
    Timestamp::from_millisecond(millis)
        .map_or_else(|_| millis.to_string(), |time| format!("{time:.3}"))
}
