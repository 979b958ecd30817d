//! Who is behind and does not move. Pure: it is told what was seen, and when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use event_bus::lag::{GroupLag, Reading};
use event_bus::names::{GroupName, TopicName};

/// How long a group may be behind in a partition without settling anything there: far longer than an event that fails
/// holds its partition's offset through all its retries.
pub const STALLED_AFTER: Duration = Duration::from_secs(60);

/// A partition in which a group is behind and settles nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stalled {
    pub group: GroupName,
    pub topic: TopicName,
    pub partition: i32,
    pub lag: u64,
    pub since: Instant,
}

/// What was seen so far. Per partition and not per group, for a partition that halts beside busy ones is no progress.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    behind: BTreeMap<(GroupName, TopicName, i32), Behind>,
}

#[derive(Clone, Copy, Debug)]
struct Behind {
    committed: Option<i64>,
    lag: u64,
    since: Instant,
}

impl Progress {
    /// Takes note of a sample.
    pub(crate) fn note(&mut self, groups: &[GroupLag], now: Instant) {
        let mut behind = BTreeMap::new();
        for group in groups {
            for partition in &group.partitions {
                let at = (group.group.clone(), group.topic.clone(), partition.partition);
                let before = self.behind.get(&at).copied();
                let after = match &partition.reading {
                    Reading::Known(known) if known.lag == 0 => None,
                    Reading::Known(known) => {
                        let fresh =
                            Behind { committed: partition.committed, lag: known.lag, since: now };
                        Some(match before {
                            Some(before) if before.committed == fresh.committed => {
                                Behind { since: before.since, ..fresh }
                            }
                            _ => fresh,
                        })
                    }
                    // Nothing is known, so nothing has changed.
                    Reading::Unknown { .. } => before,
                };
                behind.extend(after.map(|after| (at, after)));
            }
        }
        self.behind = behind;
    }

    /// The partitions that have stood still for too long.
    pub(crate) fn stalled(&self, now: Instant, after: Duration) -> impl Iterator<Item = Stalled> {
        self.behind
            .iter()
            .filter(move |(_, behind)| now.saturating_duration_since(behind.since) >= after)
            .map(|((group, topic, partition), behind)| Stalled {
                group: group.clone(),
                topic: topic.clone(),
                partition: *partition,
                lag: behind.lag,
                since: behind.since,
            })
    }
}

#[cfg(test)]
mod tests {
    use event_bus::lag::{PartitionOffsets, PartitionReading, of_partition};

    use super::*;

    /// A group in a topic of one partition: its commit, and the log's end.
    fn group(committed: i64, log_end: i64) -> Vec<GroupLag> {
        let committed = (committed >= 0).then_some(committed);
        let offsets = PartitionOffsets { committed, log_start: 0, log_end };
        lag_of(committed, Reading::Known(of_partition(offsets)))
    }

    fn lag_of(committed: Option<i64>, reading: Reading) -> Vec<GroupLag> {
        let partitions = vec![PartitionReading {
            partition: 0,
            committed,
            log_start: None,
            log_end: None,
            reading,
        }];
        let (group, topic) = (GroupName::new("g").unwrap(), TopicName::new("t").unwrap());
        vec![GroupLag { group, topic, partitions }]
    }

    /// Whether a group stalls by the last of some samples, each so many seconds after the first.
    fn stalls(samples: &[(u64, Vec<GroupLag>)]) -> bool {
        let start = Instant::now();
        let mut progress = Progress::default();
        let mut now = start;
        for (seconds, groups) in samples {
            now = start + Duration::from_secs(*seconds);
            progress.note(groups, now);
        }
        progress.stalled(now, STALLED_AFTER).next().is_some()
    }

    #[test]
    fn a_group_that_is_behind_and_settles_nothing_stalls_after_a_minute() {
        assert!(!stalls(&[(0, group(3, 5)), (59, group(3, 9))]));
        assert!(stalls(&[(0, group(3, 5)), (30, group(3, 9)), (60, group(3, 9))]));
        assert!(stalls(&[(0, group(-1, 5)), (60, group(-1, 5))]));
    }

    #[test]
    fn a_group_that_settles_something_is_well_however_far_behind() {
        assert!(!stalls(&[(0, group(3, 5)), (59, group(4, 900)), (118, group(5, 9000))]));
    }

    #[test]
    fn an_idle_topic_is_well_and_its_idle_time_does_not_count() {
        assert!(!stalls(&[(0, group(5, 5)), (600, group(5, 5))]));
        assert!(!stalls(&[(0, group(5, 5)), (600, group(5, 6))]));
        assert!(!stalls(&[(0, group(4, 5)), (50, group(5, 5)), (100, group(5, 6))]));
    }

    #[test]
    fn what_can_not_be_read_neither_stalls_nor_heals() {
        let unknown = || lag_of(None, Reading::Unknown { error: "no leader".to_owned() });
        assert!(!stalls(&[(0, unknown()), (600, unknown())]));
        assert!(stalls(&[(0, group(3, 5)), (30, unknown()), (60, group(3, 5))]));
    }
}
