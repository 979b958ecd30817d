//! Record headers: their names, which travel and are therefore constants, and those of a first
//! publish.
//!
//! Headers follow CloudEvents 1.0 in binary mode (Kafka protocol binding) and W3C Trace Context.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{catalogue::Event, names::TenantId};

/// CloudEvents version, always [`CE_SPECVERSION_VALUE`].
pub const CE_SPECVERSION: &str = "ce_specversion";
/// The event id.
pub const CE_ID: &str = "ce_id";
/// The event's name, for example `OrderPlaced`.
pub const CE_TYPE: &str = "ce_type";
/// Who published it, `/{namespace}/{service}`.
pub const CE_SOURCE: &str = "ce_source";
/// The envelope's `occurred_at`.
pub const CE_TIME: &str = "ce_time";
/// The envelope's `tenant_id`.
pub const CE_TENANTID: &str = "ce_tenantid";
/// The media type of the value, always [`CONTENT_TYPE_VALUE`].
pub const CONTENT_TYPE: &str = "content-type";
/// W3C trace context of the first publish.
pub const TRACEPARENT: &str = "traceparent";
/// The id of an event whose envelope has none, on its dead letter and replays. Honoured only beside
/// [`REPLAY_ID`].
pub const EVENT_ID: &str = "event-bus.event-id";

/// The value of [`CE_SPECVERSION`].
pub const CE_SPECVERSION_VALUE: &str = "1.0";
/// The value of [`CONTENT_TYPE`].
pub const CONTENT_TYPE_VALUE: &str = "application/json";

/// What all headers of a dead letter begin with that are ours.
pub const DLQ_PREFIX: &str = "dlq.";
/// UUIDv5 of group, topic, partition and offset: names the dead letter.
pub const DLQ_ID: &str = "dlq.id";
/// Why it is here, one of the documented reasons.
pub const DLQ_REASON: &str = "dlq.reason";
/// The kind of the error.
pub const DLQ_ERROR_TYPE: &str = "dlq.error.type";
/// Equal for failures that look alike.
pub const DLQ_FINGERPRINT: &str = "dlq.fingerprint";
/// When the first attempt failed, RFC 3339.
pub const DLQ_FIRST_FAILED_AT: &str = "dlq.first-failed-at";
/// When the last attempt failed, RFC 3339.
pub const DLQ_FAILED_AT: &str = "dlq.failed-at";
/// The service that could not handle it.
pub const DLQ_SERVICE: &str = "dlq.service";
/// How often it was replayed before. On a replay, which time this is.
pub const DLQ_REPLAYS: &str = "dlq.replays";
/// The [`DLQ_ID`] of the dead letter whose replay died here; absent at an event's first death.
pub const DLQ_PREVIOUS: &str = "dlq.previous";

/// Its place among the dead letters of its parked key, from 1; absent where keys are not parked.
pub const DLQ_CHAIN_SEQ: &str = "dlq.chain.seq";

/// What the headers of KIP-1191 begin with.
pub const DLQ_ERRORS_PREFIX: &str = "__dlq.errors.";
/// The original topic (KIP-1191).
pub const DLQ_ERRORS_TOPIC: &str = "__dlq.errors.topic";
/// The original partition (KIP-1191).
pub const DLQ_ERRORS_PARTITION: &str = "__dlq.errors.partition";
/// The original offset (KIP-1191).
pub const DLQ_ERRORS_OFFSET: &str = "__dlq.errors.offset";
/// The group that could not handle it (KIP-1191).
pub const DLQ_ERRORS_GROUP: &str = "__dlq.errors.group";
/// How many attempts were made (KIP-1191).
pub const DLQ_ERRORS_DELIVERY_COUNT: &str = "__dlq.errors.delivery.count";
/// The error's text, capped (KIP-1191).
pub const DLQ_ERRORS_MESSAGE: &str = "__dlq.errors.message";

/// What the headers of a replay begin with.
pub const REPLAY_PREFIX: &str = "replay.";
/// Names the replay.
pub const REPLAY_ID: &str = "replay.id";
/// The [`DLQ_ID`] of the dead letter that is replayed.
pub const REPLAY_OF: &str = "replay.of";
/// The group it is for; others skip it.
pub const REPLAY_FOR: &str = "replay.for";
/// The place of a replay in its key's chain of parked events.
pub const REPLAY_CHAIN_SEQ: &str = "replay.chain.seq";

/// Who edited the value of a replay; absent on a replay of the original's bytes.
pub const REPLAY_EDITED_BY: &str = "replay.edited-by";

/// One header of a record. Names may repeat, and a value may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// As on the wire.
    pub name: Cow<'static, str>,
    /// UTF-8 text in every header of ours.
    pub value: Option<Bytes>,
}

impl Header {
    /// A header with a text value.
    pub fn text(name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Header {
        Header { name: name.into(), value: Some(Bytes::from(value.into())) }
    }

    /// Its name and value.
    pub fn parts(&self) -> Parts<'_> {
        (&self.name, self.value.as_deref())
    }

    /// The bytes of name and value.
    pub fn bytes(&self) -> usize {
        self.name.len() + self.value.as_ref().map_or(0, Bytes::len)
    }

    /// Whether dead-lettering or a replay added it, so that the next dead letter or replay replaces
    /// it.
    pub fn is_added(&self) -> bool {
        [DLQ_PREFIX, DLQ_ERRORS_PREFIX, REPLAY_PREFIX]
            .iter()
            .any(|prefix| self.name.starts_with(prefix))
            || self.name == EVENT_ID
    }
}

/// A header's name and value.
pub type Parts<'a> = (&'a str, Option<&'a [u8]>);

/// Whether a header of this name is one that a replay carries on its way to the original topic.
pub fn is_replays(name: &str) -> bool {
    matches!(
        name,
        REPLAY_ID
            | REPLAY_OF
            | REPLAY_FOR
            | REPLAY_CHAIN_SEQ
            | REPLAY_EDITED_BY
            | EVENT_ID
            | DLQ_REPLAYS
    )
}

/// The text of the last header called `name`, if there is one and it is UTF-8. The last one counts,
/// as in Kafka's own `Headers.lastHeader`.
pub fn last<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let header = headers.iter().rev().find(|header| header.name == name)?;
    std::str::from_utf8(header.value.as_deref()?).ok()
}

/// Names and values of the headers of an event's first publish, one of each. `id`, `occurred_at` and `trace` are the
/// texts of what their names say. What most records of a topic share comes first: the client keeps it from record to
/// record.
pub(crate) fn first_publish<'a>(
    event: &'a Event,
    id: &'a str,
    occurred_at: &'a str,
    tenant: &'a TenantId,
    trace: &'a str,
) -> [(&'static str, &'a str); 8] {
    [
        (CE_SPECVERSION, CE_SPECVERSION_VALUE),
        (CONTENT_TYPE, CONTENT_TYPE_VALUE),
        (CE_TYPE, event.name.as_str()),
        (CE_SOURCE, &event.source),
        (CE_TENANTID, tenant.as_str()),
        (CE_ID, id),
        (CE_TIME, occurred_at),
        (TRACEPARENT, trace),
    ]
}
