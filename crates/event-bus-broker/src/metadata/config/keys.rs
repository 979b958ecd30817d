//! The settings of topics: Kafka's, with its defaults and ranges.

use super::value::Kind;

/// One setting of topics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    /// The broker's setting that holds where the topic says nothing.
    pub synonym: Option<&'static str>,
    /// The only value that is taken, and why no other is, where the broker can't do what others ask for.
    pub only: Option<Only>,
    pub documentation: &'static str,
}

/// The only value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Only {
    pub value: &'static str,
    pub reason: &'static str,
}

pub(crate) const CLEANUP_POLICY: &str = "cleanup.policy";
pub(crate) const DELETE_RETENTION_MS: &str = "delete.retention.ms";
pub(crate) const MAX_COMPACTION_LAG_MS: &str = "max.compaction.lag.ms";
pub(crate) const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
pub(crate) const MESSAGE_TIMESTAMP_AFTER_MAX_MS: &str = "message.timestamp.after.max.ms";
pub(crate) const MESSAGE_TIMESTAMP_BEFORE_MAX_MS: &str = "message.timestamp.before.max.ms";
pub(crate) const MESSAGE_TIMESTAMP_TYPE: &str = "message.timestamp.type";
pub(crate) const MIN_CLEANABLE_DIRTY_RATIO: &str = "min.cleanable.dirty.ratio";
pub(crate) const MIN_COMPACTION_LAG_MS: &str = "min.compaction.lag.ms";
pub(crate) const RETENTION_BYTES: &str = "retention.bytes";
pub(crate) const RETENTION_MS: &str = "retention.ms";
pub(crate) const SEGMENT_BYTES: &str = "segment.bytes";
pub(crate) const SEGMENT_MS: &str = "segment.ms";

/// Smaller segments than Kafka allows, for tests; Kafka's own tests use the same name. It is not listed.
pub(crate) const INTERNAL_SEGMENT_BYTES: Key =
    key("internal.segment.bytes", Kind::Int { min: 1, max: i32::MAX }, "1073741824", None, "");

/// The setting of that name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name).or_else(|| {
        const INTERNAL: &Key = &INTERNAL_SEGMENT_BYTES;
        (name == INTERNAL.name).then_some(INTERNAL)
    })
}

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    synonym: Option<&'static str>,
    documentation: &'static str,
) -> Key {
    Key { name, kind, default, synonym, only: None, documentation }
}

const fn only(key: Key, reason: &'static str) -> Key {
    Key { only: Some(Only { value: key.default, reason }), ..key }
}

const MAX_LONG: &str = "9223372036854775807";
const LONG: Kind = Kind::Long { min: 0 };
const INT: Kind = Kind::Int { min: 0, max: i32::MAX };

/// All that are listed, by name.
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    key(CLEANUP_POLICY, Kind::SomeOf(&["compact", "delete"]), "delete", Some("log.cleanup.policy"),
        "What becomes of old records: `delete` drops segments past retention, `compact` keeps the last record of each key."),
    key("compression.gzip.level", Kind::Int { min: -1, max: 9 }, "-1", Some("compression.gzip.level"),
        "The level of gzip, were batches compressed by the broker. They are not."),
    key("compression.lz4.level", Kind::Int { min: 1, max: 17 }, "9", Some("compression.lz4.level"),
        "The level of lz4, were batches compressed by the broker. They are not."),
    only(key("compression.type", Kind::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), "producer",
        Some("compression.type"), "How batches are compressed: as their producer did."),
        "batches are kept as their producer compressed them"),
    key("compression.zstd.level", Kind::Int { min: -131_072, max: 22 }, "3", Some("compression.zstd.level"),
        "The level of zstd, were batches compressed by the broker. They are not."),
    key(DELETE_RETENTION_MS, LONG, "86400000", Some("log.cleaner.delete.retention.ms"),
        "For how long tombstones of compacted topics are kept, in milliseconds."),
    key("file.delete.delay.ms", LONG, "60000", Some("log.segment.delete.delay.ms"),
        "How long files are kept after they were deleted. This broker removes them at once."),
    key("flush.messages", Kind::Long { min: 1 }, MAX_LONG, Some("log.flush.interval.messages"),
        "After how many records the log is flushed. This broker flushes as its durability says."),
    key("flush.ms", LONG, MAX_LONG, Some("log.flush.interval.ms"),
        "After which time the log is flushed. This broker flushes as its durability says."),
    key("follower.replication.throttled.replicas", Kind::List, "", None, "Throttled followers. There are none."),
    key("index.interval.bytes", INT, "4096", Some("log.index.interval.bytes"),
        "How dense the index is. This broker's is in memory."),
    key("leader.replication.throttled.replicas", Kind::List, "", None, "Throttled leaders. There are none."),
    key("local.retention.bytes", Kind::Long { min: -2 }, "-2", Some("log.local.retention.bytes"),
        "What stays of a tiered log. There are none."),
    key("local.retention.ms", Kind::Long { min: -2 }, "-2", Some("log.local.retention.ms"),
        "What stays of a tiered log. There are none."),
    only(key(MAX_COMPACTION_LAG_MS, Kind::Long { min: 1 }, MAX_LONG, Some("log.cleaner.max.compaction.lag.ms"),
        "After which time a record must be compacted."), "compaction runs when enough of the log is new, not by age"),
    key(MAX_MESSAGE_BYTES, INT, "1048588", Some("message.max.bytes"), "The largest batch that is taken, in bytes."),
    key(MESSAGE_TIMESTAMP_AFTER_MAX_MS, LONG, "3600000", Some("log.message.timestamp.after.max.ms"),
        "How far ahead of the broker's clock a record's time may be, in milliseconds."),
    key(MESSAGE_TIMESTAMP_BEFORE_MAX_MS, LONG, MAX_LONG, Some("log.message.timestamp.before.max.ms"),
        "How far behind the broker's clock a record's time may be, in milliseconds."),
    key(MESSAGE_TIMESTAMP_TYPE, Kind::OneOf(&["CreateTime", "LogAppendTime"]), "CreateTime",
        Some("log.message.timestamp.type"), "Whether a record's time is when it was made or when it was appended."),
    key(MIN_CLEANABLE_DIRTY_RATIO, Kind::Ratio, "0.5", Some("log.cleaner.min.cleanable.ratio"),
        "The share of the log that must be new before it is compacted."),
    key(MIN_COMPACTION_LAG_MS, LONG, "0", Some("log.cleaner.min.compaction.lag.ms"),
        "For how long a record is not compacted, in milliseconds."),
    key("min.insync.replicas", Kind::Int { min: 1, max: i32::MAX }, "1", Some("min.insync.replicas"),
        "How many replicas must have a record before it is acknowledged. There is one."),
    key("preallocate", Kind::Boolean, "false", Some("log.preallocate"), "Whether segments take their space at once."),
    only(key("remote.log.copy.disable", Kind::Boolean, "false", None, "For tiered logs. There are none."),
        "logs are not tiered"),
    only(key("remote.log.delete.on.disable", Kind::Boolean, "false", None, "For tiered logs. There are none."),
        "logs are not tiered"),
    only(key("remote.storage.enable", Kind::Boolean, "false", None, "Whether the log is tiered. It is not."),
        "logs are not tiered"),
    key(RETENTION_BYTES, Kind::Long { min: i64::MIN }, "-1", Some("log.retention.bytes"),
        "The size of a partition above which its oldest segments are dropped; -1 is no bound."),
    key(RETENTION_MS, Kind::Long { min: -1 }, "604800000", Some("log.retention.ms"),
        "For how long records are kept, in milliseconds; -1 is for good."),
    key(SEGMENT_BYTES, Kind::Int { min: 1_048_576, max: i32::MAX }, "1073741824", Some("log.segment.bytes"),
        "The largest segment, in bytes. Retention drops whole segments."),
    key("segment.index.bytes", Kind::Int { min: 4, max: i32::MAX }, "10485760", Some("log.index.size.max.bytes"),
        "The largest index. This broker's is in memory."),
    key("segment.jitter.ms", LONG, "0", Some("log.roll.jitter.ms"),
        "How much earlier than asked segments may end, so that not all end together."),
    key(SEGMENT_MS, Kind::Long { min: 1 }, "604800000", Some("log.roll.ms"),
        "After which time a segment ends, in milliseconds."),
    key("unclean.leader.election.enable", Kind::Boolean, "false", Some("unclean.leader.election.enable"),
        "Whether a replica that lags may lead. There is one replica."),
];
