//! A journal's bytes: a header, then entries.

use super::error::EntryFlaw;

const MAGIC: [u8; 8] = *b"journal1";
/// Magic, first number, durable end and CRC.
pub(super) const HEADER_BYTES: usize = 28;
/// Length, number and CRC before each entry's payload.
pub(super) const ENTRY_HEADER_BYTES: usize = 16;

/// With what a file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The number of the first entry.
    pub first: i64,
    /// The entries before this one were durable before the file got its name.
    pub durable_end: i64,
}

impl Header {
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.first.to_be_bytes());
        bytes.extend_from_slice(&self.durable_end.to_be_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, EntryFlaw> {
        let mut rest = bytes;
        let _magic = take::<8>(&mut rest).ok_or(EntryFlaw::Header)?;
        let first = i64::from_be_bytes(take(&mut rest).ok_or(EntryFlaw::Header)?);
        let durable_end = i64::from_be_bytes(take(&mut rest).ok_or(EntryFlaw::Header)?);
        let header = Self { first, durable_end };
        if bytes.starts_with(&header.encode()) { Ok(header) } else { Err(EntryFlaw::Header) }
    }
}

/// Appends an entry to `into`. `payload` is shorter than 4 GiB.
pub(super) fn put_entry(into: &mut Vec<u8>, number: i64, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("the journal bounds its entries");
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(&number.to_be_bytes());
    into.extend_from_slice(&crc(length, number, payload).to_be_bytes());
    into.extend_from_slice(payload);
}

/// The number and payload of the entry at the beginning of `bytes`.
pub(super) fn entry(bytes: &[u8]) -> Result<(i64, &[u8]), EntryFlaw> {
    let mut rest = bytes;
    let length = u32::from_be_bytes(take(&mut rest).ok_or(EntryFlaw::Incomplete)?);
    let number = i64::from_be_bytes(take(&mut rest).ok_or(EntryFlaw::Incomplete)?);
    let stored = u32::from_be_bytes(take(&mut rest).ok_or(EntryFlaw::Incomplete)?);
    let payload = usize::try_from(length).ok().and_then(|length| rest.get(..length));
    let payload = payload.ok_or(EntryFlaw::Incomplete)?;
    if stored == crc(length, number, payload) { Ok((number, payload)) } else { Err(EntryFlaw::Crc) }
}

fn crc(length: u32, number: i64, payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&length.to_be_bytes());
    let crc = crc32c::crc32c_append(crc, &number.to_be_bytes());
    crc32c::crc32c_append(crc, payload)
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    from.split_off(..N)?.first_chunk().copied()
}
