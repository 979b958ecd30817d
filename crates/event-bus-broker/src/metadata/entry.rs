//! What the journal of topics says, and what follows from it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One change of the topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Entry {
    Created {
        id: Uuid,
        name: String,
        partitions: i32,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        configs: BTreeMap<String, String>,
    },
    Deleted {
        id: Uuid,
    },
    /// It has this many partitions now.
    Grown {
        id: Uuid,
        partitions: i32,
    },
    /// These are all its settings now.
    Configured {
        id: Uuid,
        configs: BTreeMap<String, String>,
    },
}

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers can be written as JSON")
    }
}

/// A topic as the journal tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub name: String,
    pub partitions: i32,
    pub configs: BTreeMap<String, String>,
}

/// Why the journal makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// An entry is not one of this version.
    #[error(
        "entry {number} of the journal of topics can't be understood: use the version of the broker that wrote it"
    )]
    Entry {
        /// Counted from 0.
        number: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An entry changes a topic that does not exist.
    #[error("entry {number} of the journal of topics changes topic {id}, which does not exist")]
    Unknown {
        /// Counted from 0.
        number: usize,
        /// The topic's id.
        id: Uuid,
    },
}

/// The topics that are left after all entries, by id.
///
/// # Errors
/// When an entry can't be understood or changes what does not exist.
pub(super) fn replay(entries: &[Bytes]) -> Result<BTreeMap<Uuid, Recorded>, ReplayError> {
    let mut topics = BTreeMap::new();
    for (number, bytes) in entries.iter().enumerate() {
        let entry = serde_json::from_slice(bytes)
            .map_err(|source| ReplayError::Entry { number, source })?;
        let (id, is_known) = match entry {
            Entry::Created { id, name, partitions, configs } => {
                topics.insert(id, Recorded { name, partitions, configs });
                (id, true)
            }
            Entry::Deleted { id } => (id, topics.remove(&id).is_some()),
            Entry::Grown { id, partitions } => {
                (id, topics.get_mut(&id).map(|topic| topic.partitions = partitions).is_some())
            }
            Entry::Configured { id, configs } => {
                (id, topics.get_mut(&id).map(|topic| topic.configs = configs).is_some())
            }
        };
        if !is_known {
            return Err(ReplayError::Unknown { number, id });
        }
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(entries: &[Entry]) -> Vec<Bytes> {
        entries.iter().map(|entry| entry.encode().into()).collect()
    }

    #[test]
    fn the_last_word_about_a_topic_holds() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let configs = BTreeMap::from([("retention.ms".to_owned(), "1".to_owned())]);
        let created = |id, name: &str| Entry::Created {
            id,
            name: name.to_owned(),
            partitions: 1,
            configs: BTreeMap::new(),
        };
        let topics = replay(&journal(&[
            created(a, "gone"),
            created(b, "kept"),
            Entry::Deleted { id: a },
            Entry::Grown { id: b, partitions: 3 },
            Entry::Configured { id: b, configs: configs.clone() },
        ]));
        let kept = Recorded { name: "kept".to_owned(), partitions: 3, configs };
        assert_eq!(topics.unwrap(), BTreeMap::from([(b, kept)]));
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        let unknown = journal(&[Entry::Deleted { id: Uuid::nil() }]);
        assert!(matches!(replay(&unknown), Err(ReplayError::Unknown { number: 0, .. })));
        let other = [Bytes::from_static(br#"{"renamed":{}}"#)];
        assert!(matches!(replay(&other), Err(ReplayError::Entry { number: 0, .. })));
    }
}
