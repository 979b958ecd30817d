//! What one collection found: every lag, worked out once, however often it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use event_bus::kafka::admin::{Committed, GroupOffsets, Span, Survey};
use event_bus::lag::{PartitionOffsets, of_partition};

use super::Shared;
use super::past::Past;

/// The lag of all groups at one time.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) survey: Survey,
    /// Each group, sorted by name: those of the survey, and the catalogue's that the cluster has never seen.
    pub(super) groups: Vec<GroupRows>,
    /// How long it took.
    pub(super) took: Duration,
}

/// A group's lag.
#[derive(Debug)]
pub(super) struct GroupRows {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) members: Option<usize>,
    /// Each topic that it has committed in, or has in the catalogue, in the order of the survey's.
    pub(super) topics: Vec<TopicRows>,
}

/// A group's lag on a topic.
#[derive(Debug)]
pub(super) struct TopicRows {
    /// The topic's place in the survey.
    pub(super) topic: usize,
    pub(super) rows: Vec<Row>,
}

/// A group's lag in a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) partition: usize,
    pub(super) committed: Option<i64>,
    /// `None` where the partition did not tell where it ends.
    pub(super) lag: Option<Lag>,
}

/// How far behind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lag {
    /// The offset that the group handles next.
    pub(super) next: i64,
    /// Records up to the high watermark.
    pub(super) records: u64,
    /// Records that may be read: those before the first open transaction.
    pub(super) consumable: u64,
    /// Records that retention took before the group settled them.
    pub(super) lost: u64,
    /// How old the first of them is; zero where there is none.
    pub(super) age: Duration,
}

/// The state of a group that the cluster has never seen.
const ABSENT: &str = "Absent";

impl Collection {
    /// What a survey tells, with the catalogue's groups, which begin with the earliest event where they never committed.
    pub(super) fn of(mut survey: Survey, shared: &Shared, past: &Past, now: i64) -> Self {
        let mut subscribed: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for found in shared.catalogue.subscriptions() {
            let group = found.consumer.group.as_str();
            if (shared.wanted.group)(group) {
                let topics = subscribed.entry(group).or_default();
                topics.extend(survey.place_of(&found.event.topic));
            }
        }
        let mut groups: BTreeMap<String, GroupRows> = BTreeMap::new();
        for (name, topics) in &subscribed {
            // Where a broker did not tell its groups, this one may be among them.
            if survey.has_all_groups && survey.group(name).is_none() {
                let absent = GroupOffsets {
                    name: (*name).to_owned(),
                    state: ABSENT.to_owned(),
                    members: Some(0),
                    committed: Some(Vec::new()),
                };
                let rows = rows_of(&absent, topics, &survey, past, now);
                groups.insert((*name).to_owned(), rows);
            }
        }
        let none = BTreeSet::new();
        for group in &survey.groups {
            let topics = subscribed.get(group.name.as_str()).unwrap_or(&none);
            groups.insert(group.name.clone(), rows_of(group, topics, &survey, past, now));
        }
        // What they committed is in the rows.
        survey.groups = Vec::new();
        Self { survey, groups: groups.into_values().collect(), took: Duration::ZERO }
    }

    /// A group's row of the last collection, if it had the same topic.
    pub(super) fn row(&self, group: &str, topic: &str, partition: usize) -> Option<&Row> {
        let place = self.groups.binary_search_by(|found| found.name.as_str().cmp(group)).ok()?;
        let rows = self.groups[place]
            .topics
            .iter()
            .find(|rows| self.survey.topics[rows.topic].name.as_str() == topic)?;
        rows.rows.iter().find(|row| row.partition == partition)
    }
}

fn rows_of(
    group: &GroupOffsets,
    subscribed: &BTreeSet<usize>,
    survey: &Survey,
    past: &Past,
    now: i64,
) -> GroupRows {
    let committed = group.committed.as_deref();
    let mut topics: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
    let row = |topic: usize, partition: usize, committed: Option<i64>| {
        let found = &survey.topics[topic];
        let lag = found.partitions[partition].map(|span| {
            let mut lag = lag_of(committed, span);
            if lag.records > 0 {
                lag.age = past.age_of(&found.name, partition, lag.next, now);
            }
            lag
        });
        Row { partition, committed, lag }
    };
    for Committed { topic, partition, offset } in committed.unwrap_or_default() {
        let rows = topics.entry(*topic).or_default();
        rows.push(row(*topic, *partition, Some(*offset)));
    }
    // A coordinator that did not tell leaves nothing to be known; a group that did not commit has all before it.
    for topic in subscribed.iter().filter(|_| committed.is_some()) {
        let rows = topics.entry(*topic).or_default();
        let known: BTreeSet<usize> = rows.iter().map(|row| row.partition).collect();
        let all = 0..survey.topics[*topic].partitions.len();
        rows.extend(all.filter(|nth| !known.contains(nth)).map(|nth| row(*topic, nth, None)));
        rows.sort_by_key(|row| row.partition);
    }
    GroupRows {
        name: group.name.clone(),
        state: group.state.clone(),
        members: group.members,
        topics: topics.into_iter().map(|(topic, rows)| TopicRows { topic, rows }).collect(),
    }
}

fn lag_of(committed: Option<i64>, span: Span) -> Lag {
    let Span { start, stable, end } = span;
    let up_to = |log_end| of_partition(PartitionOffsets { committed, log_start: start, log_end });
    let (all, readable) = (up_to(end), up_to(stable));
    let next = committed.unwrap_or(start).max(start);
    let (records, consumable) = (all.lag, readable.lag.min(all.lag));
    Lag { next, records, consumable, lost: all.lost, age: Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag(committed: Option<i64>, start: i64, stable: i64, end: i64) -> (i64, u64, u64, u64) {
        let Lag { next, records, consumable, lost, .. } =
            lag_of(committed, Span { start, stable, end });
        (next, records, consumable, lost)
    }

    #[test]
    fn an_open_transaction_holds_back_what_may_be_read_and_not_what_waits() {
        assert_eq!(lag(Some(4), 0, 6, 10), (4, 6, 2, 0));
        assert_eq!(lag(Some(6), 0, 6, 10), (6, 4, 0, 0));
        // The commit of a consumer that reads uncommitted records.
        assert_eq!(lag(Some(9), 0, 6, 10), (9, 1, 0, 0));
    }

    #[test]
    fn retention_and_a_log_made_anew_make_no_wrong_lag() {
        assert_eq!(lag(Some(2), 5, 10, 10), (5, 5, 5, 3));
        assert_eq!(lag(None, 5, 10, 10), (5, 5, 5, 0));
        assert_eq!(lag(Some(900), 0, 10, 10), (900, 0, 0, 0));
    }
}
