//! Sends dead letters of others on, once that is written down.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use uuid::Uuid;

use super::{Redrive, Redriven};
use crate::audit::{Deed, NotWritten, RedrivenOffsets};
use crate::kafka::producer::SendError;
use crate::names::TopicName;
use crate::publisher::Publisher;

/// So many records are on their way at once.
const IN_FLIGHT: usize = 1_000;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Redrove {
    /// Names it, on the topic of audit.
    pub id: Uuid,
    /// How many records Kafka acknowledged.
    pub letters: u64,
    /// How many Kafka refuses for good, for they are too large for their topic.
    pub refused: u64,
}

/// Dead letters that could not all be sent.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// The decision was not written, and so nothing was done.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    /// Some are sent, others not.
    #[error(
        "{sent} of {letters} dead letters were sent; the first that was not is at offset {offset} of partition {partition} of {topic}: \
         redrive the others again by their --partition and --offset"
    )]
    NotSent {
        /// Those that Kafka acknowledged.
        sent: u64,
        /// All.
        letters: u64,
        /// Where the first that was not sent is.
        topic: TopicName,
        /// The partition there.
        partition: i32,
        /// The offset there.
        offset: i64,
        /// Why.
        #[source]
        source: SendError,
    },
}

impl Redrive {
    /// Does it. The decision is written first. What is redriven twice is there twice.
    ///
    /// # Errors
    /// See [`RedriveError`].
    pub async fn carry_out(
        self,
        publisher: &Publisher,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Redrove, RedriveError> {
        let deed = Deed::about_redriven(offsets(&self.records), by, reason);
        let mut done = Redrove { id: deed.id, letters: 0, refused: 0 };
        if self.records.is_empty() {
            return Ok(done);
        }
        deed.write(publisher).await?;
        let letters = self.records.len() as u64;
        let sending = self
            .records
            .into_iter()
            .map(async |Redriven { letter, record }| (letter, publisher.send(record).await));
        // Their first polls, in which records enter the client's queue, come in this order.
        let mut sent = stream::iter(sending).buffered(IN_FLIGHT);
        let mut first_not_sent = None;
        while let Some((letter, outcome)) = sent.next().await {
            match outcome {
                Ok(_) => done.letters += 1,
                Err(SendError::Refused { .. }) => done.refused += 1,
                Err(source) => {
                    first_not_sent.get_or_insert((letter, source));
                }
            }
        }
        let Some((letter, source)) = first_not_sent else { return Ok(done) };
        Err(RedriveError::NotSent {
            sent: done.letters,
            letters,
            topic: letter.dead_letter_topic,
            partition: letter.dead_letter_partition,
            offset: letter.dead_letter_offset,
            source,
        })
    }
}

/// What is redriven, as it is audited.
fn offsets(records: &[Redriven]) -> Vec<RedrivenOffsets> {
    let mut places: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    for Redriven { letter, record } in records {
        let place = (&letter.dead_letter_topic, letter.dead_letter_partition, &record.topic);
        places.entry(place).or_default().push(letter.dead_letter_offset);
    }
    let places = places.into_iter().map(|((topic, partition, to), offsets)| RedrivenOffsets {
        topic: topic.clone(),
        partition,
        offsets,
        to: to.clone(),
    });
    places.collect()
}
