//! From a record to an event that may be handled, or to the reason why it may not. Pure.

use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::attempts::Latest;
use super::job::Arrival;
use super::lane::LaneKey;
use crate::catalogue::{self, Version};
use crate::dead_letter::{Cause, Reason};
use crate::envelope::{Envelope, ParseError};
use crate::headers::{self, Header};
use crate::kafka::Record;
use crate::limits::{self, LimitExceeded};
use crate::names::{EventId, GroupName, ServiceName, TenantId};
use crate::replay::Replay;
use crate::store::{Claim, ReplayClaim};
use crate::trace_context::TraceContext;

/// A record, read and checked.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) record: Record,
    /// As the inbox knows it.
    pub(crate) claim: Claim,
    /// Whose replay it is, if it is one.
    pub(crate) replayed: Replayed,
    /// The envelope, or why the handler must not see it.
    pub(crate) envelope: Result<Opened, Box<Cause>>,
    /// The span of its latest attempt, if it has one.
    pub(crate) latest: Latest,
}

/// Whether a record is a replay, and for whom.
#[derive(Debug)]
pub(crate) enum Replayed {
    /// It is none.
    Not,
    /// Its group could not handle the event before.
    Ours(Replay),
    /// For this group nothing is to be done: it is another's replay, or an event in a major that this one does not handle, which
    /// stands here in its own major too.
    Others,
}

/// An envelope that was checked. Many wait for their turn, so it holds no more than a handler is told, and the payload
/// stays where it is in the record's value.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) version: Version,
    pub(crate) occurred_at: Timestamp,
    pub(crate) service: ServiceName,
    pub(crate) tenant_id: TenantId,
    payload: Range<usize>,
}

impl Received {
    /// Reads a record of `event`'s topic for a group.
    pub(crate) fn read(record: Record, event: &catalogue::Event, group: &GroupName) -> Arc<Self> {
        let replayed = match Replay::read(&record.headers) {
            None => Replayed::Not,
            Some(replay) if replay.group == *group => Replayed::Ours(replay),
            Some(_) => Replayed::Others,
        };
        let value = record.value.as_deref().unwrap_or_default();
        let sha256 = Sha256::digest(value).into();
        let parsed = parse(&record);
        let replayed = match (replayed, &parsed) {
            (Replayed::Not, Ok((envelope, _))) if is_in_other_major(envelope, event, group) => {
                Replayed::Others
            }
            (replayed, _) => replayed,
        };
        // What is no envelope has no tenant, and names itself by its place.
        let (tenant, own_id) = match &parsed {
            Ok((envelope, _)) => (envelope.tenant_id.to_string(), envelope.event_id),
            Err(_) => (String::new(), None),
        };
        let (event_id, replay) = match &replayed {
            // The inbox knows it by the id that its dead letter says: an envelope may have none, or another event's.
            Replayed::Ours(replay) => {
                let (key, chain_seq) = (record.key.clone(), replay.chain_seq);
                (replay.event_id, Some(ReplayClaim { of: replay.of, key, chain_seq }))
            }
            _ => (own_id.unwrap_or_else(|| position_id(&record)), None),
        };
        let claim = Claim { tenant, event_id, sha256, offset: record.offset, replay };
        let opened = parsed.and_then(|(envelope, payload)| {
            check(&envelope, event)?;
            if let Replayed::Ours(_) = &replayed {
                check_major(&envelope, event, group)?;
            }
            Ok(Opened::new(envelope, payload, event))
        });
        let envelope = opened.map_err(Box::new);
        Arc::new(Self { record, claim, replayed, envelope, latest: Latest::default() })
    }

    /// Whether there is something to do about it.
    pub(crate) fn is_for_this_group(&self) -> bool {
        !matches!(self.replayed, Replayed::Others)
    }

    /// What its headers say, if it is a replay for this group.
    pub(crate) fn replay(&self) -> Option<&Replay> {
        match &self.replayed {
            Replayed::Ours(replay) => Some(replay),
            Replayed::Not | Replayed::Others => None,
        }
    }

    /// The payload's text, as its publisher wrote it; empty where no handler may see it.
    pub(crate) fn payload(&self) -> &[u8] {
        let value = self.record.value.as_deref().unwrap_or_default();
        let opened = self.envelope.as_ref().ok();
        opened.and_then(|opened| value.get(opened.payload.clone())).unwrap_or_default()
    }

    /// The same event under the id of its position, for one whose own id is another event's.
    pub(crate) fn claim_by_position(&self) -> Claim {
        Claim { event_id: position_id(&self.record), replay: None, ..self.claim.clone() }
    }

    /// The span that published it, if that told of itself.
    pub(crate) fn published(&self) -> Option<TraceContext> {
        headers::last(&self.record.headers, headers::TRACEPARENT)?.parse().ok()
    }

    /// The trace that the event belongs to. Where none came with it, all that is done about it still has the same.
    pub(crate) fn trace(&self) -> TraceContext {
        self.published().unwrap_or_else(|| TraceContext::of_event(self.claim.event_id))
    }
}

impl Opened {
    fn new(envelope: Envelope, payload: Range<usize>, event: &catalogue::Event) -> Self {
        let Envelope { version, occurred_at, service, tenant_id, .. } = envelope;
        // Nearly always it is the catalogue's, whose text is there already.
        let service = if service == event.producer { event.producer.clone() } else { service };
        Self { version, occurred_at, service, tenant_id, payload }
    }
}

impl Arrival for Arc<Received> {
    fn partition(&self) -> i32 {
        self.record.partition
    }

    fn offset(&self) -> i64 {
        self.record.offset
    }

    fn key(&self) -> &LaneKey {
        &self.record.key
    }

    fn seed(&self) -> u64 {
        self.claim.event_id.as_uuid().as_u64_pair().1
    }

    fn doom(&self) -> Option<&Cause> {
        let envelope = self.envelope.as_ref();
        envelope.err().map(|cause| &**cause).filter(|_| self.is_for_this_group())
    }

    fn is_replay(&self) -> bool {
        !matches!(self.replayed, Replayed::Not)
    }
}

/// Why no handler of `event` must see a record, or not that of this group, if so.
pub(crate) fn doom_of(
    record: &Record,
    event: &catalogue::Event,
    group: Option<&GroupName>,
) -> Option<Cause> {
    let checked = parse(record).and_then(|(envelope, _)| {
        check(&envelope, event)?;
        group.map_or(Ok(()), |group| check_major(&envelope, event, group))
    });
    checked.err()
}

/// Whether an event is in one of the catalogue's majors, and the group handles another.
fn is_in_other_major(envelope: &Envelope, event: &catalogue::Event, group: &GroupName) -> bool {
    let major = envelope.version.major;
    let consumer = event.consumers.iter().find(|consumer| consumer.group == *group);
    envelope.event == event.name
        && consumer.is_some_and(|consumer| consumer.major != major)
        && event.versions.iter().any(|known| known.version.major == major)
}

/// Refuses what is in another major than the group handles. As it was published it is passed over, but whoever sends it back
/// to the group means it to be handled.
fn check_major(
    envelope: &Envelope,
    event: &catalogue::Event,
    group: &GroupName,
) -> Result<(), Cause> {
    if !is_in_other_major(envelope, event, group) {
        return Ok(());
    }
    let text = format!(
        "version {} of {} is in a major that {group} does not handle",
        envelope.version, event.name
    );
    Err(Cause::new(Reason::UnsupportedVersion, "UnsupportedVersion", text))
}

fn position_id(record: &Record) -> EventId {
    let value = record.value.as_deref().unwrap_or_default();
    EventId::of_position(&record.topic, record.partition, record.offset, record.timestamp_ms, value)
}

fn parse(record: &Record) -> Result<(Envelope, Range<usize>), Cause> {
    let Some(value) = record.value.as_deref() else {
        let text = "the record has no value, so it is no event";
        return Err(Cause::new(Reason::NullValue, "NullValue", text));
    };
    let headers = record.headers.iter().map(Header::parts);
    if let Err(error) = limits::check_record(record.key.as_deref(), Some(value), headers) {
        let reason = match error {
            LimitExceeded::Record { .. } => Reason::TooLarge,
            LimitExceeded::Key { .. }
            | LimitExceeded::Headers { .. }
            | LimitExceeded::HeaderBytes { .. } => Reason::Malformed,
        };
        return Err(Cause::of(reason, "LimitExceeded", &error));
    }
    Envelope::parse_placed(value)
        .map_err(|error| Cause::of(Reason::Malformed, parse_error_type(&error), &error))
}

fn parse_error_type(error: &ParseError) -> &'static str {
    match error {
        ParseError::TooDeep => "TooDeep",
        ParseError::NotUtf8(_) => "NotUtf8",
        ParseError::NotJson(_) => "NotJson",
        ParseError::NotAnEnvelope(_) => "NotAnEnvelope",
    }
}

fn check(envelope: &Envelope, event: &catalogue::Event) -> Result<(), Cause> {
    if envelope.event != event.name {
        let text = format!(
            "the envelope says {}, but {} carries {}",
            envelope.event, event.topic, event.name
        );
        return Err(Cause::new(Reason::WrongTopic, "WrongTopic", text));
    }
    let schema = event
        .schema_for(&envelope.version)
        .map_err(|error| Cause::of(Reason::UnsupportedVersion, "UnsupportedVersion", &error))?;
    schema.check(&envelope.payload).map_err(|violations| {
        let listed: Vec<String> = violations.iter().map(ToString::to_string).collect();
        Cause::new(Reason::SchemaInvalid, "SchemaInvalid", listed.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue::Catalogue;

    const SCHEMA: &str =
        r#"{ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object" }"#;

    /// An event of two majors, of which `mail` handles the second.
    fn two_majors() -> Catalogue {
        let toml = r#"
            namespace = "corner"
            services = { shop = { title = "Shop" }, mail = { title = "Mail" } }
            [events.OrderPlaced]
            topic = "order.placed"
            description = "A customer placed an order."
            producer = "shop"
            key = ["/tenant_id"]
            versions = ["1.0", "2.0"]
            [events.OrderPlaced.consumers.mail]
            major = 2
            reads = []
        "#;
        Catalogue::parse("corner.toml", toml, |_| Ok(SCHEMA.to_owned())).unwrap()
    }

    fn record(event: &catalogue::Event, version: &str, headers: Vec<Header>) -> Record {
        let value = json!({
            "event_id": "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10", "event": "OrderPlaced", "version": version,
            "occurred_at": "2026-03-01T09:00:00Z", "service": "shop", "tenant_id": "t", "payload": {},
        });
        let value = Some(value.to_string().into());
        let (topic, key) = (event.topic.clone(), Some("t".into()));
        Record { topic, partition: 0, offset: 7, timestamp_ms: 0, key, value, headers }
    }

    #[test]
    fn an_event_of_another_major_is_passed_over_and_its_replay_is_refused() {
        let catalogue = two_majors();
        let event = catalogue.event("OrderPlaced").unwrap();
        let group = &event.consumers[0].group;
        let read = |record: Record| Received::read(record, event, group);
        let of_ours = read(record(event, "2.0", Vec::new()));
        assert!(of_ours.is_for_this_group() && of_ours.doom().is_none());
        let of_others = read(record(event, "1.0", Vec::new()));
        assert!(!of_others.is_for_this_group() && of_others.doom().is_none());

        let id = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10".to_owned();
        let names = [headers::REPLAY_ID, headers::REPLAY_OF, headers::EVENT_ID];
        let mut replay: Vec<Header> = names.map(|name| Header::text(name, id.clone())).into();
        replay.push(Header::text(headers::REPLAY_FOR, group.to_string()));
        let sent_back = record(event, "1.0", replay.clone());
        let doom = doom_of(&sent_back, event, Some(group)).map(|cause| cause.reason);
        assert_eq!(doom, Some(Reason::UnsupportedVersion));
        assert_eq!(doom_of(&sent_back, event, None), None);
        let sent_back = read(sent_back);
        let doom = sent_back.doom().map(|cause| cause.reason);
        assert!(sent_back.is_for_this_group());
        assert_eq!(doom, Some(Reason::UnsupportedVersion));
        assert!(read(record(event, "2.0", replay)).doom().is_none());
    }
}
