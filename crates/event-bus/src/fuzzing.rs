//! Where fuzzers come in: any bytes as the value of a record, and as a record with headers. None may panic, and what is
//! read means the same whoever reads it. The targets are in `fuzz/`; ordinary tests call the same functions.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use crate::dead_letters::Letter;
use crate::dead_letters::foreign::{Foreign, original_headers};
use crate::envelope::Envelope;
use crate::headers::{self, Header};
use crate::kafka::Record;
use crate::replay::Replay;
use crate::trace_context::TraceContext;

/// Reads bytes as an envelope. What is one is JSON that others read, too, and its payload stands where it is said to.
///
/// # Panics
/// When reading panics, or others would read something else, which are defects.
pub fn envelope(bytes: &[u8]) {
    let Ok((envelope, place)) = Envelope::parse_placed(bytes) else { return };
    let others: Value = serde_json::from_slice(bytes).expect("an envelope is JSON");
    assert_eq!(others["event"], envelope.event.as_str());
    assert_eq!(others["service"], envelope.service.as_str());
    assert_eq!(others["tenant_id"], envelope.tenant_id.as_str());
    let payload: Value = serde_json::from_slice(&bytes[place]).expect("so is its payload");
    assert_eq!(others["payload"], payload);
}

/// Reads bytes as a record: lines `name: value` are its headers, and what follows on an empty line is its value.
///
/// # Panics
/// When reading panics, or what is read does not survive being written, which are defects.
pub fn record(bytes: &[u8]) {
    let record = record_of(bytes);
    if let Some(context) = headers::last(&record.headers, headers::TRACEPARENT)
        && let Ok(context) = context.parse::<TraceContext>()
    {
        assert_eq!(context.to_string().parse(), Ok(context));
    }
    if let Ok(letter) = Letter::read(&record) {
        let told = serde_json::to_string(&letter).expect("a dead letter is told as JSON");
        let again: Letter = serde_json::from_str(&told).expect("it is read from there");
        assert_eq!(again, letter);
    }
    drop(Replay::read(&record.headers));
    drop(Foreign::read(&record));
    drop(original_headers(&record));
}

fn record_of(mut rest: &[u8]) -> Record {
    let mut headers = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, behind) = (&rest[..end], &rest[end + 1..]);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { break };
        let (name, value) = (String::from_utf8_lossy(&line[..colon]), &line[colon + 1..]);
        let value = Bytes::copy_from_slice(value.trim_ascii_start());
        headers.push(Header { name: Cow::Owned(name.into_owned()), value: Some(value) });
        rest = behind;
    }
    Record {
        topic: "shop.order.placed.dlq".parse().expect("it is a topic's name"),
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        key: None,
        value: Some(Bytes::copy_from_slice(rest.strip_prefix(b"\n").unwrap_or(rest))),
        headers,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    /// What fuzzers found worth keeping.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let files = files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect::<Vec<_>>();
        assert!(!files.is_empty(), "{folder} has nothing");
        files
    }

    #[test]
    fn nothing_of_the_corpora_is_misread() {
        corpus("envelope").iter().for_each(|bytes| envelope(bytes));
        corpus("record").iter().for_each(|bytes| record(bytes));
    }

    proptest! {
        #[test]
        fn an_envelope_can_be_changed_anywhere(
            seed: prop::sample::Index, at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
        ) {
            for (target, read) in [("envelope", envelope as fn(&[u8])), ("record", record)] {
                let mut bytes = seed.get(&corpus(target)).clone();
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                    bytes.truncate(cut.index(bytes.len() * 2).min(bytes.len()));
                }
                read(&bytes);
            }
        }
    }
}
