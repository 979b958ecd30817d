use std::collections::BTreeMap;

use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::MetadataBroker;

use super::topics::configs;
use super::{Admin, AdminError, REQUEST, TopicPartition, refused};
use crate::names::TopicName;

/// The brokers of a cluster, and which of them has what, at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The ids of the brokers that are there.
    pub brokers: Vec<i32>,
    /// Each partition of each topic.
    pub partitions: BTreeMap<TopicPartition, Replicas>,
}

/// The copies of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// The broker that is written to and read from, if there is one.
    pub leader: Option<i32>,
    /// How many copies there are to be.
    pub all: usize,
    /// How many have what the leader has.
    pub in_sync: usize,
}

impl Admin {
    /// The brokers, and who leads and copies each partition.
    ///
    /// # Errors
    /// When no broker answered.
    pub async fn layout(&self) -> Result<Layout, AdminError> {
        self.blocking("list its topics", |client| {
            let metadata = client.inner().fetch_metadata(None, REQUEST)?;
            let mut layout = Layout {
                brokers: metadata.brokers().iter().map(MetadataBroker::id).collect(),
                partitions: BTreeMap::new(),
            };
            layout.brokers.sort_unstable();
            for topic in metadata.topics().iter().filter(|topic| topic.error().is_none()) {
                let Ok(name) = TopicName::new(topic.name()) else { continue };
                for found in topic.partitions() {
                    let place = TopicPartition { topic: name.clone(), partition: found.id() };
                    let replicas = Replicas {
                        leader: (found.leader() >= 0).then(|| found.leader()),
                        all: found.replicas().len(),
                        in_sync: found.isr().len(),
                    };
                    layout.partitions.insert(place, replicas);
                }
            }
            Ok(layout)
        })
        .await
    }

    /// The effective configs of a broker, among them the defaults. What is secret has no value and is left out.
    ///
    /// # Errors
    /// When the broker did not answer, or does not tell this user.
    pub async fn broker_configs(&self, id: i32) -> Result<BTreeMap<String, String>, AdminError> {
        const OPERATION: &str = "describe broker";
        let options = AdminOptions::new().request_timeout(Some(REQUEST));
        let asked = [ResourceSpecifier::Broker(id)];
        let answers = self.client.describe_configs(&asked, &options);
        let answers = answers.await.map_err(|source| self.failed(OPERATION, source))?;
        let answer = answers.into_iter().next().unwrap_or(Err(RDKafkaErrorCode::Unknown));
        answer.map(configs).map_err(|code| refused(OPERATION, id.to_string(), code))
    }
}
