use serde::{Serialize, Serializer};

/// What kind of fault a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A topic of the catalogue, or of the bus's own, does not exist.
    TopicMissing,
    /// A dead letter topic does not exist.
    DeadLetterTopicMissing,
    /// A topic has fewer partitions than the catalogue says.
    TooFewPartitions,
    /// A topic has more partitions than the catalogue says.
    MorePartitions,
    /// A topic has another number of copies than the catalogue says.
    Replication,
    /// A topic's records are acknowledged with one copy, on a cluster that has brokers for more.
    SingleCopy,
    /// `min.insync.replicas` is not as the catalogue says.
    MinInsync,
    /// `min.insync.replicas` is more than there are copies.
    Unwritable,
    /// `min.insync.replicas` is as many as there are copies.
    NoSpareReplica,
    /// A topic keeps its records shorter than the catalogue says.
    RetentionShorter,
    /// A topic's size is limited.
    RetentionBySize,
    /// A dead letter topic keeps its records shorter than its topic does.
    DeadLettersExpireFirst,
    /// A topic is compacted.
    Compacted,
    /// A topic takes smaller records than there may be.
    MessageSize,
    /// A config differs from the catalogue without taking anything away.
    ConfigDiffers,
    /// A broker that lacks records may become leader.
    UncleanElection,
    /// A topic of the namespace is not in the catalogue.
    UnknownTopic,
    /// A partition has no leader.
    NoLeader,
    /// A partition has copies that are not in sync.
    UnderReplicated,
    /// A group of the namespace is not in the catalogue.
    UnknownGroup,
    /// Nobody is in a group of the catalogue.
    GroupWithoutMembers,
    /// Retention took events that a group had not handled.
    EventsLost,
    /// A group has committed behind the end of the log.
    CommitBeyondEnd,
    /// A group is further behind than the catalogue's critical threshold.
    GroupBehind,
    /// Retention will soon take events that a group has not handled.
    RetentionOvertakes,
    /// Records are from the future.
    ClockAhead,
    /// Brokers make topics that are asked for.
    AutoCreate,
    /// A client property that the bus or the client refuses, or that weakens a promise.
    ClientProperty,
    /// Nothing on the way to Kafka is encrypted.
    Plaintext,
    /// Users have names, and may do everything.
    NoAuthorizer,
    /// Somebody may write a topic that is another's.
    AclWrite,
    /// Everybody may change what is the bus's.
    AclEveryone,
    /// A service's inbox does not know events that its group has handled and that the topic still has.
    InboxGap,
}

impl Code {
    /// All that there are, in the order of the checks.
    pub const ALL: [Self; 33] = [
        Self::TopicMissing,
        Self::DeadLetterTopicMissing,
        Self::TooFewPartitions,
        Self::MorePartitions,
        Self::Replication,
        Self::SingleCopy,
        Self::MinInsync,
        Self::Unwritable,
        Self::NoSpareReplica,
        Self::RetentionShorter,
        Self::RetentionBySize,
        Self::DeadLettersExpireFirst,
        Self::Compacted,
        Self::MessageSize,
        Self::ConfigDiffers,
        Self::UncleanElection,
        Self::UnknownTopic,
        Self::NoLeader,
        Self::UnderReplicated,
        Self::UnknownGroup,
        Self::GroupWithoutMembers,
        Self::EventsLost,
        Self::CommitBeyondEnd,
        Self::GroupBehind,
        Self::RetentionOvertakes,
        Self::ClockAhead,
        Self::AutoCreate,
        Self::ClientProperty,
        Self::Plaintext,
        Self::NoAuthorizer,
        Self::AclWrite,
        Self::AclEveryone,
        Self::InboxGap,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TopicMissing => "topic-missing",
            Self::DeadLetterTopicMissing => "dead-letter-topic-missing",
            Self::TooFewPartitions => "too-few-partitions",
            Self::MorePartitions => "more-partitions",
            Self::Replication => "replication",
            Self::SingleCopy => "single-copy",
            Self::MinInsync => "min-insync",
            Self::Unwritable => "unwritable",
            Self::NoSpareReplica => "no-spare-replica",
            Self::RetentionShorter => "retention-shorter",
            Self::RetentionBySize => "retention-by-size",
            Self::DeadLettersExpireFirst => "dead-letters-expire-first",
            Self::Compacted => "compacted",
            Self::MessageSize => "message-size",
            Self::ConfigDiffers => "config-differs",
            Self::UncleanElection => "unclean-election",
            Self::UnknownTopic => "unknown-topic",
            Self::NoLeader => "no-leader",
            Self::UnderReplicated => "under-replicated",
            Self::UnknownGroup => "unknown-group",
            Self::GroupWithoutMembers => "group-without-members",
            Self::EventsLost => "events-lost",
            Self::CommitBeyondEnd => "commit-beyond-end",
            Self::GroupBehind => "group-behind",
            Self::RetentionOvertakes => "retention-overtakes",
            Self::ClockAhead => "clock-ahead",
            Self::AutoCreate => "auto-create",
            Self::ClientProperty => "client-property",
            Self::Plaintext => "plaintext",
            Self::NoAuthorizer => "no-authorizer",
            Self::AclWrite => "acl-write",
            Self::AclEveryone => "acl-everyone",
            Self::InboxGap => "inbox-gap",
        }
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::TopicMissing
            | Self::DeadLetterTopicMissing
            | Self::TooFewPartitions
            | Self::Replication
            | Self::MinInsync
            | Self::Unwritable
            | Self::RetentionShorter
            | Self::RetentionBySize
            | Self::DeadLettersExpireFirst
            | Self::Compacted
            | Self::MessageSize
            | Self::UncleanElection
            | Self::NoLeader
            | Self::EventsLost
            | Self::CommitBeyondEnd
            | Self::GroupBehind
            | Self::RetentionOvertakes
            | Self::ClientProperty
            | Self::AclEveryone => Severity::Error,
            Self::MorePartitions
            | Self::SingleCopy
            | Self::NoSpareReplica
            | Self::ConfigDiffers
            | Self::UnknownTopic
            | Self::UnderReplicated
            | Self::UnknownGroup
            | Self::GroupWithoutMembers
            | Self::ClockAhead
            | Self::AutoCreate
            | Self::Plaintext
            | Self::NoAuthorizer
            | Self::AclWrite
            | Self::InboxGap => Severity::Warning,
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A promise of the bus does not hold, or soon will not.
    Error,
    /// Nothing is lost by it; it will surprise somebody, or it lets another fault do harm.
    Warning,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}
