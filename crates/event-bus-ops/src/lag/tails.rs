//! What a log ends with. A transaction's marker takes an offset and is no record, and neither are records of a transaction
//! that was aborted: a consumer that has handled all there is may stand before them for ever, and would look behind.
//!
//! So where a small lag stands still, the end of the log is read once, and only what a consumer would get counts.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::{Duration, Instant};

use event_bus::KafkaConfig;
use event_bus::dead_letter::error_chain;
use event_bus::kafka::admin::{Survey, TopicPartition};
use event_bus::kafka::reader::{ReadError, Reader};
use event_bus::names::TopicName;
use tokio::time::timeout;

use super::collection::{Collection, Lag};

/// A lag of so many offsets at most is looked into.
const LENGTH: u64 = 64;
/// So many logs are read in one collection; the others have their turn in the next ones.
const AT_ONCE: usize = 64;
/// How long reading a topic may take, and from when on no other one is begun. What was not read by then counts in full.
const READ: Duration = Duration::from_secs(3);

/// The ends of logs that were read.
#[derive(Debug)]
pub(super) struct Tails {
    kafka: KafkaConfig,
    known: HashMap<(TopicName, usize), Tail>,
}

/// The last [`LENGTH`] offsets before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tail {
    end: i64,
    /// The bit `n` is set where a record is at `end - 1 - n`.
    records: u64,
}

impl Tail {
    fn of(end: i64, offsets: impl IntoIterator<Item = i64>) -> Self {
        let bit = |offset: i64| {
            let back = u64::try_from(end - 1 - offset).ok().filter(|back| *back < LENGTH)?;
            Some(1_u64 << back)
        };
        Self { end, records: offsets.into_iter().filter_map(bit).fold(0, |all, bit| all | bit) }
    }

    /// Where nothing could be read, every offset counts.
    fn unknown(end: i64) -> Self {
        Self { end, records: u64::MAX }
    }

    /// How many records are at `next` and behind it.
    fn records_from(self, next: i64) -> u64 {
        let Some(back) = u64::try_from(self.end - next).ok().filter(|back| *back > 0) else {
            return 0;
        };
        let mask = if back >= LENGTH { u64::MAX } else { (1 << back) - 1 };
        (self.records & mask).count_ones().into()
    }
}

impl Tails {
    pub(super) fn new(kafka: KafkaConfig) -> Self {
        Self { kafka, known: HashMap::new() }
    }

    /// Leaves out of each small lag that stands still what is no record.
    pub(super) async fn correct(&mut self, collection: &mut Collection, last: Option<&Collection>) {
        let Some(last) = last else { return };
        let survey = &collection.survey;
        let is_over = |topic: &TopicName, partition: usize, tail: &Tail| {
            end_of(survey, topic, partition) != Some(tail.end)
        };
        self.known.retain(|(topic, partition), tail| !is_over(topic, *partition, tail));
        let ranges = self.unread(collection, last);
        if !ranges.is_empty() {
            self.read(ranges).await;
        }
        for rows in collection.groups.iter_mut().flat_map(|group| &mut group.topics) {
            let topic = &collection.survey.topics[rows.topic].name;
            for row in &mut rows.rows {
                let Some(lag) = row.lag.as_mut().filter(|lag| is_small(lag)) else { continue };
                // A consumer may well be under way to records that have just come: only what was read counts.
                if let Some(tail) = self.known.get(&(topic.clone(), row.partition)) {
                    lag.records = tail.records_from(lag.next);
                    lag.consumable = lag.consumable.min(lag.records);
                    if lag.records == 0 {
                        lag.age = Duration::ZERO;
                    }
                }
            }
        }
    }

    /// What has to be read: the end of each log before which a small lag has stood still since the last collection.
    fn unread(
        &self,
        collection: &Collection,
        last: &Collection,
    ) -> BTreeMap<TopicPartition, Range<i64>> {
        let mut ranges = BTreeMap::new();
        for group in &collection.groups {
            for rows in &group.topics {
                let topic = &collection.survey.topics[rows.topic];
                for row in &rows.rows {
                    let (Some(lag), Some(span)) = (row.lag, topic.partitions[row.partition]) else {
                        continue;
                    };
                    // Before an open transaction nobody gets any further, so it is behind indeed.
                    let is_closed = span.stable == span.end;
                    let is_known = self.known.contains_key(&(topic.name.clone(), row.partition));
                    if ranges.len() == AT_ONCE || !is_small(&lag) || !is_closed || is_known {
                        continue;
                    }
                    let before = last.row(&group.name, topic.name.as_str(), row.partition);
                    let stood = before.and_then(|row| row.lag).is_some_and(|before| {
                        before.next == lag.next
                            && end_of(&last.survey, &topic.name, row.partition) == Some(span.end)
                    });
                    if stood {
                        let partition = i32::try_from(row.partition).unwrap_or(i32::MAX);
                        let at = TopicPartition { topic: topic.name.clone(), partition };
                        let from = span.start.max(span.end - LENGTH.cast_signed());
                        ranges.insert(at, from..span.end);
                    }
                }
            }
        }
        ranges
    }

    /// Reads one topic after the other, so that one which may not be read takes nothing from the others.
    async fn read(&mut self, ranges: BTreeMap<TopicPartition, Range<i64>>) {
        let mut topics: BTreeMap<TopicName, BTreeMap<TopicPartition, Range<i64>>> = BTreeMap::new();
        for (at, range) in ranges {
            topics.entry(at.topic.clone()).or_default().insert(at, range);
        }
        let began = Instant::now();
        for (topic, ranges) in topics {
            // The others have their turn in the next collection.
            if began.elapsed() >= READ {
                break;
            }
            let found = match timeout(READ, self.records_in(ranges.clone())).await {
                Ok(Ok(found)) => Some(found),
                Ok(Err(error)) => {
                    let error = error_chain(&error);
                    tracing::debug!(%topic, error, "the ends of its logs were not read");
                    None
                }
                Err(_) => {
                    tracing::debug!(%topic, "the ends of its logs were not read in time");
                    None
                }
            };
            for (at, Range { end, .. }) in ranges {
                let tail = found.as_ref().map_or_else(
                    || Tail::unknown(end),
                    |found| Tail::of(end, found.get(&at.partition).into_iter().flatten().copied()),
                );
                let partition = usize::try_from(at.partition).unwrap_or(usize::MAX);
                self.known.insert((at.topic, partition), tail);
            }
        }
    }

    /// The offsets of the records in these parts of one topic.
    async fn records_in(
        &self,
        ranges: BTreeMap<TopicPartition, Range<i64>>,
    ) -> Result<HashMap<i32, Vec<i64>>, ReadError> {
        let mut found: HashMap<i32, Vec<i64>> = HashMap::new();
        let mut reader = Reader::within(&self.kafka, ranges)?;
        while let Some(records) = reader.next().await? {
            for record in records {
                found.entry(record.partition).or_default().push(record.offset);
            }
        }
        Ok(found)
    }
}

fn is_small(lag: &Lag) -> bool {
    (1..=LENGTH).contains(&lag.records)
}

fn end_of(survey: &Survey, topic: &TopicName, partition: usize) -> Option<i64> {
    let place = survey.place_of(topic)?;
    survey.topics[place].partitions.get(partition)?.map(|span| span.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_no_records() {
        // 95 and 99 are markers, 97 was aborted.
        let tail = Tail::of(100, [90, 91, 92, 93, 94, 96, 98]);
        for (next, records) in [(99, 0), (100, 0), (101, 0), (98, 1), (96, 2), (95, 2), (90, 7)] {
            assert_eq!(tail.records_from(next), records, "{next}");
        }
    }

    #[test]
    fn a_whole_tail_fits_and_nothing_beyond_it_counts() {
        let tail = Tail::of(100, 0..100);
        assert_eq!(tail.records_from(36), 64);
        assert_eq!(tail.records_from(0), 64);
        assert_eq!(Tail::unknown(100).records_from(97), 3);
    }
}
