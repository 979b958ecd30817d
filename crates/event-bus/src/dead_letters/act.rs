//! What was decided is done.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;

use serde::Serialize;
use uuid::Uuid;

use super::{Found, Plan};
use crate::audit::{Action, Deed, NotWritten};
use crate::catalogue::Catalogue;
use crate::consumer::doom_of;
use crate::envelope::OutgoingRecord;
use crate::headers;
use crate::kafka::Record;
use crate::kafka::admin::{Admin, TopicPartition};
use crate::kafka::producer::{Delivered, SendError};
use crate::kafka::reader::{ReadError, Reader};
use crate::publisher::{Publisher, UnderWay};

/// So many records of a replay are on their way at once: what may be produced twice by a replay that is cut off and
/// begun again.
const IN_FLIGHT: usize = 1_000;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Names it. A replay's outcomes are reported under it.
    pub id: Uuid,
    /// With how many dead letters. Of a replay: how many records Kafka acknowledged.
    pub letters: u64,
    /// How many can't be replayed, for retention took them meanwhile.
    pub gone: u64,
    /// How many Kafka refuses for good, for they are too large with the headers of a replay.
    pub refused: u64,
}

/// A decision that could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The dead letters could not be read once more.
    #[error("the dead letters could not be read")]
    Read(#[from] ReadError),
    /// The decision was not written, and so nothing was done.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    /// Some are sent, others not. To replay those takes a new replay.
    #[error(
        "{sent} of {letters} replays were sent, then one was not: replay the others again once `dlq restore` has opened them"
    )]
    NotSent {
        /// Those that Kafka acknowledged.
        sent: u64,
        /// All.
        letters: u64,
        /// Why.
        #[source]
        source: SendError,
    },
}

/// To read so many records more takes about as long as to begin anew behind them, of all partitions together.
const LEAP: usize = 1_000;
/// So few of one partition come with those before them.
const NEAR: usize = 16;

impl Plan<'_> {
    /// Does it. The decision is written first.
    ///
    /// # Errors
    /// See [`ActError`].
    pub async fn carry_out(
        &self,
        admin: &Admin,
        publisher: &Publisher,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Done, ActError> {
        let replays = self.action == Action::Replay;
        let originals =
            if replays { originals(admin, &self.letters).await? } else { HashMap::new() };
        let is_there = |found: &&&Found| !replays || originals.contains_key(&found.letter.id);
        let there: Vec<&Found> = self.letters.iter().filter(is_there).copied().collect();
        let ids: Vec<Uuid> = there.iter().map(|found| found.letter.id).collect();
        let (letters, gone) = (ids.len() as u64, (self.letters.len() - ids.len()) as u64);
        let deed = Deed::about_letters(self.action, ids, by, reason);
        let done = Done { id: deed.id, letters, gone, refused: 0 };
        if there.is_empty() {
            return Ok(done);
        }
        deed.write(publisher).await?;
        if !replays {
            return Ok(done);
        }
        let records = there.iter().filter_map(|found| {
            let record = originals.get(&found.letter.id)?.clone();
            Some(found.letter.replayed(deed.id, record))
        });
        send(publisher, records, Done { letters: 0, ..done }, letters).await
    }

    /// Those of its dead letters that no handler would see, and why. They would be dead again at once.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn doomed(
        &self,
        admin: &Admin,
        catalogue: &Catalogue,
    ) -> Result<Vec<(Uuid, String)>, ReadError> {
        let originals = originals(admin, &self.letters).await?;
        let doomed = self.letters.iter().filter_map(|found| {
            let doom = found.doom(catalogue, originals.get(&found.letter.id)?)?;
            Some((found.letter.id, doom))
        });
        Ok(doomed.collect())
    }
}

/// Sends records in their order, so many of them at once, and counts what became of them.
pub(super) async fn send(
    publisher: &Publisher,
    records: impl Iterator<Item = OutgoingRecord>,
    mut done: Done,
    letters: u64,
) -> Result<Done, ActError> {
    let mut note = |report: Result<Delivered, SendError>| {
        match report {
            Ok(_) => done.letters += 1,
            Err(SendError::Refused { .. }) => done.refused += 1,
            Err(source) => return Err(ActError::NotSent { sent: done.letters, letters, source }),
        }
        Ok(())
    };
    let mut under_way: VecDeque<UnderWay> = VecDeque::with_capacity(IN_FLIGHT);
    for record in records {
        if under_way.len() == IN_FLIGHT
            && let Some(first) = under_way.pop_front()
        {
            note(first.delivered().await)?;
        }
        match publisher.begin_sealed(&record).await {
            Ok(begun) => under_way.push_back(begun),
            Err(error) => note(Err(error))?,
        }
    }
    for begun in under_way {
        note(begun.delivered().await)?;
    }
    Ok(done)
}

/// The records of dead letters, whose values were not kept. Those that retention took are missing.
///
/// # Errors
/// When Kafka does not answer.
pub async fn originals(
    admin: &Admin,
    letters: &[&Found],
) -> Result<HashMap<Uuid, Record>, ReadError> {
    let mut originals = HashMap::new();
    each_original(admin, letters, |found, record| {
        originals.insert(found.letter.id, record);
    })
    .await?;
    Ok(originals)
}

/// Shows the records of dead letters, one at a time. Those that retention took are missing.
///
/// # Errors
/// When Kafka does not answer.
pub async fn each_original<'a>(
    admin: &Admin,
    letters: &[&'a Found],
    mut visit: impl FnMut(&'a Found, Record),
) -> Result<(), ReadError> {
    let mut wanted = HashMap::new();
    let mut offsets: BTreeMap<TopicPartition, Vec<i64>> = BTreeMap::new();
    for found in letters {
        let letter = &found.letter;
        let at = TopicPartition {
            topic: letter.dead_letter_topic.clone(),
            partition: letter.dead_letter_partition,
        };
        offsets.entry(at.clone()).or_default().push(letter.dead_letter_offset);
        wanted.insert((at, letter.dead_letter_offset), *found);
    }
    let leap = i64::try_from((LEAP / offsets.len().max(1)).max(NEAR)).unwrap_or(i64::MAX);
    let mut stretches: BTreeMap<_, _> =
        offsets.into_iter().map(|(at, offsets)| (at, stretches(offsets, leap))).collect();
    loop {
        // Of each partition the next stretch: a reader reads on and does not leap.
        let next = stretches.iter_mut();
        let ranges: BTreeMap<TopicPartition, Range<i64>> =
            next.filter_map(|(at, of)| Some((at.clone(), of.pop_front()?))).collect();
        if ranges.is_empty() {
            return Ok(());
        }
        let mut reader = Reader::between(admin, &ranges).await?;
        while let Some(records) = reader.next().await? {
            for record in records {
                let at =
                    TopicPartition { topic: record.topic.clone(), partition: record.partition };
                if let Some(found) = wanted.remove(&(at, record.offset))
                    && is_of(&record, found.letter.id)
                {
                    visit(found, record);
                }
            }
        }
    }
}

/// The ranges that hold these offsets of a partition, without those between two of them where these are more than `leap`.
fn stretches(mut offsets: Vec<i64>, leap: i64) -> VecDeque<Range<i64>> {
    offsets.sort_unstable();
    let mut stretches: VecDeque<Range<i64>> = VecDeque::new();
    for offset in offsets {
        match stretches.back_mut() {
            Some(last) if offset - last.end <= leap => last.end = last.end.max(offset + 1),
            _ => stretches.push_back(offset..offset + 1),
        }
    }
    stretches
}

/// Whether a record is this dead letter. Where a topic was made anew, another one stands in its place.
pub(super) fn is_of(record: &Record, letter: Uuid) -> bool {
    headers::last(&record.headers, headers::DLQ_ID).and_then(|id| id.parse().ok()) == Some(letter)
}

impl Found {
    /// The record of the dead letter, with its value; `None` where retention took it.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn record(&self, admin: &Admin) -> Result<Option<Record>, ReadError> {
        Ok(originals(admin, &[self]).await?.remove(&self.letter.id))
    }

    /// Why no handler would see it, judged as its consumer would judge its record.
    #[must_use]
    pub fn doom(&self, catalogue: &Catalogue, record: &Record) -> Option<String> {
        let event = catalogue.event_of_topic(self.letter.topic.as_str())?;
        let mut original = record.clone();
        original.headers.retain(|header| !header.is_added());
        doom_of(&original, event, Some(&self.letter.group)).map(|cause| cause.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_wants_is_read_where_it_is_little() {
        let ranges = |offsets: &[i64]| Vec::from(stretches(offsets.to_vec(), 10));
        assert_eq!(ranges(&[]), []);
        assert_eq!(ranges(&[7, 3, 7, 18, 30]), [3..19, 30..31]);
        assert_eq!(ranges(&[7, 19, 3]), [3..8, 19..20]);
    }
}
