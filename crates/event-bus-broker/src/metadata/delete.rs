//! Deletes topics and their records.

use std::sync::{Arc, PoisonError};

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::entry::Entry;
use super::{Topic, Topics};
use crate::journal::JournalError;

/// Why a topic can't be deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeleteError {
    #[error("This server does not host this topic ID.")]
    UnknownId,
    #[error(transparent)]
    Store(#[from] JournalError),
}

impl DeleteError {
    /// The protocol's error for it.
    pub fn response_error(&self) -> ResponseError {
        match self {
            Self::UnknownId => ResponseError::UnknownTopicId,
            Self::Store(_) => ResponseError::KafkaStorageError,
        }
    }
}

impl Topics {
    /// Deletes a topic, durably, and then its records.
    ///
    /// # Errors
    /// When there is none of that id, or its deletion can't be stored; it goes on then.
    pub async fn delete(&self, id: Uuid) -> Result<Arc<Topic>, DeleteError> {
        let changing = self.changing.lock().await;
        let topic = self.topic_by_id(id).ok_or(DeleteError::UnknownId)?;
        self.store(&changing, &Entry::Deleted { id }).await?;
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.names.remove(&id);
            state.topics.remove(&topic.name);
            state.partitions -= topic.partitions.len();
        }
        topic.partitions.iter().for_each(|partition| partition.close());
        self.tidy(&changing);
        drop(changing);
        self.remove_directory(id).await;
        Ok(topic)
    }
}
