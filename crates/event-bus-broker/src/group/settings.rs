//! How the coordinator treats its groups. Names and defaults are Kafka's, where nothing else is said.

use std::time::Duration;

/// What new members may wait for in a parked `JoinGroup` before they have to ask again: Kafka's constant. Their
/// connections are muted meanwhile, so a client that went away would otherwise stay in the rebalance for ever.
pub(crate) const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How the coordinator treats its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members before its first
    /// rebalance. A difference: Kafka's default is 3 s, this one is 0, so that tests and laptops need not wait.
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout: Duration,
    /// `group.max.size`. A difference: Kafka has no bound, this broker holds its members in memory.
    pub max_members: usize,
    /// `offset.metadata.max.bytes`: how long the text beside a committed offset may be, in UTF-16 units as Kafka counts.
    pub max_metadata_length: usize,
    /// `offsets.retention.minutes`: how long the offsets of a group without members are kept.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`: how often offsets are looked through for expired ones.
    pub retention_check_interval: Duration,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            initial_rebalance_delay: Duration::ZERO,
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_secs(30 * 60),
            max_members: 1_000,
            max_metadata_length: 4_096,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            retention_check_interval: Duration::from_secs(10 * 60),
        }
    }
}

impl GroupSettings {
    /// Whether a member may have this session time-out, in milliseconds.
    pub(crate) fn accepts_session(&self, timeout_ms: i32) -> bool {
        u64::try_from(timeout_ms).is_ok_and(|ms| {
            (self.min_session_timeout..=self.max_session_timeout)
                .contains(&Duration::from_millis(ms))
        })
    }
}

/// A duration as whole milliseconds, to be added to a time.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2)
}
