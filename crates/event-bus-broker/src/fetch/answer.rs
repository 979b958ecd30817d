//! The answer to a fetch. The codec wants all records in memory; this writes the same bytes and leaves out those records
//! that are read while they are sent.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::protocol::Encodable;

use super::TopicKey;
use crate::log::Stretch;
use crate::server::Body;

/// The first version with an error and a session of the whole answer.
const SESSIONS_FROM: i16 = 7;
/// The first version with compact lengths and tagged fields.
const COMPACT_FROM: i16 = 12;

/// What is answered about a partition.
#[derive(Debug)]
pub(crate) struct PartitionAnswer {
    /// Everything but the records of the stretch.
    pub data: PartitionData,
    /// The records, where they are not in `data`.
    pub stretch: Option<Stretch>,
}

impl PartitionAnswer {
    pub fn has_records(&self) -> bool {
        let is_held = self.data.records.as_ref().is_some_and(|records| !records.is_empty());
        is_held || self.stretch.is_some()
    }
}

impl From<PartitionData> for PartitionAnswer {
    fn from(data: PartitionData) -> Self {
        Self { data, stretch: None }
    }
}

/// Writes an answer without an error of its own.
///
/// # Errors
/// When it can't be told in this version.
pub(crate) fn encode(
    session_id: i32,
    answers: Vec<(TopicKey, PartitionAnswer)>,
    version: i16,
) -> anyhow::Result<Body> {
    let mut writing = Writing { version, bytes: BytesMut::new(), body: Body::default() };
    // Not throttled.
    writing.bytes.put_i32(0);
    if version >= SESSIONS_FROM {
        writing.bytes.put_i16(0);
        writing.bytes.put_i32(session_id);
    }
    let topics = by_topic(answers);
    writing.count(topics.len())?;
    for (key, partitions) in topics {
        writing.topic(&key)?;
        writing.count(partitions.len())?;
        for partition in partitions {
            writing.partition(partition)?;
        }
        writing.no_tagged_fields();
    }
    writing.no_tagged_fields();
    Ok(writing.finish())
}

/// Groups the answers by topic where they follow each other; their order is the one in which they were read.
fn by_topic(answers: Vec<(TopicKey, PartitionAnswer)>) -> Vec<(TopicKey, Vec<PartitionAnswer>)> {
    let mut topics: Vec<(TopicKey, Vec<PartitionAnswer>)> = Vec::new();
    for (key, answer) in answers {
        match topics.last_mut() {
            Some((last, partitions)) if *last == key => partitions.push(answer),
            _ => topics.push((key, vec![answer])),
        }
    }
    topics
}

struct Writing {
    version: i16,
    /// What follows the last stretch.
    bytes: BytesMut,
    body: Body,
}

impl Writing {
    fn is_compact(&self) -> bool {
        self.version >= COMPACT_FROM
    }

    /// The length of a list.
    fn count(&mut self, entries: usize) -> anyhow::Result<()> {
        self.length(i32::try_from(entries)?);
        Ok(())
    }

    fn length(&mut self, length: i32) {
        if self.is_compact() {
            self.compact(length);
        } else {
            self.bytes.put_i32(length);
        }
    }

    /// A compact length is one more than what it tells, in groups of seven bits, the lowest first.
    fn compact(&mut self, length: i32) {
        let mut rest = length.unsigned_abs() + 1;
        loop {
            let [low, ..] = rest.to_le_bytes();
            rest >>= 7;
            if rest == 0 {
                return self.bytes.put_u8(low);
            }
            self.bytes.put_u8(low | 0x80);
        }
    }

    fn no_tagged_fields(&mut self) {
        if self.is_compact() {
            self.bytes.put_u8(0);
        }
    }

    fn topic(&mut self, key: &TopicKey) -> anyhow::Result<()> {
        match key {
            TopicKey::Id(id) => self.bytes.put_slice(id.as_bytes()),
            TopicKey::Name(name) => {
                let length = i16::try_from(name.len())?;
                match self.is_compact() {
                    true => self.compact(i32::from(length)),
                    false => self.bytes.put_i16(length),
                }
                self.bytes.put_slice(name.as_bytes());
            }
        }
        Ok(())
    }

    fn partition(
        &mut self,
        PartitionAnswer { data, stretch }: PartitionAnswer,
    ) -> anyhow::Result<()> {
        let Some(stretch) = stretch else { return data.encode(&mut self.bytes, self.version) };
        data.with_records(Some(Bytes::new())).encode(&mut self.bytes, self.version)?;
        // Records come last: the codec wrote their length, which is none, and that there are no tagged fields.
        let written_in_vain = if self.is_compact() { 2 } else { 4 };
        self.bytes.truncate(self.bytes.len() - written_in_vain);
        self.length(i32::try_from(stretch.len())?);
        self.body.stretches.push((self.bytes.split().freeze(), stretch));
        self.no_tagged_fields();
        Ok(())
    }

    fn finish(self) -> Body {
        Body { rest: self.bytes.freeze(), ..self.body }
    }
}
