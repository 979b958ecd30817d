use std::collections::BTreeMap;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataBroker;

use super::super::admin_native;
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

/// An entry of the access control lists, its words as Kafka's tools write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// What kind of thing it is about, such as `TOPIC` or `GROUP`; `UNKNOWN` where the client has no word for it.
    pub resource_type: String,
    /// That thing's name, `*`, or the beginning of names.
    pub resource: String,
    /// How the name is meant: `LITERAL` or `PREFIXED`.
    pub pattern: String,
    /// Who, for example `User:CN=shop`; `User:*` is everybody.
    pub principal: String,
    /// From where; `*` is everywhere.
    pub host: String,
    /// What is done, such as `WRITE` or `ALL`.
    pub operation: String,
    /// `ALLOW` or `DENY`.
    pub permission: String,
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

    /// All entries of the access control lists; `None` where the cluster has none, so that everybody may do everything.
    ///
    /// # Errors
    /// When the cluster did not answer, or does not tell this user.
    pub async fn acls(&self) -> Result<Option<Vec<Acl>>, AdminError> {
        const OPERATION: &str = "tell its access control lists";
        let list = |client: &AdminClient<_>| {
            match admin_native::describe_acls(client.inner(), REQUEST) {
                // A broker without authoriser, and one that has never heard of any.
                Err(KafkaError::AdminOp(
                    RDKafkaErrorCode::SecurityDisabled
                    | RDKafkaErrorCode::UnsupportedFeature
                    | RDKafkaErrorCode::UnsupportedVersion,
                )) => Ok(None),
                listed => listed.map(Some),
            }
        };
        self.blocking(OPERATION, list).await
    }
}
