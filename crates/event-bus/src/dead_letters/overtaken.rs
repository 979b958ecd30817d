//! Which dead letters newer events of their keys have overtaken: a replay would bring them behind those.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use bytes::Bytes;
use uuid::Uuid;

use super::{Found, Plan};
use crate::headers;
use crate::kafka::admin::{Admin, TopicPartition};
use crate::kafka::reader::{ReadError, Reader};
use crate::names::GroupName;

/// So many events are read for it.
const MOST_READ: usize = 200_000;

/// What has overtaken dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overtaken {
    /// How many newer events of its key its group has settled, of each dead letter of which it has.
    pub letters: BTreeMap<Uuid, u64>,
    /// Whether so many events stand behind them that not all were looked at.
    pub is_cut_off: bool,
}

impl Plan<'_> {
    /// Of how many newer events of its key the group of each dead letter has settled. Those of a parked key are not asked
    /// about: what is newer waits for them.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn overtaken(&self, admin: &Admin) -> Result<Overtaken, ReadError> {
        let behind = Behind::of(&self.letters, &settled(admin, &self.letters).await?);
        let mut overtaken = Overtaken::default();
        let ranges = behind.ranges();
        if ranges.is_empty() {
            return Ok(overtaken);
        }
        let mut reader = Reader::between(admin, &ranges).await?;
        let mut read = 0;
        while let Some(records) = reader.next().await? {
            read += records.len();
            for record in records {
                let at = TopicPartition { topic: record.topic, partition: record.partition };
                let is_replay = headers::last(&record.headers, headers::REPLAY_FOR).is_some();
                let Some(key) = record.key.filter(|_| !is_replay) else { continue };
                for id in behind.overtaken_by(&at, key, record.offset) {
                    *overtaken.letters.entry(id).or_default() += 1;
                }
            }
            if read >= MOST_READ {
                overtaken.is_cut_off = true;
                break;
            }
        }
        Ok(overtaken)
    }
}

/// Up to where the groups of dead letters have settled the partitions that those are of.
async fn settled(
    admin: &Admin,
    letters: &[&Found],
) -> Result<HashMap<(GroupName, TopicPartition), i64>, ReadError> {
    let mut settled = HashMap::new();
    let mut groups: Vec<&GroupName> = letters.iter().map(|found| &found.letter.group).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        for (at, offset) in admin.committed_offsets(group).await? {
            // A partition that does not answer has nothing said about it.
            if let Ok(Some(offset)) = offset {
                settled.insert((group.clone(), at), offset);
            }
        }
    }
    Ok(settled)
}

/// The events behind dead letters that their groups have settled, by partition and key.
#[derive(Debug, Default)]
struct Behind(HashMap<(TopicPartition, Bytes), Vec<Span>>);

/// The offsets behind a dead letter's event that its group has settled.
#[derive(Debug)]
struct Span {
    letter: Uuid,
    offsets: Range<i64>,
}

impl Behind {
    fn of(letters: &[&Found], settled: &HashMap<(GroupName, TopicPartition), i64>) -> Self {
        let mut behind = Self::default();
        for Found { letter, .. } in letters {
            let at = TopicPartition { topic: letter.topic.clone(), partition: letter.partition };
            let Some(end) = settled.get(&(letter.group.clone(), at.clone())) else { continue };
            let Some(key) = letter.key.clone().filter(|_| letter.chain_seq.is_none()) else {
                continue;
            };
            let offsets = letter.offset + 1..*end;
            if !offsets.is_empty() {
                behind.0.entry((at, key)).or_default().push(Span { letter: letter.id, offsets });
            }
        }
        behind
    }

    /// What of each partition tells it.
    fn ranges(&self) -> BTreeMap<TopicPartition, Range<i64>> {
        let mut ranges: BTreeMap<TopicPartition, Range<i64>> = BTreeMap::new();
        for ((at, _), spans) in &self.0 {
            for Span { offsets, .. } in spans {
                let range = ranges.entry(at.clone()).or_insert_with(|| offsets.clone());
                *range = range.start.min(offsets.start)..range.end.max(offsets.end);
            }
        }
        ranges
    }

    fn overtaken_by(
        &self,
        at: &TopicPartition,
        key: Bytes,
        offset: i64,
    ) -> impl Iterator<Item = Uuid> {
        let spans = self.0.get(&(at.clone(), key)).into_iter().flatten();
        spans.filter(move |span| span.offsets.contains(&offset)).map(|span| span.letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::letter::tests::dead;
    use crate::dead_letters::{Letter, State};

    #[test]
    fn what_overtakes_is_newer_of_its_key_and_settled() {
        let found = |offset| {
            let letter = Letter::read(&dead(offset, "no", "2026-01-02T00:00:00Z")).unwrap();
            Found { letter, state: State::Open }
        };
        let (first, second, mut parked) = (found(7), found(9), found(8));
        parked.letter.chain_seq = Some(1);
        let at =
            TopicPartition { topic: first.letter.topic.clone(), partition: first.letter.partition };
        let settled = HashMap::from([((first.letter.group.clone(), at.clone()), 12)]);
        let behind = Behind::of(&[&second, &first, &parked], &settled);
        assert_eq!(behind.ranges(), BTreeMap::from([(at.clone(), 8..12)]));
        let key = first.letter.key.clone().unwrap();
        let by =
            |key: &Bytes, offset| behind.overtaken_by(&at, key.clone(), offset).collect::<Vec<_>>();
        assert_eq!(by(&key, 8), [first.letter.id]);
        assert_eq!(by(&key, 11), [second.letter.id, first.letter.id]);
        assert!(by(&key, 7).is_empty() && by(&key, 12).is_empty());
        assert!(by(&Bytes::from_static(b"other"), 8).is_empty());
        assert!(Behind::of(&[&first], &HashMap::new()).ranges().is_empty());
    }
}
