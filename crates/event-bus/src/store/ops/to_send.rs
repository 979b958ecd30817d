//! The dead letters of a replay, for who carries it out.
//!
//! They are many, and what a database takes for a row is more than what it takes for what the row says: so they come as
//! a few long texts.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::super::sql::Row;
use super::OpsStore;
use super::letters::parsed;
use super::names::Names;
use crate::kafka::admin::TopicPartition;
use crate::names::{EventId, GroupName, TopicName};

/// So many that are to be sent are read by one statement.
const PAGE: u64 = 5_000;

/// A dead letter that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToSend {
    /// The dead letter.
    pub letter: Uuid,
    /// Its lane: the partition that it is on.
    pub lane: TopicPartition,
    /// The offset there.
    pub dead_letter_offset: i64,
    /// Its place in the lane.
    pub place: i64,
    /// The topic that it goes back to.
    pub topic: TopicName,
    /// The partition there.
    pub partition: i32,
    /// The group that it is for.
    pub group: GroupName,
    /// The event.
    pub event_id: EventId,
    /// Its place among the dead letters of its parked key.
    pub chain_seq: Option<i64>,
}

impl OpsStore {
    /// The dead letters of a replay; where `unsent`, only those that were not sent: it ended before, or they could not be.
    ///
    /// # Errors
    /// The database's.
    pub async fn letters_of_replay(
        &self,
        id: Uuid,
        unsent: bool,
    ) -> Result<Vec<Uuid>, sqlx::Error> {
        let all = "SELECT string_agg(letter, ',' ORDER BY place) AS letters FROM ops_replay_letters
            WHERE replay = $1 GROUP BY dlq_topic, dlq_partition ORDER BY dlq_topic, dlq_partition";
        let rest =
            "SELECT string_agg(planned.letter, ',' ORDER BY planned.place) AS letters FROM ops_replay_lanes AS lane
            JOIN ops_replay_letters AS planned ON planned.replay = lane.replay AND planned.dlq_topic = lane.dlq_topic
              AND planned.dlq_partition = lane.dlq_partition
            WHERE lane.replay = $1 AND (planned.place >= lane.sent OR planned.outcome IN ('gone', 'refused'))
            GROUP BY planned.dlq_topic, planned.dlq_partition ORDER BY planned.dlq_topic, planned.dlq_partition";
        let select = if unsent { rest } else { all };
        let rows = self.read.read_all(select.to_owned(), &[id.to_string().into()]).await?;
        let mut letters = Vec::new();
        for row in &rows {
            for letter in row.get::<String>("letters")?.split(',') {
                letters.push(parsed(letter)?);
            }
        }
        Ok(letters)
    }

    /// The next ones to be sent, lane by lane, each lane's in their order, and from these places on where they are further.
    ///
    /// # Errors
    /// The database's.
    pub async fn to_send(
        &self,
        id: Uuid,
        behind: &BTreeMap<TopicPartition, i64>,
        most: u64,
    ) -> Result<Vec<ToSend>, sqlx::Error> {
        let lanes = "SELECT dlq_topic, dlq_partition, sent, letters FROM ops_replay_lanes
            WHERE replay = $1 AND sent < letters ORDER BY dlq_topic, dlq_partition";
        let lanes = self.read.read_all(lanes.to_owned(), &[id.to_string().into()]).await?;
        self.tell_names(&lanes, &["dlq_topic"]).await?;
        let mut all: Vec<ToSend> = Vec::new();
        for lane in &lanes {
            let (topic, partition): (i64, i64) =
                (lane.get("dlq_topic")?, lane.get("dlq_partition")?);
            let at = TopicPartition {
                topic: parsed(&self.names.name(topic).unwrap_or_default())?,
                partition: partition_of(lane, "dlq_partition")?,
            };
            let mut place: i64 = lane.get("sent")?;
            place = place.max(behind.get(&at).copied().unwrap_or(0));
            let letters: i64 = lane.get("letters")?;
            while place < letters && (all.len() as u64) < most {
                let left = most.saturating_sub(all.len() as u64).min(PAGE);
                let select =
                    "SELECT topic, partition_id, consumer_group,
                      string_agg(letter || ' ' || event_id || ' ' || place || ' ' || dlq_offset || ' '
                        || coalesce(CAST(chain_seq AS text), ''), ',') AS letters
                    FROM (SELECT * FROM ops_replay_letters
                          WHERE replay = $1 AND dlq_topic = $2 AND dlq_partition = $3 AND place >= $4
                          ORDER BY place LIMIT $5) AS page
                    GROUP BY topic, partition_id, consumer_group";
                let limit = i64::try_from(left).unwrap_or(i64::MAX);
                let values = [
                    id.to_string().into(),
                    topic.into(),
                    partition.into(),
                    place.into(),
                    limit.into(),
                ];
                let rows = self.read.read_all(select.to_owned(), &values).await?;
                self.tell_names(&rows, &["topic", "consumer_group"]).await?;
                let begin = all.len();
                for row in &rows {
                    take_in(&mut all, row, &at, &self.names)?;
                }
                let page = &mut all[begin..];
                page.sort_unstable_by_key(|one| one.place);
                match page.last() {
                    Some(last) => place = last.place + 1,
                    None => break,
                }
            }
        }
        Ok(all)
    }
}

pub(super) fn partition_of(row: &Row, column: &str) -> Result<i32, sqlx::Error> {
    i32::try_from(row.get::<i64>(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Takes in those of one topic, partition and group.
fn take_in(
    all: &mut Vec<ToSend>,
    row: &Row,
    at: &TopicPartition,
    names: &Names,
) -> Result<(), sqlx::Error> {
    let name =
        |column: &str| Ok::<_, sqlx::Error>(names.name(row.get(column)?).unwrap_or_default());
    let (topic, group): (TopicName, GroupName) =
        (parsed(&name("topic")?)?, parsed(&name("consumer_group")?)?);
    let partition = partition_of(row, "partition_id")?;
    for letter in row.get::<String>("letters")?.split(',') {
        let mut told = letter.split(' ');
        let mut next = || told.next().unwrap_or_default();
        all.push(ToSend {
            letter: parsed(next())?,
            event_id: parsed(next())?,
            place: parsed(next())?,
            dead_letter_offset: parsed(next())?,
            chain_seq: match next() {
                "" => None,
                chain_seq => Some(parsed(chain_seq)?),
            },
            lane: at.clone(),
            topic: topic.clone(),
            partition,
            group: group.clone(),
        });
    }
    Ok(())
}
