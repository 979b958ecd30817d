//! How far consumer groups are behind: arithmetic on offsets that somebody else has read.
//!
//! Committed offsets must be read before the ends of the logs: then a group that goes on meanwhile looks a little
//! further behind than it is, and never ahead of the log.

mod ends;

use serde::{Deserialize, Serialize};

pub use ends::Ends;

use crate::names::{GroupName, TopicName};

/// The share of a topic's retention, in percent, after which what waits is about to be taken by it.
pub const RETENTION_NEAR_PERCENT: u32 = 50;

/// How bad a group's lag is, summed over the partitions of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Not above [`Thresholds::warning`].
    Well,
    /// Above [`Thresholds::warning`].
    Warning,
    /// Above [`Thresholds::critical`].
    Critical,
}

impl Level {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The offsets of one partition and of one group in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// What the group has committed: the offset of the next event that it will handle.
    pub committed: Option<i64>,
    /// The first offset that is still there.
    pub log_start: i64,
    /// The offset behind the last event.
    pub log_end: i64,
}

/// From how many unsettled events on somebody is told that a group is behind on a topic, all its partitions together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Thresholds {
    /// Above so many it is looked at in time, at least 1.
    pub warning: u64,
    /// Above so many it is looked at now, more than `warning`.
    pub critical: u64,
}

impl Thresholds {
    /// How bad it is to be so many events behind.
    #[must_use]
    pub const fn level(self, lag: u64) -> Level {
        if lag > self.critical {
            Level::Critical
        } else if lag > self.warning {
            Level::Warning
        } else {
            Level::Well
        }
    }

    /// What a lag of this level is above.
    #[must_use]
    pub const fn below(self, level: Level) -> Option<u64> {
        match level {
            Level::Well => None,
            Level::Warning => Some(self.warning),
            Level::Critical => Some(self.critical),
        }
    }
}

impl Default for Thresholds {
    /// What holds where a catalogue has no default of its own.
    fn default() -> Thresholds {
        Thresholds { warning: 1_000, critical: 10_000 }
    }
}

/// How a group's commit stands to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Inside the log.
    Committed,
    /// The group never committed here: it starts with the earliest event.
    NeverCommitted,
    /// Below the start of the log: retention took events that the group had not handled.
    BelowLogStart,
    /// Behind the end of the log: the topic was made anew, or its end was read too early.
    BeyondLogEnd,
}

/// How far a group is behind in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionLag {
    /// Events that are there and that the group has not settled.
    pub lag: u64,
    /// Events that retention took before the group settled them.
    pub lost: u64,
    /// How the commit stands to the log.
    pub standing: Standing,
}

/// The lag of one partition. A group without commit counts from the start of the log.
#[must_use]
pub fn of_partition(offsets: PartitionOffsets) -> PartitionLag {
    let PartitionOffsets { committed, log_start, log_end } = offsets;
    let (next, standing) = match committed {
        None => (log_start, Standing::NeverCommitted),
        Some(committed) if committed < log_start => (log_start, Standing::BelowLogStart),
        Some(committed) if committed > log_end => (log_end, Standing::BeyondLogEnd),
        Some(committed) => (committed, Standing::Committed),
    };
    let lost = committed.map_or(0, |committed| clamped(log_start.saturating_sub(committed)));
    PartitionLag { lag: clamped(log_end.saturating_sub(next)), lost, standing }
}

fn clamped(difference: i64) -> u64 {
    u64::try_from(difference).unwrap_or(0)
}

/// How far one group is behind on one topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupLag {
    /// The group.
    pub group: GroupName,
    /// The topic.
    pub topic: TopicName,
    /// Each partition, in order.
    pub partitions: Vec<PartitionReading>,
}

/// One partition of a [`GroupLag`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionReading {
    /// The partition's number.
    pub partition: i32,
    /// What the group has committed.
    pub committed: Option<i64>,
    /// The first offset that is still there, where it could be read.
    pub log_start: Option<i64>,
    /// The offset behind the last event, where it could be read.
    pub log_end: Option<i64>,
    /// The lag, or why it is unknown, for example because the partition has no leader.
    #[serde(flatten)]
    pub reading: Reading,
}

/// A lag, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reading {
    /// The lag.
    Known(PartitionLag),
    /// Why it is unknown.
    Unknown {
        /// The error and its causes, as text.
        error: String,
    },
}

impl GroupLag {
    /// The sum over the partitions whose lag is known.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.known().map(|lag| lag.lag).sum()
    }

    /// Events that retention took, summed likewise.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.known().map(|lag| lag.lost).sum()
    }

    /// How many partitions have that standing.
    #[must_use]
    pub fn count(&self, standing: Standing) -> usize {
        self.known().filter(|lag| lag.standing == standing).count()
    }

    /// How many partitions have an unknown lag, so that the total is too low.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.partitions.len() - self.known().count()
    }

    fn known(&self) -> impl Iterator<Item = &PartitionLag> {
        self.partitions.iter().filter_map(|partition| match &partition.reading {
            Reading::Known(lag) => Some(lag),
            Reading::Unknown { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag(committed: Option<i64>, log_start: i64, log_end: i64) -> (u64, u64, Standing) {
        let PartitionLag { lag, lost, standing } =
            of_partition(PartitionOffsets { committed, log_start, log_end });
        (lag, lost, standing)
    }

    #[test]
    fn the_lag_is_what_is_left_between_the_commit_and_the_end() {
        assert_eq!(lag(Some(3), 0, 10), (7, 0, Standing::Committed));
        assert_eq!(lag(Some(10), 0, 10), (0, 0, Standing::Committed));
        assert_eq!(lag(Some(10), 10, 10), (0, 0, Standing::Committed));
    }

    #[test]
    fn a_group_without_commit_counts_from_the_start_of_the_log() {
        assert_eq!(lag(None, 4, 10), (6, 0, Standing::NeverCommitted));
        assert_eq!(lag(None, 0, 0), (0, 0, Standing::NeverCommitted));
    }

    #[test]
    fn what_retention_took_is_lost_and_not_lag() {
        assert_eq!(lag(Some(2), 6, 10), (4, 4, Standing::BelowLogStart));
    }

    #[test]
    fn a_commit_beyond_the_end_is_no_negative_lag() {
        assert_eq!(lag(Some(12), 0, 10), (0, 0, Standing::BeyondLogEnd));
    }

    #[test]
    fn a_level_begins_above_its_threshold() {
        let thresholds = Thresholds { warning: 5, critical: 50 };
        for (lag, level, below) in [
            (0, Level::Well, None),
            (5, Level::Well, None),
            (6, Level::Warning, Some(5)),
            (50, Level::Warning, Some(5)),
            (51, Level::Critical, Some(50)),
        ] {
            assert_eq!(thresholds.level(lag), level, "{lag}");
            assert_eq!(thresholds.below(level), below);
        }
    }

    #[test]
    fn a_partition_without_leader_does_not_blank_its_group() {
        let known = of_partition(PartitionOffsets { committed: Some(1), log_start: 0, log_end: 5 });
        let reading = |partition, reading| PartitionReading {
            partition,
            committed: Some(1),
            log_start: None,
            log_end: None,
            reading,
        };
        let group = GroupLag {
            group: GroupName::new("g").unwrap(),
            topic: TopicName::new("t").unwrap(),
            partitions: vec![
                reading(0, Reading::Known(known)),
                reading(1, Reading::Unknown { error: "no leader".to_owned() }),
            ],
        };
        assert_eq!((group.total(), group.unknown(), group.count(Standing::Committed)), (4, 1, 1));
    }
}
