//! What the bus refuses to carry, and how much it holds: each limit with its reason.

use std::time::Duration;

use crate::headers;

/// Key, value and headers of one record, in bytes. Kafka's default `message.max.bytes` is 1,048,588
/// for a whole batch; below a million a record with its framing passes every broker that keeps the
/// default.
pub const MAX_RECORD_BYTES: usize = 1_000_000;
/// Arrays and objects inside each other in an envelope, the envelope itself being the first.
/// Business documents stay below 20; parsers in other languages overflow their stacks somewhere
/// above 100.
pub const MAX_NESTING: usize = 64;
/// Headers of one record. A first publish has eight; the rest is room for the tools of others.
pub const MAX_HEADERS: usize = 64;
/// Names and values of all headers of one record, in bytes: what common HTTP servers allow, for
/// headers tend to come from there.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;
/// A record key, in bytes. Keys are kept in memory per lane, in indexes and in log lines.
pub const MAX_KEY_BYTES: usize = 1024;
/// The error text that a dead letter carries, in bytes: a message and its causes fit, a dumped
/// payload does not.
pub const MAX_ERROR_TEXT_BYTES: usize = 4096;
/// `max.message.bytes` of a dead letter topic. A dead letter is the original record, which an other
/// client may have sent up to the broker's limit, and the headers that say what went wrong.
pub const DLT_MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// Unsettled events of one partition that a consumer holds before it pauses the partition. It
/// bounds both memory and how far a poison key's neighbours may run ahead of it.
pub const PARTITION_WINDOW: usize = 10_000;
/// Events in one transaction under batched execution: beyond it a longer transaction gains no speed
/// and loses more when it rolls back.
pub const MAX_BATCH: usize = 500;
/// How long a settled event's offset waits for a commit with others. A shorter time costs a request each; a longer one
/// brings more events again after a crash, for the inbox to skip.
pub const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long a client may fetch nothing while there is something to fetch, or hear of nothing that it sent, while brokers
/// answer others, before it is made anew: twice the default `socket.timeout.ms`, after which it gives a silent connection up and makes another.
pub const STUCK_AFTER: Duration = Duration::from_secs(120);

/// Which limit a record exceeds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitExceeded {
    /// Over [`MAX_RECORD_BYTES`].
    #[error(
        "the record has {bytes} bytes of key, value and headers; at most {MAX_RECORD_BYTES} are allowed"
    )]
    Record {
        /// Key, value and headers.
        bytes: usize,
    },
    /// Over [`MAX_KEY_BYTES`].
    #[error("the key has {bytes} bytes; at most {MAX_KEY_BYTES} are allowed")]
    Key {
        /// The key's length.
        bytes: usize,
    },
    /// Over [`MAX_HEADERS`].
    #[error("the record has {count} headers; at most {MAX_HEADERS} are allowed")]
    Headers {
        /// Those that count.
        count: usize,
    },
    /// Over [`MAX_HEADER_BYTES`].
    #[error("the headers have {bytes} bytes; at most {MAX_HEADER_BYTES} are allowed")]
    HeaderBytes {
        /// Names and values of those that count.
        bytes: usize,
    },
}

/// Checks a record against the limits on key, headers and size. What a replay adds ([`headers::is_replays`], each name
/// once) does not count, so that a record which was good once is good again.
pub fn check_record<'a>(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl IntoIterator<Item = headers::Parts<'a>>,
) -> Result<(), LimitExceeded> {
    let key_bytes = key.map_or(0, <[u8]>::len);
    if key_bytes > MAX_KEY_BYTES {
        return Err(LimitExceeded::Key { bytes: key_bytes });
    }
    let (count, header_bytes) = counted_headers(headers);
    if count > MAX_HEADERS {
        return Err(LimitExceeded::Headers { count });
    }
    if header_bytes > MAX_HEADER_BYTES {
        return Err(LimitExceeded::HeaderBytes { bytes: header_bytes });
    }
    let bytes = key_bytes + value.map_or(0, <[u8]>::len) + header_bytes;
    if bytes > MAX_RECORD_BYTES {
        return Err(LimitExceeded::Record { bytes });
    }
    Ok(())
}

/// The number and the bytes of the headers that count.
fn counted_headers<'a>(headers: impl IntoIterator<Item = headers::Parts<'a>>) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    let mut seen = Vec::new();
    for (name, value) in headers {
        if headers::is_replays(name) && !seen.contains(&name) {
            seen.push(name);
            continue;
        }
        count += 1;
        bytes += name.len() + value.map_or(0, <[u8]>::len);
    }
    (count, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::{Header, REPLAY_FOR, REPLAY_ID, REPLAY_OF};

    fn check_record(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> Result<(), LimitExceeded> {
        super::check_record(key, value, headers.iter().map(Header::parts))
    }

    fn headers(count: usize, value: &str) -> Vec<Header> {
        (0..count).map(|n| Header::text(format!("h{n:03}"), value)).collect()
    }

    #[test]
    fn a_record_at_each_limit_passes_and_one_above_is_named() {
        let value = vec![b'x'; MAX_RECORD_BYTES - 3];
        assert_eq!(check_record(Some(b"key"), Some(&value), &[]), Ok(()));
        assert_eq!(
            check_record(Some(b"key4"), Some(&value), &[]),
            Err(LimitExceeded::Record { bytes: MAX_RECORD_BYTES + 1 })
        );
        assert_eq!(check_record(Some(&[b'k'; MAX_KEY_BYTES]), None, &[]), Ok(()));
        assert!(matches!(
            check_record(Some(&[b'k'; MAX_KEY_BYTES + 1]), None, &[]),
            Err(LimitExceeded::Key { .. })
        ));
        assert_eq!(check_record(None, None, &headers(MAX_HEADERS, "v")), Ok(()));
        assert_eq!(
            check_record(None, None, &headers(MAX_HEADERS + 1, "v")),
            Err(LimitExceeded::Headers { count: MAX_HEADERS + 1 })
        );
        assert!(matches!(
            check_record(None, None, &headers(2, &"v".repeat(MAX_HEADER_BYTES / 2))),
            Err(LimitExceeded::HeaderBytes { .. })
        ));
    }

    #[test]
    fn what_a_replay_adds_does_not_count_but_its_repetition_does() {
        let mut full = headers(MAX_HEADERS, "v");
        full.extend([REPLAY_ID, REPLAY_OF, REPLAY_FOR].map(|name| Header::text(name, "x")));
        assert_eq!(check_record(None, None, &full), Ok(()));
        full.push(Header::text(REPLAY_ID, "again"));
        assert!(matches!(check_record(None, None, &full), Err(LimitExceeded::Headers { .. })));
    }
}
