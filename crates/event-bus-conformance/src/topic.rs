//! Topics of a test's own.

use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{CreateTopicsRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::connection::Connection;
use crate::eventually::eventually;
use crate::outcome::outcome;
use crate::records::{offset_at, special::LATEST};
use crate::subject::unique;

/// How long the broker may take to do what an admin request was answered for.
pub const SOON: Duration = Duration::from_secs(30);

/// The wire's text.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// The wire's topic name.
pub fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A topic that exists.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
}

impl Topic {
    /// A new topic with one partition.
    pub async fn new(connection: &mut Connection) -> Self {
        Self::create(connection, 1, &[]).await
    }

    /// A new topic with settings of its own.
    ///
    /// # Panics
    /// When the broker does not create it.
    pub async fn create(
        connection: &mut Connection,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Self {
        let name = unique("topic");
        let request = CreateTopicsRequest::default()
            .with_topics(vec![creatable(&name, partitions, configs)])
            .with_timeout_ms(30_000);
        let response = connection.call(7, &request).await;
        let created = &response.topics[0];
        assert_eq!(outcome(created.error_code), Ok(()), "{:?}", created.error_message);
        let topic = Self { name, id: created.topic_id };
        topic.until_ready(connection, partitions).await;
        topic
    }

    /// Waits until the topic's partitions are led: Apache Kafka's broker learns of a topic from its controller a
    /// moment after the answer to the creation.
    ///
    /// # Panics
    /// When they never are.
    pub async fn until_ready(&self, connection: &mut Connection, partitions: i32) {
        for partition in 0..partitions {
            eventually(SOON, async || {
                let end = offset_at(connection, &self.name, partition, LATEST, false).await;
                outcome(end.error_code)
            })
            .await;
        }
    }

    /// Its name on the wire.
    pub fn wire_name(&self) -> TopicName {
        topic_name(&self.name)
    }
}

/// A topic as a request asks for it.
pub fn creatable(name: &str, partitions: i32, configs: &[(&str, &str)]) -> CreatableTopic {
    let configs = configs.iter().map(|(key, value)| {
        CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
    });
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs.collect())
}

/// What the broker's metadata says of a topic.
pub async fn describe(connection: &mut Connection, name: &str) -> MetadataResponseTopic {
    let asked = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![asked]))
        .with_allow_auto_topic_creation(false);
    connection.call(12, &request).await.topics.remove(0)
}
