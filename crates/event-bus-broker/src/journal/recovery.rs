//! Reads a journal whole, and tells a write that a crash cut short from damage.

use std::path::Path;

use bytes::Bytes;

use super::error::{EntryFlaw, JournalError};
use super::format::{self, HEADER_BYTES, Header};

/// What a file holds.
#[derive(Debug)]
pub(super) struct Contents {
    pub entries: Vec<Bytes>,
    /// The number after the last entry.
    pub end: i64,
    /// Where the last entry ends: the file is to be cut there.
    pub position: u64,
    /// Where the entries end that a rewrite left.
    pub rewritten_bytes: u64,
}

/// Reads a file of which the checkpoint says that the entries before `durable_end` are durable.
pub(super) fn read(path: &Path, bytes: &Bytes, durable_end: i64) -> Result<Contents, JournalError> {
    let damaged = |position: usize, number: i64, flaw: EntryFlaw| JournalError::Damaged {
        path: path.to_owned(),
        position: position as u64,
        number,
        flaw,
    };
    let header = Header::decode(bytes).map_err(|flaw| damaged(0, 0, flaw))?;
    let durable_end = durable_end.max(header.durable_end);
    let mut contents = Contents {
        entries: Vec::new(),
        end: header.first,
        position: HEADER_BYTES as u64,
        rewritten_bytes: HEADER_BYTES as u64,
    };
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let flaw = match format::entry(&bytes[at..]) {
            Ok((number, payload)) if number == contents.end => {
                contents.entries.push(bytes.slice_ref(payload));
                contents.end += 1;
                at += format::ENTRY_HEADER_BYTES + payload.len();
                contents.position = at as u64;
                if contents.end == header.durable_end {
                    contents.rewritten_bytes = at as u64;
                }
                continue;
            }
            Ok((found, _)) => EntryFlaw::Number { found },
            Err(flaw) => flaw,
        };
        if contents.end < durable_end || has_intact_entry(&bytes[at..], contents.end) {
            return Err(damaged(at, contents.end, flaw));
        }
        tracing::warn!(
            file = %path.display(),
            position = at,
            entry = contents.end,
            bytes = bytes.len() - at,
            "cut off a write that a crash left unfinished: {flaw}"
        );
        break;
    }
    if contents.end < durable_end {
        return Err(damaged(at, contents.end, EntryFlaw::Missing { end: durable_end }));
    }
    Ok(contents)
}

/// Whether an intact entry stands anywhere in `tail`: then what comes before it is no torn tail.
fn has_intact_entry(tail: &[u8], expected: i64) -> bool {
    (0..tail.len()).any(|at| format::entry(&tail[at..]).is_ok_and(|(number, _)| number >= expected))
}
