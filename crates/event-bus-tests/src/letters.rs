//! What a dead letter must say, and must leave as it was.

use event_bus::dead_letter::dlq_id;
use event_bus::envelope::Envelope;
use event_bus::headers::{self, Header};
use event_bus::kafka::Record;
use event_bus::names::{EventId, GroupName};

/// All headers that dead-lettering adds.
const ADDED: [&str; 15] = [
    headers::DLQ_ERRORS_TOPIC,
    headers::DLQ_ERRORS_PARTITION,
    headers::DLQ_ERRORS_OFFSET,
    headers::DLQ_ERRORS_GROUP,
    headers::DLQ_ERRORS_DELIVERY_COUNT,
    headers::DLQ_ERRORS_MESSAGE,
    headers::DLQ_ID,
    headers::DLQ_REASON,
    headers::DLQ_ERROR_TYPE,
    headers::DLQ_FINGERPRINT,
    headers::DLQ_FIRST_FAILED_AT,
    headers::DLQ_FAILED_AT,
    headers::DLQ_SERVICE,
    headers::DLQ_REPLAYS,
    headers::EVENT_ID,
];

/// The text of a header.
///
/// # Panics
/// When the record does not have it.
pub fn text<'a>(record: &'a Record, name: &str) -> &'a str {
    headers::last(&record.headers, name)
        .unwrap_or_else(|| panic!("no header {name} in {:?}", record.headers))
}

/// The reason of a dead letter.
///
/// # Panics
/// When it has none.
pub fn reason(letter: &Record) -> &str {
    text(letter, headers::DLQ_REASON)
}

/// Whether a dead letter is this record's.
///
/// # Panics
/// When the letter does not say whose it is.
pub fn is_of(letter: &Record, original: &Record) -> bool {
    text(letter, headers::DLQ_ERRORS_PARTITION) == original.partition.to_string()
        && text(letter, headers::DLQ_ERRORS_OFFSET) == original.offset.to_string()
}

/// The id that a published event says it has.
///
/// # Panics
/// When it says none.
pub fn ce_id(record: &Record) -> EventId {
    text(record, headers::CE_ID).parse().expect("a published event has an id")
}

/// The id of an event that died for this reason: its own where its envelope can be read.
pub fn event_id(record: &Record, reason: &str) -> EventId {
    let own_id = || Envelope::parse(record.value.as_deref()?).ok()?.event_id;
    let is_envelope = matches!(reason, "schema-invalid" | "wrong-topic" | "unsupported-version");
    is_envelope.then(own_id).flatten().unwrap_or_else(|| position_id(record))
}

/// The id of a record that has none of its own, or one that is another event's.
pub fn position_id(record: &Record) -> EventId {
    let value = record.value.as_deref().unwrap_or_default();
    EventId::of_position(&record.topic, record.partition, record.offset, record.timestamp_ms, value)
}

/// What is expected of a dead letter beyond its original.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Whose group gave it up.
    pub group: &'a GroupName,
    /// Why.
    pub reason: &'a str,
    /// After how many attempts.
    pub attempts: u32,
    /// Under which id.
    pub event_id: EventId,
}

/// Checks that a letter of billing holds its original unchanged, and each explaining header once.
///
/// # Panics
/// When it does not.
pub fn check(letter: &Record, original: &Record, expected: Expected<'_>) {
    assert_eq!(letter.topic, original.topic.dead_letter());
    assert_eq!(
        letter.partition, original.partition,
        "the same number of partitions, so the same partition"
    );
    assert!(letter.key == original.key, "the key has changed");
    assert!(letter.value == original.value, "the value has changed");
    let (added, kept): (Vec<&Header>, Vec<&Header>) =
        letter.headers.iter().partition(|header| header.is_added());
    assert_eq!(
        kept,
        original.headers.iter().collect::<Vec<_>>(),
        "the original headers have changed"
    );
    let mut names: Vec<&str> = added.iter().map(|header| &*header.name).collect();
    let mut wanted = ADDED.to_vec();
    names.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    for (name, value) in [
        (headers::DLQ_ERRORS_TOPIC, original.topic.to_string()),
        (headers::DLQ_ERRORS_PARTITION, original.partition.to_string()),
        (headers::DLQ_ERRORS_OFFSET, original.offset.to_string()),
        (headers::DLQ_ERRORS_GROUP, expected.group.to_string()),
        (headers::DLQ_ERRORS_DELIVERY_COUNT, expected.attempts.to_string()),
        (headers::DLQ_ID, dlq_id(expected.group, original).to_string()),
        (headers::DLQ_REASON, expected.reason.to_owned()),
        (headers::DLQ_SERVICE, "billing".to_owned()),
        (headers::DLQ_REPLAYS, "0".to_owned()),
        (headers::EVENT_ID, expected.event_id.to_string()),
    ] {
        assert_eq!(text(letter, name), value, "{name}");
    }
    assert!(!text(letter, headers::DLQ_ERRORS_MESSAGE).is_empty());
    assert!(!text(letter, headers::DLQ_ERROR_TYPE).is_empty());
    assert_eq!(text(letter, headers::DLQ_FINGERPRINT).len(), 16);
    let time = |name| {
        text(letter, name)
            .parse::<jiff::Timestamp>()
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    assert!(time(headers::DLQ_FIRST_FAILED_AT) <= time(headers::DLQ_FAILED_AT));
}
