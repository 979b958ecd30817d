//! Producer ids, given out from blocks that the journal reserves.

/// How many are reserved at a time. A restart skips what is left of a block.
const BLOCK: i64 = 1_000;

/// The ids that may be given out without asking the journal.
#[derive(Debug)]
pub(super) struct ProducerIds {
    next: i64,
    end: i64,
}

impl ProducerIds {
    /// None, and the next block begins at `below`.
    pub fn after(below: i64) -> Self {
        Self { next: below, end: below }
    }

    /// The next id, if one is left.
    pub fn take(&mut self) -> Option<i64> {
        let id = (self.next < self.end).then_some(self.next)?;
        self.next += 1;
        Some(id)
    }

    /// The end of the next block.
    pub fn next_block_end(&self) -> i64 {
        self.end + BLOCK
    }

    /// The block up to `end` is reserved.
    pub fn reserved(&mut self, end: i64) {
        self.end = end;
    }
}
