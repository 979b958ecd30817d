use std::fmt;

use serde::{Serialize, Serializer};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The contract forbids it.
    Violation,
    /// The contract allows it, and yet it is seldom meant.
    Warning,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It has no value.
    NullValue,
    /// It exceeds one of the [`limits`](crate::limits).
    OverLimit,
    /// Its value is no envelope.
    Malformed,
    /// Its envelope has no tenant, or an empty one.
    TenantMissing,
    /// Its envelope has no id.
    IdMissing,
    /// Its id is of neither of the two versions that ids have.
    IdVersion,
    /// Its id was on a record with another value.
    IdReused,
    /// The catalogue does not have its event.
    UnknownEvent,
    /// Its event belongs to another topic.
    WrongTopic,
    /// The catalogue does not list its version.
    UnknownVersion,
    /// Its payload breaks the schema.
    SchemaViolation,
    /// Its service is not the one that the catalogue has publish the event.
    WrongService,
    /// Its key is not the ordering key.
    WrongKey,
    /// It has no key.
    KeyMissing,
    /// It is not in the partition of its key.
    WrongPartition,
    /// A header says something else than the envelope.
    HeaderMismatch,
    /// A header stands there more than once.
    HeaderDoubled,
    /// A header of a first publish is missing.
    HeaderMissing,
    /// A header has a name that belongs to the bus.
    HeaderReserved,
    /// It has no `traceparent`, or one that can't be read.
    TraceMissing,
    /// It came behind an event of its key that was made later.
    OrderBroken,
    /// It came behind an event of its key that seems to be later.
    OrderDoubtful,
}

impl Kind {
    /// All that there are, in the order of the checks.
    pub const ALL: [Self; 22] = [
        Self::NullValue,
        Self::OverLimit,
        Self::Malformed,
        Self::TenantMissing,
        Self::IdMissing,
        Self::IdVersion,
        Self::IdReused,
        Self::UnknownEvent,
        Self::WrongTopic,
        Self::UnknownVersion,
        Self::SchemaViolation,
        Self::WrongService,
        Self::WrongKey,
        Self::KeyMissing,
        Self::WrongPartition,
        Self::HeaderMismatch,
        Self::HeaderDoubled,
        Self::HeaderMissing,
        Self::HeaderReserved,
        Self::TraceMissing,
        Self::OrderBroken,
        Self::OrderDoubtful,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NullValue => "null-value",
            Self::OverLimit => "over-limit",
            Self::Malformed => "malformed",
            Self::TenantMissing => "tenant-missing",
            Self::IdMissing => "id-missing",
            Self::IdVersion => "id-version",
            Self::IdReused => "id-reused",
            Self::UnknownEvent => "unknown-event",
            Self::WrongTopic => "wrong-topic",
            Self::UnknownVersion => "unknown-version",
            Self::SchemaViolation => "schema-violation",
            Self::WrongService => "wrong-service",
            Self::WrongKey => "wrong-key",
            Self::KeyMissing => "key-missing",
            Self::WrongPartition => "wrong-partition",
            Self::HeaderMismatch => "header-mismatch",
            Self::HeaderDoubled => "header-doubled",
            Self::HeaderMissing => "header-missing",
            Self::HeaderReserved => "header-reserved",
            Self::TraceMissing => "trace-missing",
            Self::OrderBroken => "order-broken",
            Self::OrderDoubtful => "order-doubtful",
        }
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::IdVersion | Self::KeyMissing | Self::TraceMissing | Self::OrderDoubtful => {
                Severity::Warning
            }
            _ => Severity::Violation,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
