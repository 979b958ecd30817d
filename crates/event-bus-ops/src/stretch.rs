//! A stretch of time on some partitions, cut so that no more is read than may be.

use std::collections::BTreeMap;
use std::ops::Range;

use event_bus::Catalogue;
use event_bus::catalogue::Event;
use event_bus::kafka::admin::{Admin, AdminError, Offsets, Position, TopicPartition};
use event_bus::names::TopicName;
use event_bus::partition::partition_for;
use jiff::{SignedDuration, Timestamp};

use crate::access::policy::Actor;
use crate::seen::services_of;

/// It is cut to a second.
const EXACT: SignedDuration = SignedDuration::from_secs(1);

/// The events of which somebody may see some, or the one that is named.
pub(crate) fn events<'a>(
    catalogue: &'a Catalogue,
    actor: &Actor,
    name: Option<&str>,
) -> Vec<&'a Event> {
    let services = actor.scope.services.as_ref();
    let is_in_scope = |event: &Event| {
        let mut of_event = services_of(event).into_iter();
        services.is_none_or(|scope| of_event.any(|service| scope.contains(service)))
    };
    let events = catalogue.events().map(|event| &**event);
    events
        .filter(|event| name.is_none_or(|name| event.name == *name) && is_in_scope(event))
        .collect()
}

/// The partitions of these topics, as far as they exist; with a key the one of each that it is in.
pub(crate) async fn partitions(
    admin: &Admin,
    topics: impl Iterator<Item = &TopicName>,
    key: Option<&str>,
) -> Result<Vec<TopicPartition>, AdminError> {
    let cluster = admin.cluster().await?;
    let of_topic = |topic: &TopicName| {
        let mut all: Vec<TopicPartition> = cluster.partitions(topic).collect();
        if let (Some(key), Ok(count @ 1..)) = (key, i32::try_from(all.len())) {
            let of_key = partition_for(key.as_bytes(), count);
            all.retain(|at| at.partition == of_key);
        }
        all
    };
    Ok(topics.flat_map(of_topic).collect())
}

/// What is to be read of each partition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Its offsets; partitions with nothing to read are left out.
    pub ranges: BTreeMap<TopicPartition, Range<i64>>,
    /// From when on: later than asked for where there is too much.
    pub since: Timestamp,
}

impl Stretch {
    /// The records of these partitions from `since` up to `until`; where there are more than `most`, as counted by offsets,
    /// the latest of them, and of these at least half as many. In a second that alone has more, there are more in it.
    pub async fn of(
        admin: &Admin,
        partitions: Vec<TopicPartition>,
        since: Timestamp,
        until: Timestamp,
        most: u64,
    ) -> Result<Self, AdminError> {
        Self::cut(admin, partitions, since, until, most).await
    }

    /// The same of whatever tells where each partition is at a time.
    async fn cut(
        edges: &impl Edges,
        partitions: Vec<TopicPartition>,
        since: Timestamp,
        until: Timestamp,
        most: u64,
    ) -> Result<Self, AdminError> {
        // Kafka looks into each partition that it is asked about: those with nothing to read are not any more.
        let starts = edges.at(since, partitions).await?;
        let ends = Edge(edges.ends(until, starts.keys().cloned().collect()).await?);
        let mut shown = ends.since(starts, since);
        if shown.records() <= most {
            return Ok(shown);
        }
        let partitions: Vec<TopicPartition> = shown.ranges.keys().cloned().collect();
        let (mut early, mut late) = (since, until);
        let mut all = shown;
        shown = Self { ranges: BTreeMap::new(), since: until };
        while shown.records() < most / 2 && late.duration_since(early) > EXACT {
            let middle = early + late.duration_since(early) / 2;
            let tried = ends.since(edges.at(middle, partitions.clone()).await?, middle);
            if tried.records() <= most {
                (late, shown) = (middle, tried);
            } else {
                (early, all) = (middle, tried);
            }
        }
        Ok(if shown.ranges.is_empty() { all } else { shown })
    }

    /// How many records there are, as counted by offsets.
    pub fn records(&self) -> u64 {
        let length = |range: &Range<i64>| u64::try_from(range.end - range.start).unwrap_or(0);
        self.ranges.values().map(length).sum()
    }
}

/// The ends of what is read of each partition.
struct Edge(BTreeMap<TopicPartition, i64>);

impl Edge {
    /// What is between the beginnings, which are those of `since`, and this.
    fn since(&self, starts: BTreeMap<TopicPartition, i64>, since: Timestamp) -> Stretch {
        let range = |(at, start): (TopicPartition, i64)| {
            let range = start..*self.0.get(&at)?;
            (!range.is_empty()).then_some((at, range))
        };
        Stretch { ranges: starts.into_iter().filter_map(range).collect(), since }
    }
}

type Asked = Result<BTreeMap<TopicPartition, i64>, AdminError>;

/// What tells where partitions are at a time.
trait Edges: Sync {
    /// The first record from this time on; of those that have none, nothing.
    fn at(&self, time: Timestamp, of: Vec<TopicPartition>) -> impl Future<Output = Asked> + Send;

    /// As [`Edges::at`], and the end of those that have none.
    fn ends(&self, time: Timestamp, of: Vec<TopicPartition>) -> impl Future<Output = Asked> + Send;
}

impl Edges for Admin {
    async fn at(&self, time: Timestamp, of: Vec<TopicPartition>) -> Asked {
        told(self.offsets(Position::At(time.as_millisecond()), of).await?)
    }

    async fn ends(&self, time: Timestamp, of: Vec<TopicPartition>) -> Asked {
        let mut edge = self.at(time, of.clone()).await?;
        let rest = of.into_iter().filter(|partition| !edge.contains_key(partition)).collect();
        edge.extend(told(self.offsets(Position::End, rest).await?)?);
        Ok(edge)
    }
}

/// Those that are known: a topic that goes meanwhile has nothing to read.
fn told(offsets: Offsets) -> Result<BTreeMap<TopicPartition, i64>, AdminError> {
    let known = offsets.into_iter().filter_map(|(at, offset)| match offset {
        Ok(offset) => offset.map(|offset| Ok((at, offset))),
        Err(error) => Some(Err(error)),
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A partition with a record in each second, and one with a thousand in the last.
    struct Burst;

    fn partition(partition: i32) -> TopicPartition {
        TopicPartition { topic: "a.b".parse().unwrap(), partition }
    }

    impl Edges for Burst {
        async fn at(&self, time: Timestamp, of: Vec<TopicPartition>) -> Asked {
            let second = time.as_second() + i64::from(time.subsec_nanosecond() > 0);
            let firsts = [(0, second), (1, 0)].into_iter().filter(|_| second <= 999);
            let firsts = firsts.map(|(number, first)| (partition(number), first));
            Ok(firsts.filter(|(at, _)| of.contains(at)).collect())
        }

        async fn ends(&self, time: Timestamp, of: Vec<TopicPartition>) -> Asked {
            assert_eq!(time, at(1_000));
            assert!(!of.contains(&partition(2)), "it has nothing to read");
            Ok(of.into_iter().map(|at| (at, 1_000)).collect())
        }
    }

    async fn cut(since: i64, most: u64) -> Stretch {
        let partitions = [0, 1, 2].map(partition).into();
        Stretch::cut(&Burst, partitions, at(since), at(1_000), most).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_too_much_is_cut_to_its_end() {
        let all = cut(0, 2_000).await;
        assert_eq!((all.since, all.records()), (at(0), 2_000));
        let some = cut(0, 1_400).await;
        assert!((700..=1_400).contains(&some.records()), "{some:?}");
        assert_eq!(some.ranges[&partition(0)].start, some.since.as_second(), "{some:?}");
        // A second that has more by itself is shown with more in it.
        let burst = cut(0, 10).await;
        assert!(burst.since >= at(997) && burst.records() >= 1_000, "{burst:?}");
        let none = cut(1_000, 10).await;
        assert_eq!((none.records(), none.ranges.len()), (0, 0));
    }
}
