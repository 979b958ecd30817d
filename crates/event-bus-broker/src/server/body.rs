//! The body of an answer: bytes that are there, and stretches of a log that are read while it is sent.

use bytes::{Bytes, BytesMut};

use crate::log::Stretch;

/// The body of an answer.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// Each with the bytes before it.
    pub stretches: Vec<(Bytes, Stretch)>,
    /// The bytes after the last one.
    pub rest: Bytes,
}

impl Body {
    pub fn len(&self) -> usize {
        let stretches = self.stretches.iter().map(|(before, stretch)| before.len() + stretch.len());
        stretches.sum::<usize>() + self.rest.len()
    }
}

impl From<BytesMut> for Body {
    fn from(bytes: BytesMut) -> Self {
        Self { stretches: Vec::new(), rest: bytes.freeze() }
    }
}
