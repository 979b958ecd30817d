//! Adds partitions to topics.

use std::sync::Arc;

use kafka_protocol::ResponseError;

use super::entry::Entry;
use super::{Mode, StoreError, Topic, Topics};
use crate::limits::MAX_PARTITIONS;

/// Why a topic can't get more partitions. The texts are Kafka's where Kafka has one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrowError {
    #[error("The topic '{0}' does not exist.")]
    Unknown(String),
    #[error("Topic already has {0} partition(s).")]
    Same(i32),
    #[error(
        "The topic {name} currently has {current} partition(s); {wanted} would not be an increase."
    )]
    Fewer { name: String, current: i32, wanted: i32 },
    #[error(
        "{0} partitions would be too many: this broker holds at most {MAX_PARTITIONS} in all, ask for fewer"
    )]
    TooMany(i32),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl GrowError {
    /// The protocol's error for it.
    pub fn response_error(&self) -> ResponseError {
        match self {
            Self::Unknown(_) => ResponseError::UnknownTopicOrPartition,
            Self::Same(_) | Self::Fewer { .. } | Self::TooMany(_) => {
                ResponseError::InvalidPartitions
            }
            Self::Store(_) => ResponseError::KafkaStorageError,
        }
    }
}

impl Topics {
    /// Lets a topic have `count` partitions, durably, or says whether it could.
    ///
    /// # Errors
    /// When there is no such topic, it has that many already, or the new ones can't be stored.
    pub async fn grow(&self, name: &str, count: i32, mode: Mode) -> Result<(), GrowError> {
        let changing = self.changing.lock().await;
        let topic = self.topic(name).ok_or_else(|| GrowError::Unknown(name.to_owned()))?;
        let current = topic.partition_count();
        if count == current {
            return Err(GrowError::Same(current));
        }
        if count < current {
            let name = name.to_owned();
            return Err(GrowError::Fewer { name, current, wanted: count });
        }
        if !self.has_room_for(count - current) {
            return Err(GrowError::TooMany(count));
        }
        if mode == Mode::Validate {
            return Ok(());
        }
        // Should the entry not become durable, the directories are taken over by the next attempt: they are empty.
        let grown = self.open_partitions(Topic::clone(&topic), current..count).await?;
        let entry = Entry::Grown { id: topic.id, partitions: count };
        self.store(&changing, &entry).await.map_err(StoreError::from)?;
        self.put(&changing, &Arc::new(grown));
        self.tidy(&changing);
        Ok(())
    }
}
