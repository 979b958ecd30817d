//! Makes topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::config::{ConfigError, TopicConfigs};
use super::{Mode, NameError, StoreError, Topic, TopicName, Topics};
use crate::limits::MAX_PARTITIONS;

/// A topic that somebody wants.
#[derive(Clone, Debug)]
pub(crate) struct NewTopic {
    pub name: TopicName,
    pub partitions: i32,
    pub configs: TopicConfigs,
}

/// Why a topic can't be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("Topic '{0}' already exists.")]
    Exists(String),
    #[error("Topic '{name}' collides with existing topic: {other}")]
    Collides { name: String, other: String },
    #[error("Number of partitions was set to an invalid non-positive value.")]
    NoPartitions,
    #[error(
        "{0} more partitions would be too many: this broker holds at most {MAX_PARTITIONS} in all, delete topics or \
         ask for fewer"
    )]
    TooManyPartitions(i32),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Store(StoreError),
}

impl CreateError {
    /// The protocol's error for it.
    pub fn response_error(&self) -> ResponseError {
        match self {
            Self::Name(_) | Self::Collides { .. } => ResponseError::InvalidTopicException,
            Self::Exists(_) => ResponseError::TopicAlreadyExists,
            Self::NoPartitions | Self::TooManyPartitions(_) => ResponseError::InvalidPartitions,
            // Whatever is wrong with a new topic's settings, Kafka calls it so.
            Self::Config(_) => ResponseError::InvalidConfig,
            Self::Store(_) => ResponseError::KafkaStorageError,
        }
    }
}

impl NewTopic {
    /// # Errors
    /// When the name or a setting is none, or there is no partition.
    pub fn new(
        name: &str,
        partitions: i32,
        configs: BTreeMap<String, String>,
    ) -> Result<Self, CreateError> {
        let name = TopicName::new(name)?;
        let configs = TopicConfigs::new(configs)?;
        if partitions < 1 {
            return Err(CreateError::NoPartitions);
        }
        Ok(Self { name, partitions, configs })
    }
}

impl Topics {
    /// Makes a topic, durably, or says whether it could.
    ///
    /// # Errors
    /// When there is one of that name or one like it, there would be too many partitions, or it can't be stored.
    pub async fn create(&self, new: NewTopic, mode: Mode) -> Result<Topic, CreateError> {
        let changing = self.changing.lock().await;
        self.check_new(&new)?;
        let NewTopic { name, partitions, configs } = new;
        let name = name.as_str().to_owned();
        let topic = Topic { name, id: Uuid::new_v4(), partitions: Vec::new(), configs };
        if mode == Mode::Validate {
            return Ok(topic);
        }
        let id = topic.id;
        let created = async {
            let topic = self.open_partitions(topic, 0..partitions).await?;
            self.store(&changing, &topic.created()).await?;
            Ok(Arc::new(topic))
        };
        match created.await {
            Ok(topic) => {
                self.put(&changing, &topic);
                self.tidy(&changing);
                Ok(Topic::clone(&topic))
            }
            Err(error) => {
                self.remove_directory(id).await;
                Err(CreateError::Store(error))
            }
        }
    }

    /// Whether a topic may be made, as far as the others are concerned.
    ///
    /// # Errors
    /// When there is one of that name.
    pub fn check_name(&self, name: &str) -> Result<(), CreateError> {
        let name = TopicName::new(name)?;
        let state = self.state();
        if state.topics.contains_key(name.as_str()) {
            return Err(CreateError::Exists(name.to_string()));
        }
        match state.topics.keys().find(|other| name.collides_with(other)) {
            Some(other) => {
                Err(CreateError::Collides { name: name.to_string(), other: other.clone() })
            }
            None => Ok(()),
        }
    }

    fn check_new(&self, new: &NewTopic) -> Result<(), CreateError> {
        self.check_name(new.name.as_str())?;
        match self.has_room_for(new.partitions) {
            true => Ok(()),
            false => Err(CreateError::TooManyPartitions(new.partitions)),
        }
    }

    pub(super) fn has_room_for(&self, more: i32) -> bool {
        let more = usize::try_from(more).unwrap_or(usize::MAX);
        self.state().partitions.saturating_add(more) <= MAX_PARTITIONS
    }
}
