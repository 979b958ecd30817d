//! Changes topics' settings.

use std::sync::Arc;

use kafka_protocol::ResponseError;

use super::config::{Change, ConfigError, TopicConfigs};
use super::entry::Entry;
use super::{Mode, NameError, Topic, TopicName, Topics};
use crate::journal::JournalError;

/// Why a topic's settings can't be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigureError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("The topic '{0}' does not exist.")]
    Unknown(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Store(#[from] JournalError),
}

impl ConfigureError {
    /// The protocol's error for it.
    pub fn response_error(&self) -> ResponseError {
        match self {
            Self::Name(_) => ResponseError::InvalidTopicException,
            Self::Unknown(_) => ResponseError::UnknownTopicOrPartition,
            Self::Config(error) => error.response_error(),
            Self::Store(_) => ResponseError::KafkaStorageError,
        }
    }
}

/// What becomes of a topic's settings.
#[derive(Clone, Debug)]
pub(crate) enum NewConfigs {
    /// These change, the others stay.
    Changed(Vec<(String, Change)>),
    /// These are all.
    Replaced(Vec<(String, Change)>),
}

impl Topics {
    /// Changes a topic's settings, durably and at once, or says whether they could be changed.
    ///
    /// # Errors
    /// When there is no such topic, a setting is none, or the change can't be stored.
    pub async fn configure(
        &self,
        name: &str,
        new: NewConfigs,
        mode: Mode,
    ) -> Result<(), ConfigureError> {
        TopicName::new(name)?;
        let changing = self.changing.lock().await;
        let topic = self.topic(name).ok_or_else(|| ConfigureError::Unknown(name.to_owned()))?;
        let configs = match new {
            NewConfigs::Changed(changes) => topic.configs.with(changes)?,
            NewConfigs::Replaced(changes) => TopicConfigs::default().with(changes)?,
        };
        if mode == Mode::Validate || configs == topic.configs {
            return Ok(());
        }
        let entry = Entry::Configured { id: topic.id, configs: configs.map().clone() };
        self.store(&changing, &entry).await?;
        let configured = Topic { configs, ..Topic::clone(&topic) };
        for partition in &configured.partitions {
            partition.configure(configured.configs.settings(self.flusher.disk_faults().clone()));
        }
        self.put(&changing, &Arc::new(configured));
        self.tidy(&changing);
        Ok(())
    }
}
