//! One topic.

use std::sync::Arc;

use uuid::Uuid;

use super::config::TopicConfigs;
use super::entry::Entry;
use crate::partition::Partition;

/// A topic as it is at some moment. A change makes another one, with the same id.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub name: String,
    pub id: Uuid,
    pub partitions: Vec<Arc<Partition>>,
    pub configs: TopicConfigs,
}

impl Topic {
    /// How many partitions it has, as the protocol counts.
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    /// The partition of that number.
    pub fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    pub(super) fn created(&self) -> Entry {
        Entry::Created {
            id: self.id,
            name: self.name.clone(),
            partitions: self.partition_count(),
            configs: self.configs.map().clone(),
        }
    }
}
