//! What is wrong with a dead letter. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::dead_letter::{Reason, dlq_id};
use crate::headers::{self, Header};
use crate::kafka::Record;
use crate::limits::MAX_ERROR_TEXT_BYTES;
use crate::names::{EventId, GroupName, ServiceName};

/// What a dead letter is to tell.
pub(super) struct Told<'a> {
    pub(super) original: &'a Record,
    pub(super) group: &'a GroupName,
    pub(super) service: &'a ServiceName,
    pub(super) reason: Reason,
    /// Any number, where that is not known.
    pub(super) attempts: Option<u32>,
    pub(super) event_id: EventId,
    /// The dead letter that the original is a replay of.
    pub(super) previous: Option<String>,
    pub(super) replays: u32,
}

/// Everything that is wrong with the dead letter of `told.original`, in a topic of so many partitions.
pub(super) fn faults(letter: &Record, told: &Told<'_>, partitions: i32) -> Vec<String> {
    let Told { original, .. } = told;
    let mut faults = Vec::new();
    let mut want = |is_so: bool, fault: &str| {
        if !is_so {
            faults.push(fault.to_owned());
        }
    };
    want(letter.key == original.key, "its key is not the original's, byte for byte");
    want(letter.value == original.value, "its value is not the original's, byte for byte");
    let partition = original.partition % partitions;
    want(
        letter.partition == partition,
        &format!("it is in partition {}, not {partition}", letter.partition),
    );
    let kept = by_name(letter.headers.iter().filter(|header| !header.is_added()));
    let wanted = by_name(original.headers.iter().filter(|header| !header.is_added()));
    want(kept == wanted, "the original's headers are not all there, and no others");
    for (name, wanted) in wanted_headers(told) {
        let found: Vec<_> = letter.headers.iter().filter(|header| header.name == name).collect();
        let text = headers::last(&letter.headers, name);
        want(found.len() == 1, &format!("it has the header {name} {} times", found.len()));
        if let (Some(text), Some(wanted)) = (text, &wanted) {
            want(text == wanted, &format!("its header {name} is {text}, not {wanted}"));
        }
    }
    let text = |name| headers::last(&letter.headers, name).unwrap_or_default();
    let message = text(headers::DLQ_ERRORS_MESSAGE);
    want(
        !message.is_empty() && message.len() <= MAX_ERROR_TEXT_BYTES,
        "its message is empty or too long",
    );
    let time = |name| text(name).parse::<Timestamp>().ok();
    let (first, last) = (time(headers::DLQ_FIRST_FAILED_AT), time(headers::DLQ_FAILED_AT));
    want(
        first.is_some() && first <= last,
        "it does not tell when the first and the last attempt failed",
    );
    let previous = headers::last(&letter.headers, headers::DLQ_PREVIOUS);
    want(
        previous == told.previous.as_deref(),
        "its header dlq.previous does not name the dead letter that was replayed",
    );
    let has_replay =
        letter.headers.iter().any(|header| header.name.starts_with(headers::REPLAY_PREFIX));
    want(!has_replay, "it has headers of a replay");
    faults
}

/// Names, and the values of those whose value is known.
fn wanted_headers(told: &Told<'_>) -> [(&'static str, Option<String>); 15] {
    let Told { original, group, .. } = told;
    [
        (headers::DLQ_ERRORS_TOPIC, Some(original.topic.to_string())),
        (headers::DLQ_ERRORS_PARTITION, Some(original.partition.to_string())),
        (headers::DLQ_ERRORS_OFFSET, Some(original.offset.to_string())),
        (headers::DLQ_ERRORS_GROUP, Some(group.to_string())),
        (headers::DLQ_ERRORS_DELIVERY_COUNT, told.attempts.map(|count| count.to_string())),
        (headers::DLQ_ERRORS_MESSAGE, None),
        (headers::DLQ_ID, Some(dlq_id(group, original).to_string())),
        (headers::DLQ_REASON, Some(told.reason.to_string())),
        (headers::DLQ_ERROR_TYPE, None),
        (headers::DLQ_FINGERPRINT, None),
        (headers::DLQ_FIRST_FAILED_AT, None),
        (headers::DLQ_FAILED_AT, None),
        (headers::DLQ_SERVICE, Some(told.service.to_string())),
        (headers::DLQ_REPLAYS, Some(told.replays.to_string())),
        (headers::EVENT_ID, Some(told.event_id.to_string())),
    ]
}

/// The values of each name in their order: some clients keep no order between names.
fn by_name<'a>(
    headers: impl Iterator<Item = &'a Header>,
) -> BTreeMap<&'a str, Vec<Option<&'a [u8]>>> {
    let mut names: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for header in headers {
        names.entry(&header.name).or_default().push(header.value.as_deref());
    }
    names
}
