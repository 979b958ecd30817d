//! What the journal of the coordinator holds: one entry a line of thought, as JSON, for people read it too.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One entry. Replayed in order, they give the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A group as its last rebalance left it.
    Group(GroupRecord),
    /// A group is gone, and its offsets with it.
    GroupDeleted { group: String },
    /// Offsets that a group committed.
    Committed { group: String, offsets: Vec<OffsetAt> },
    /// Offsets that wait for a transaction's end.
    Staged { group: String, producer_id: i64, producer_epoch: i16, offsets: Vec<OffsetAt> },
    /// The end of a producer's transaction: its staged offsets count, or never were.
    Finished { producer_id: i64, committed: bool },
    /// Offsets that were deleted or expired.
    OffsetsRemoved { group: String, partitions: Vec<PartitionName> },
    /// Topics that were deleted: no group has offsets there any more.
    TopicsRemoved { topics: Vec<String> },
}

impl Entry {
    /// The entry as the journal keeps it.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers can be written as JSON")
    }
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PartitionName {
    pub topic: String,
    pub partition: i32,
}

/// An offset and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OffsetAt {
    pub topic: String,
    pub partition: i32,
    #[serde(flatten)]
    pub offset: Offset,
}

/// A group's position in a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offset {
    /// The next record to consume.
    pub offset: i64,
    /// The leader epoch of the last consumed record, -1 for not known.
    pub leader_epoch: i32,
    /// The client's own text.
    pub metadata: String,
    /// When it was committed, in milliseconds since 1970.
    pub committed_at_ms: i64,
    /// When it expires, where the client of an old version of the API said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<i64>,
}

/// A group as its last rebalance left it: members go on with it after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupRecord {
    pub group: String,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub leader: Option<String>,
    /// Since when the group is in its state, in milliseconds since 1970.
    pub since_ms: i64,
    pub members: Vec<MemberRecord>,
}

/// A member of a group, with the metadata of the protocol that was chosen only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberRecord {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    #[serde(with = "hex")]
    pub metadata: Bytes,
    #[serde(with = "hex")]
    pub assignment: Bytes,
}

/// Bytes as hexadecimal text.
mod hex {
    use std::fmt::Write;

    use bytes::Bytes;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !text.len().is_multiple_of(2) {
            return Err(D::Error::custom("an odd number of hexadecimal digits"));
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        text.as_bytes()
            .chunks_exact(2)
            .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
            .collect::<Option<Vec<u8>>>()
            .map(Bytes::from)
            .ok_or_else(|| D::Error::custom("not a hexadecimal digit"))
    }
}
