//! Counts of a topic's records, by version and service.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Consumed, Published, Usage};
use crate::catalogue::{Event, Version};
use crate::envelope::Envelope;
use crate::kafka::Record;
use crate::kafka::admin::TopicPartition;
use crate::names::{GroupName, ServiceName};
use crate::replay::Replay;

/// More versions and services than this are told of together: whoever may write to a topic can name any.
const KINDS_MAX: usize = 1_000;

type ByPartition = BTreeMap<TopicPartition, i64>;

/// From where a topic is read.
#[derive(Clone, Debug, Default)]
pub struct Starts {
    /// The first offset that is read of each partition.
    pub read_from: ByPartition,
    /// The first offset that is there.
    pub oldest: ByPartition,
}

/// The records of one event's topic, counted as they are read.
#[derive(Debug)]
pub struct Tally {
    event: Arc<Event>,
    starts: Starts,
    committed: BTreeMap<GroupName, ByPartition>,
    kinds: BTreeMap<(Version, ServiceName), Kind>,
    others: u64,
    /// Of each group, how many records of each version it has before it.
    before: BTreeMap<GroupName, BTreeMap<Version, u64>>,
}

#[derive(Debug)]
struct Kind {
    records: u64,
    first_ms: i64,
    last_ms: i64,
}

impl Tally {
    /// Nothing yet, of an event whose groups have committed this.
    #[must_use]
    pub fn new(event: &Event, starts: Starts, committed: BTreeMap<GroupName, ByPartition>) -> Self {
        let before =
            event.consumers.iter().map(|consumer| (consumer.group.clone(), BTreeMap::new()));
        Self {
            event: Arc::new(event.clone()),
            starts,
            committed,
            kinds: BTreeMap::new(),
            others: 0,
            before: before.collect(),
        }
    }

    /// Counts a record of the topic. A replay was published before, and is one group's.
    pub fn add(&mut self, record: &Record) {
        if Replay::read(&record.headers).is_some() {
            return;
        }
        let envelope = record.value.as_deref().and_then(|value| Envelope::parse(value).ok());
        let Some(Envelope { version, service, .. }) =
            envelope.filter(|envelope| envelope.event == self.event.name)
        else {
            self.others += 1;
            return;
        };
        let is_full = self.kinds.len() >= KINDS_MAX;
        let kind = (version, service);
        if is_full && !self.kinds.contains_key(&kind) {
            self.others += 1;
            return;
        }
        let at = record.timestamp_ms;
        let kind = self.kinds.entry(kind).or_insert(Kind { records: 0, first_ms: at, last_ms: at });
        kind.records += 1;
        kind.first_ms = kind.first_ms.min(at);
        kind.last_ms = kind.last_ms.max(at);
        let place = TopicPartition { topic: record.topic.clone(), partition: record.partition };
        for (group, before) in &mut self.before {
            let next = self
                .committed
                .get(group)
                .and_then(|offsets| offsets.get(&place))
                .copied()
                .unwrap_or(0);
            let count = before.entry(version).or_default();
            *count += u64::from(record.offset >= next);
        }
    }

    /// What was counted.
    #[must_use]
    pub fn done(self, exists: bool) -> Usage {
        let Self { event, starts, committed, kinds, others, mut before } = self;
        let published = kinds.into_iter().map(|((version, service), kind)| Published {
            is_listed: event.versions.iter().any(|known| known.version == version),
            is_producer: event.producer == service,
            version,
            service,
            records: kind.records,
            first_at: time(kind.first_ms),
            last_at: time(kind.last_ms),
        });
        let consumed = event.consumers.iter().map(|consumer| {
            let offsets = committed.get(&consumer.group);
            // Without a commit it begins with the oldest record.
            let next = |at, oldest: i64| {
                offsets.and_then(|offsets| offsets.get(at)).copied().unwrap_or(oldest).max(oldest)
            };
            let is_at_least = starts.read_from.iter().any(|(at, read_from)| {
                let oldest = starts.oldest.get(at).copied().unwrap_or(0);
                next(at, oldest) < *read_from
            });
            Consumed {
                service: consumer.service.clone(),
                group: consumer.group.clone(),
                major: consumer.major,
                before: before.remove(&consumer.group).unwrap_or_default(),
                is_at_least,
            }
        });
        Usage {
            event: event.name.clone(),
            topic: event.topic.clone(),
            exists,
            published: published.collect(),
            others,
            consumed: consumed.collect(),
        }
    }
}

/// A time that Kafka knows; one that no calendar has is the earliest or the last.
fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::catalogue::corner::corner;

    fn event() -> Event {
        Event::clone(corner("mail").event("OrderPlaced").unwrap())
    }

    fn record(event: &Event, offset: i64, version: &str, service: &str) -> Record {
        let value = json!({
            "event": "OrderPlaced", "version": version, "occurred_at": "2026-03-01T09:00:00Z",
            "service": service, "tenant_id": "t", "payload": {},
        });
        Record {
            topic: event.topic.clone(),
            partition: 0,
            offset,
            timestamp_ms: 1_000 * offset,
            key: None,
            value: Some(Bytes::from(value.to_string())),
            headers: Vec::new(),
        }
    }

    #[test]
    fn versions_are_counted_by_service_and_by_what_is_before_a_group() {
        let event = event();
        let place = TopicPartition { topic: event.topic.clone(), partition: 0 };
        let group = event.consumers[0].group.clone();
        let committed = BTreeMap::from([(group, BTreeMap::from([(place.clone(), 2)]))]);
        let starts = Starts {
            read_from: BTreeMap::from([(place.clone(), 0)]),
            oldest: BTreeMap::from([(place, 0)]),
        };
        let mut tally = Tally::new(&event, starts, committed);
        for (offset, version, service) in
            [(0, "1.0", "shop"), (1, "1.0", "shop"), (2, "2.0", "shop"), (3, "2.0", "other")]
        {
            tally.add(&record(&event, offset, version, service));
        }
        tally.add(&Record { value: None, ..record(&event, 4, "1.0", "shop") });
        let usage = tally.done(true);
        let told: Vec<_> = usage
            .published
            .iter()
            .map(|found| {
                (
                    found.version.to_string(),
                    found.service.to_string(),
                    found.records,
                    found.is_listed,
                    found.is_producer,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("1.0".to_owned(), "shop".to_owned(), 2, true, true),
                ("2.0".to_owned(), "other".to_owned(), 1, false, false),
                ("2.0".to_owned(), "shop".to_owned(), 1, false, true),
            ]
        );
        assert_eq!(usage.published[0].last_at, time(1_000));
        assert_eq!(usage.others, 1);
        let before: Vec<u64> = usage.consumed[0].before.values().copied().collect();
        assert_eq!((before, usage.consumed[0].is_at_least), (vec![0, 2], false));
    }

    #[test]
    fn a_group_that_stands_before_where_reading_began_may_have_more_before_it() {
        let event = event();
        let place = TopicPartition { topic: event.topic.clone(), partition: 0 };
        let group = event.consumers[0].group.clone();
        let told = |next: i64, oldest: i64| {
            let committed =
                BTreeMap::from([(group.clone(), BTreeMap::from([(place.clone(), next)]))]);
            let starts = Starts {
                read_from: BTreeMap::from([(place.clone(), 5)]),
                oldest: BTreeMap::from([(place.clone(), oldest)]),
            };
            Tally::new(&event, starts, committed).done(true).consumed[0].is_at_least
        };
        assert_eq!([told(4, 0), told(5, 0), told(4, 5)], [true, false, false]);
    }

    #[test]
    fn kinds_beyond_the_bound_are_counted_together() {
        let event = event();
        let mut tally = Tally::new(&event, Starts::default(), BTreeMap::new());
        for minor in 0..=KINDS_MAX {
            tally.add(&record(&event, 0, &format!("1.{minor}"), "shop"));
        }
        let usage = tally.done(true);
        assert_eq!((usage.published.len(), usage.others), (KINDS_MAX, 1));
    }
}
