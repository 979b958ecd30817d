use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid, fmt::Hyphenated};

use super::{GroupName, TopicName};

/// The UUIDv5 namespace of all ids that the bus derives. Part of the contract: it never changes.
pub const CONTRACT_ID_NAMESPACE: Uuid = Uuid::from_u128(0xb5f2a375_135e_4d6b_a71a_cc7273b12bd8);

/// What names an event everywhere and for ever, and makes handling it twice harmless.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Uuid);

/// A text that is no event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid event id: a UUID of 36 characters with hyphens, other than all zeros")]
pub struct EventIdError;

/// The UUIDv5 of `parts` joined by a line feed, which no part may contain, under
/// [`CONTRACT_ID_NAMESPACE`]. Services in other languages derive the same ids.
pub fn derived_id(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&CONTRACT_ID_NAMESPACE, parts.join("\n").as_bytes())
}

impl EventId {
    /// The bytes of its text.
    pub(crate) const LENGTH: usize = Hyphenated::LENGTH;

    /// The id of an event that starts something at `now`: UUIDv7 with the time to a quarter of a
    /// microsecond, so that ids of one process sort by time. The rest is random.
    pub fn at(now: Timestamp) -> EventId {
        // A time before 1970 means a broken clock; ids stay unique all the same.
        let nanos = u128::try_from(now.as_nanosecond()).unwrap_or(0);
        let millis = u64::try_from(nanos / 1_000_000).unwrap_or(u64::MAX);
        // RFC 9562, method 3: the 12 bits behind the milliseconds hold their fraction.
        let fraction = (nanos % 1_000_000) * 4096 / 1_000_000;
        let [mut rest @ .., _, _, _, _, _, _] = rand::random::<u128>().to_ne_bytes();
        rest[..2].copy_from_slice(&fraction.to_be_bytes()[14..]);
        EventId(Builder::from_unix_timestamp_millis(millis, &rest).into_uuid())
    }

    /// The id of the event that the handler of `handled` in `group` emits as its `ordinal`th,
    /// counted from 0. Running the handler again names its events the same.
    pub fn emitted(handled: EventId, group: &GroupName, ordinal: u32) -> EventId {
        EventId(derived_id(&[&handled.to_string(), group.as_str(), &ordinal.to_string()]))
    }

    /// The id of an event whose envelope has none: from where it stands in the log, when it came
    /// and its bytes.
    pub fn of_position(
        topic: &TopicName,
        partition: i32,
        offset: i64,
        timestamp_ms: i64,
        value: &[u8],
    ) -> EventId {
        let digest =
            Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        EventId(derived_id(&[
            topic.as_str(),
            &partition.to_string(),
            &offset.to_string(),
            &timestamp_ms.to_string(),
            &digest,
        ]))
    }

    /// The id as text, in the given bytes. Several times faster than a formatter.
    pub(crate) fn encode(self, buffer: &mut [u8; EventId::LENGTH]) -> &str {
        self.0.hyphenated().encode_lower(buffer)
    }

    /// The id as a UUID, for stores that have a type for it.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl TryFrom<Uuid> for EventId {
    type Error = EventIdError;

    /// Refuses the nil UUID: producers that forget to set an id send it, and their events would
    /// look like one.
    fn try_from(uuid: Uuid) -> Result<EventId, EventIdError> {
        if uuid.is_nil() { Err(EventIdError) } else { Ok(EventId(uuid)) }
    }
}

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<EventId, EventIdError> {
        if text.len() != EventId::LENGTH {
            return Err(EventIdError);
        }
        Uuid::try_parse(text).map_err(|_| EventIdError)?.try_into()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.encode(&mut [0; EventId::LENGTH]))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.encode(&mut [0; EventId::LENGTH]))
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventId, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = EventId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string with an event id (a UUID)")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<EventId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn id(text: &str) -> EventId {
        text.parse().unwrap()
    }

    #[test]
    fn new_ids_are_version_7_with_the_time_and_differ() {
        let now: Timestamp = "2025-06-01T10:30:00.123456789Z".parse().unwrap();
        let ids = (0..1_000).map(|_| EventId::at(now)).collect::<HashSet<_>>();
        assert_eq!(ids.len(), 1_000);
        for id in ids {
            assert_eq!(id.as_uuid().get_version_num(), 7);
            assert_eq!(id.as_uuid().get_variant(), uuid::Variant::RFC4122);
            assert_eq!(
                (id.as_uuid().as_u128() >> 80).to_string(),
                now.as_millisecond().to_string()
            );
        }
    }

    #[test]
    fn ids_sort_by_time_within_a_millisecond() {
        let ids = (0..4_000).map(|step| {
            EventId::at(Timestamp::from_nanosecond(1_748_773_800_000_000_000 + step * 250).unwrap())
        });
        assert!(ids.collect::<Vec<_>>().is_sorted());
    }

    #[test]
    fn an_id_is_written_in_lower_case_with_hyphens_and_read_in_no_other_layout() {
        let text = "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10";
        assert_eq!(id(text).to_string(), text);
        assert_eq!(id(&text.to_uppercase()).to_string(), text);
        for wrong in [
            "",
            "0197f3b47c1e7b1a9d550c7a3f1f2a10",
            "{0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10}",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(wrong.parse::<EventId>(), Err(EventIdError), "{wrong}");
        }
    }

    #[test]
    fn derived_ids_equal_those_of_any_other_uuid_library() {
        let group: GroupName = "blindstrader-supplier-brand-catalog-updated".parse().unwrap();
        let handled = id("0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10");
        assert_eq!(
            EventId::emitted(handled, &group, 0),
            id("9cee4f29-ec51-5556-a24d-6224ab7a28ad")
        );
        assert_eq!(
            EventId::emitted(handled, &group, 1),
            id("adb6a58c-6e4e-51cd-ba96-365c0bf47070")
        );
        let topic: TopicName = "blindstrader.brand.catalog-updated".parse().unwrap();
        // Computed with Python's uuid.uuid5 and hashlib.sha256.
        let of_position = EventId::of_position(&topic, 3, 42, 1_748_773_800_000, b"{}");
        assert_eq!(of_position, id("84bfeb26-2ed2-53c1-8db1-984f9358fa37"));
    }
}
