//! Questions and orders to the cluster: topics and their configs, consumer groups, offsets.

mod groups;
mod lag;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::context::Logged;
use super::{KafkaConfig, admin_native};
use crate::names::TopicName;

pub use groups::{GroupMember, GroupState, Offsets, Position};
pub use topics::{Cluster, NewTopic, TopicState};

/// How long one request may take, finding the broker included.
const REQUEST: Duration = Duration::from_secs(15);

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number, from 0.
    pub partition: i32,
}

/// A question or order that Kafka did not answer or refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AdminError {
    /// No client could be made from this configuration.
    #[error("no admin client could be made")]
    Client(#[source] KafkaError),
    /// The request as a whole failed.
    #[error("Kafka at {bootstrap} did not {operation}{}", detail_after_colon(.detail))]
    Failed {
        /// The bootstrap servers.
        bootstrap: Box<str>,
        /// What was asked, as a verb.
        operation: &'static str,
        /// What the client says of its connections; empty when they are well.
        detail: Box<str>,
        /// The client's error.
        #[source]
        source: Box<KafkaError>,
    },
    /// The request was answered, but this item of it refused.
    #[error("Kafka refused to {operation} {item}{}", detail_after_colon(.detail))]
    Refused {
        /// What was asked, as a verb.
        operation: &'static str,
        /// The topic, partition or group.
        item: String,
        /// What Kafka says beyond the code; often empty.
        detail: String,
        /// Kafka's error.
        #[source]
        code: RDKafkaErrorCode,
    },
}

fn detail_after_colon(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

/// An admin client. Clones share one connection pool.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Arc<AdminClient<Logged>>,
    bootstrap: Arc<str>,
}

impl Admin {
    /// A client with its own connection pool. Nothing is sent yet.
    ///
    /// # Errors
    /// When librdkafka can't start a client with this configuration.
    pub fn connect(config: &KafkaConfig) -> Result<Self, AdminError> {
        let mut native = config.client();
        // Asking after a topic must not make it.
        native.set("allow.auto.create.topics", "false");
        let client =
            AdminClient::from_config_and_context(&native, Logged).map_err(AdminError::Client)?;
        Ok(Self { client: Arc::new(client), bootstrap: config.bootstrap().into() })
    }

    /// Runs a call that blocks, away from the threads that tasks run on.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        call: impl FnOnce(&AdminClient<Logged>) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, AdminError> {
        let client = Arc::clone(&self.client);
        let answer = match tokio::task::spawn_blocking(move || call(&client)).await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down.
            Err(_) => Err(KafkaError::Canceled),
        };
        answer.map_err(|source| self.failed(operation, source))
    }

    fn failed(&self, operation: &'static str, source: KafkaError) -> AdminError {
        let detail = admin_native::last_complaint(self.client.inner()).unwrap_or_default();
        let (bootstrap, detail) = (Box::from(&*self.bootstrap), detail.into_boxed_str());
        AdminError::Failed { bootstrap, operation, detail, source: Box::new(source) }
    }
}

fn refused(operation: &'static str, item: impl Into<String>, code: RDKafkaErrorCode) -> AdminError {
    AdminError::Refused { operation, item: item.into(), detail: String::new(), code }
}
