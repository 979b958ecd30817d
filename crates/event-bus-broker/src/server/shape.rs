//! Decodes requests without believing their lengths.
//!
//! The codec makes room for a list before it reads its entries: a request of a few bytes that announces two
//! thousand million entries would end the process. The codec reads a list's length like any other number, so
//! [`Guarded`], which the codec reads from, can't see which number is one. It does not have to:
//!
//! - A number that is larger than what a list may hold (the bytes that are left, and what is left of [`MAX_VALUES`])
//!   is handed out as just one more than that. Was it a list's length, then decoding fails, for that many entries are not there or
//!   are too many. Was it a plain number, then the rest is decoded just as well. Was it the length of a byte string,
//!   then the next thing asked for is that many bytes, and the guard, who knows the true length, skips them.
//! - The compact form of a length is read byte by byte and stands for nothing but lengths and tags: one that can't
//!   be true is an error at once, and one that only a byte string may have must be followed by its bytes.
//!
//! If a number was replaced and decoding came to its end, every length was true, and the request is decoded from
//! its real bytes.

use std::ops::Range;

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::{ByteBuf, NotEnoughBytesError};

use crate::limits::MAX_VALUES;

/// Numbers up to this are let through even where fewer bytes follow: they may be a tag's number, or one of the many
/// small numbers that end a request. As lengths they cost nothing.
const SMALL: usize = 64;

/// Decodes a request whose lengths may be lies.
///
/// # Errors
/// When the bytes are no such request, hold too many values, or go on behind it.
pub(crate) fn decode<R: Decodable>(bytes: &Bytes, version: i16) -> Result<R, anyhow::Error> {
    let mut guarded = Guarded::new(bytes.clone());
    let decoded = R::decode(&mut guarded, version);
    if guarded.refused {
        anyhow::bail!("a length in it is wrong, or it holds more than {MAX_VALUES} values");
    }
    let decoded = decoded?;
    if !guarded.replaced {
        return Ok(decoded);
    }
    drop(decoded);
    R::decode(&mut bytes.clone(), version)
}

/// What the codec reads from.
struct Guarded {
    bytes: Bytes,
    /// How many more values may be read.
    values: usize,
    /// Some number was handed out smaller than it is.
    replaced: bool,
    /// No honest request reads like this. Nothing more is handed out.
    refused: bool,
    /// A number that was replaced and may be the length of a byte string that follows.
    stand_in: Option<StandIn>,
    /// Bytes of a compact length that was replaced, which are handed out next.
    pending: Vec<u8>,
}

#[derive(Clone, Copy)]
struct StandIn {
    handed_out: usize,
    real: usize,
    /// It was compact: nothing but a byte string may follow.
    bytes_must_follow: bool,
}

impl Guarded {
    fn new(bytes: Bytes) -> Self {
        Self {
            bytes,
            values: MAX_VALUES,
            replaced: false,
            refused: false,
            stand_in: None,
            pending: Vec::new(),
        }
    }

    fn refuse(&mut self) -> TryGetError {
        self.refused = true;
        TryGetError { requested: 1, available: 0 }
    }

    /// Called before a value is read that is not the byte string of a replaced length.
    fn begin_value(&mut self) -> Result<(), TryGetError> {
        let stand_in = self.stand_in.take();
        if self.values == 0 || stand_in.is_some_and(|stand_in| stand_in.bytes_must_follow) {
            return Err(self.refuse());
        }
        self.values -= 1;
        Ok(())
    }

    /// Looks at the compact number that begins here, and replaces it if need be.
    fn check_compact(&mut self) -> Result<(), TryGetError> {
        let mut value = 0_u64;
        for (at, byte) in self.bytes.iter().take(5).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if *byte >= 0x80 {
                continue;
            }
            // A compact length is one more than what it tells.
            let length = usize::try_from(value).unwrap_or(usize::MAX).saturating_sub(1);
            let left = self.bytes.len() - (at + 1);
            if length > left.max(SMALL) {
                return Err(self.refuse());
            }
            if length > self.values.max(SMALL) {
                self.replace_compact(at + 1, length);
            }
            return Ok(());
        }
        // Five bytes and no end, or the request ends here.
        Err(self.refuse())
    }

    fn replace_compact(&mut self, size: usize, real: usize) {
        self.bytes.advance(size);
        let handed_out = self.values.max(SMALL) + 1;
        let mut rest = handed_out + 1;
        while rest >= 0x80 {
            self.pending.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
            rest >>= 7;
        }
        self.pending.push(u8::try_from(rest).unwrap_or(0));
        self.pending.reverse();
        self.replaced = true;
        self.stand_in = Some(StandIn { handed_out, real, bytes_must_follow: true });
    }
}

impl Buf for Guarded {
    fn remaining(&self) -> usize {
        self.chunk().len()
    }

    fn chunk(&self) -> &[u8] {
        if self.refused { &[] } else { &self.bytes }
    }

    /// All numbers but those below come by here, as do byte arrays of a fixed length.
    fn advance(&mut self, count: usize) {
        if self.begin_value().is_ok() {
            self.bytes.advance(count);
        }
    }

    /// A truth value, or a byte of a compact length.
    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        if self.pending.is_empty() {
            self.begin_value()?;
            self.check_compact()?;
        }
        match self.pending.pop() {
            Some(byte) => Ok(byte),
            None => self.bytes.try_get_u8(),
        }
    }

    /// A plain number, or the length of a list or byte string.
    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        self.begin_value()?;
        let number = self.bytes.try_get_i32()?;
        let most = self.bytes.len().min(self.values);
        match usize::try_from(number) {
            Ok(real) if real > most.max(SMALL) => {
                self.replaced = true;
                let handed_out = most.max(SMALL) + 1;
                self.stand_in = Some(StandIn { handed_out, real, bytes_must_follow: false });
                i32::try_from(handed_out).map_err(|_| self.refuse())
            }
            _ => Ok(number),
        }
    }
}

impl ByteBuf for Guarded {
    fn peek_bytes(&mut self, range: Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.bytes.split_to(size)
    }

    fn try_get_bytes(&mut self, size: usize) -> Result<Bytes, NotEnoughBytesError> {
        let replaced = self
            .stand_in
            .take_if(|stand_in| stand_in.handed_out == size && self.pending.is_empty());
        self.begin_value().map_err(|_| NotEnoughBytesError)?;
        let real = replaced.map_or(size, |stand_in| stand_in.real);
        if real > self.bytes.len() {
            return Err(NotEnoughBytesError);
        }
        let bytes = self.bytes.split_to(real);
        // Whoever asked for fewer bytes gets none; the request is decoded again.
        Ok(if real == size { bytes } else { Bytes::new() })
    }
}

#[cfg(test)]
mod tests;
