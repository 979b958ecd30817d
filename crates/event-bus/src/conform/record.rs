//! What is wrong with one record, whatever came before it.

use jiff::Timestamp;

use super::Kind;
use crate::catalogue::{Catalogue, Event};
use crate::envelope::{Envelope, ParseError};
use crate::headers::{self, Header};
use crate::kafka::Record;
use crate::limits;
use crate::partition::partition_for;

/// Whose records name no service.
pub(super) const UNKNOWN: &str = "(unknown)";
/// How much is quoted of what a record says.
const QUOTED_CHARS: usize = 100;

/// What is found of one record.
pub(super) type Found = Vec<(Kind, String)>;

/// A record that was looked at.
pub(super) struct Seen {
    pub(super) service: String,
    /// What it holds, where that can be read.
    pub(super) envelope: Option<Envelope>,
    pub(super) found: Found,
}

/// Looks at a record of `event`'s topic, which has so many partitions.
pub(super) fn look(record: &Record, event: &Event, partitions: i32, catalogue: &Catalogue) -> Seen {
    let mut found = Found::new();
    let parts = record.headers.iter().map(Header::parts);
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    if let Err(error) = limits::check_record(key, value, parts) {
        found.push((Kind::OverLimit, error.to_string()));
    }
    let partition = key.map_or(record.partition, |key| partition_for(key, partitions));
    if record.partition != partition {
        let what = format!("its key belongs into partition {partition} of {partitions}");
        found.push((Kind::WrongPartition, what));
    }
    let Some(value) = value else {
        found.push((Kind::NullValue, "it has no value, so it is no event".to_owned()));
        return Seen { service: claimed(record), envelope: None, found };
    };
    match Envelope::parse(value) {
        Ok(envelope) => {
            check_envelope(&envelope, event, catalogue, &mut found);
            check_key(record, &envelope, event, &mut found);
            check_headers(record, &envelope, catalogue, &mut found);
            Seen { service: envelope.service.to_string(), envelope: Some(envelope), found }
        }
        Err(error) => {
            found.push(unreadable(value, &error));
            Seen { service: claimed(record), envelope: None, found }
        }
    }
}

fn check_envelope(envelope: &Envelope, event: &Event, catalogue: &Catalogue, found: &mut Found) {
    match envelope.event_id.map(|id| id.as_uuid().get_version_num()) {
        None => found.push((Kind::IdMissing, "its envelope has no event_id".to_owned())),
        Some(5 | 7) => {}
        Some(version) => {
            let what = format!("its id is a UUID of version {version}, and should be one of 7");
            found.push((Kind::IdVersion, what));
        }
    }
    let Some(known) = catalogue.event(envelope.event.as_str()) else {
        let what = format!("the catalogue has no event {}", envelope.event);
        found.push((Kind::UnknownEvent, what));
        return;
    };
    if known.name != event.name {
        let what = format!("{} belongs on {}", known.name, known.topic);
        found.push((Kind::WrongTopic, what));
    }
    if envelope.service != known.producer {
        let what = format!(
            "{} says it published {}, whose producer is {}",
            envelope.service, known.name, known.producer
        );
        found.push((Kind::WrongService, what));
    }
    match known.schema_of(&envelope.version) {
        Err(error) => found.push((Kind::UnknownVersion, error.to_string())),
        Ok(schema) => {
            if let Err(violations) = schema.check(&envelope.payload) {
                let all: Vec<String> = violations.iter().map(ToString::to_string).collect();
                found.push((Kind::SchemaViolation, all.join("; ")));
            }
        }
    }
}

fn check_key(record: &Record, envelope: &Envelope, event: &Event, found: &mut Found) {
    // Of another topic's event, this topic's key can't be told.
    if envelope.event != event.name {
        return;
    }
    let mut wanted = Vec::new();
    if event.key.write(&envelope.tenant_id, &envelope.payload, &mut wanted).is_err() {
        // Its schema says so too.
        return;
    }
    let wanted = String::from_utf8_lossy(&wanted);
    match record.key.as_deref() {
        None => {
            let what = format!("it has no key, and so no order; its ordering key is {wanted}");
            found.push((Kind::KeyMissing, what));
        }
        Some(key) if key == wanted.as_bytes() => {}
        Some(key) => {
            let key = quoted(&String::from_utf8_lossy(key));
            found
                .push((Kind::WrongKey, format!("its key is {key}, and its ordering key {wanted}")));
        }
    }
}

fn check_headers(record: &Record, envelope: &Envelope, catalogue: &Catalogue, found: &mut Found) {
    let source = format!("/{}/{}", catalogue.namespace(), envelope.service);
    let id = envelope.event_id.map(|id| id.to_string());
    let said = |name: &'static str, wanted: &str| {
        let is_said = move |text: &str| text == wanted;
        check_header(record, name, wanted, &is_said)
    };
    let is_time =
        |text: &str| text.parse::<Timestamp>().is_ok_and(|time| time == envelope.occurred_at);
    let is_json = |text: &str| {
        let media_type = text.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case(headers::CONTENT_TYPE_VALUE)
    };
    let occurred_at = envelope.occurred_at.to_string();
    let checked = [
        said(headers::CE_SPECVERSION, headers::CE_SPECVERSION_VALUE),
        // An envelope without an id contradicts none.
        id.as_deref().and_then(|id| said(headers::CE_ID, id)),
        said(headers::CE_TYPE, envelope.event.as_str()),
        said(headers::CE_SOURCE, &source),
        check_header(record, headers::CE_TIME, &occurred_at, &is_time),
        said(headers::CE_TENANTID, envelope.tenant_id.as_str()),
        check_header(record, headers::CONTENT_TYPE, headers::CONTENT_TYPE_VALUE, &is_json),
    ];
    found.extend(checked.into_iter().flatten());
    let traces = record.headers.iter().filter(|header| header.name == headers::TRACEPARENT).count();
    let trace = headers::last(&record.headers, headers::TRACEPARENT);
    if traces > 1 {
        found.push((Kind::HeaderDoubled, doubled(headers::TRACEPARENT, traces)));
    } else if trace.is_none_or(|text| text.parse::<crate::trace_context::TraceContext>().is_err()) {
        found.push((Kind::TraceMissing, "it has no traceparent that can be read".to_owned()));
    }
    if let Some(added) = record.headers.iter().find(|header| header.is_added()) {
        let what = format!("{} belongs to dead letters and replays", quoted(&added.name));
        found.push((Kind::HeaderReserved, what));
    }
}

/// What is wrong with a header that is to stand there once.
fn check_header(
    record: &Record,
    name: &'static str,
    wanted: &str,
    is_said: &dyn Fn(&str) -> bool,
) -> Option<(Kind, String)> {
    let count = record.headers.iter().filter(|header| header.name == name).count();
    match (count, headers::last(&record.headers, name)) {
        (0, _) => Some((Kind::HeaderMissing, format!("it has no header {name}"))),
        (2.., _) => Some((Kind::HeaderDoubled, doubled(name, count))),
        (_, Some(text)) if is_said(text) => None,
        (_, text) => {
            let text = quoted(text.unwrap_or("no text"));
            let what = format!("its header {name} is {text}, and should be {}", quoted(wanted));
            Some((Kind::HeaderMismatch, what))
        }
    }
}

fn doubled(name: &str, count: usize) -> String {
    format!("it has the header {name} {count} times")
}

/// Why a value is no envelope.
fn unreadable(value: &[u8], error: &ParseError) -> (Kind, String) {
    match error {
        ParseError::TooDeep => (Kind::OverLimit, error.to_string()),
        ParseError::NotAnEnvelope(source) => match tenant_said(value) {
            Some(tenant) if tenant.is_empty() => {
                (Kind::TenantMissing, "its tenant_id is absent or empty".to_owned())
            }
            _ => (Kind::Malformed, format!("{error}: {source}")),
        },
        ParseError::NotUtf8(_) | ParseError::NotJson(_) => (Kind::Malformed, error.to_string()),
    }
}

/// The tenant of what is nearly an envelope; empty where there is none.
fn tenant_said(value: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(value).ok()?;
    match value.as_object()?.get("tenant_id") {
        None => Some(String::new()),
        Some(tenant) => tenant.as_str().map(str::to_owned),
    }
}

/// The service that a record without an envelope seems to be from.
fn claimed(record: &Record) -> String {
    let value = record.value.as_deref().unwrap_or_default();
    let value: Option<serde_json::Value> = serde_json::from_slice(value).ok();
    let said = value.as_ref().and_then(|value| value.get("service")?.as_str());
    let source = headers::last(&record.headers, headers::CE_SOURCE);
    let source = source.and_then(|source| source.rsplit('/').next());
    said.or(source).filter(|said| !said.is_empty()).map_or_else(|| UNKNOWN.to_owned(), quoted)
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).collect()
}
