use crate::Catalogue;
use crate::kafka::READER_GROUP;
use crate::names::ServiceName;

/// What there are rights on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Topics.
    Topic,
    /// Consumer groups.
    Group,
    /// The cluster as a whole.
    Cluster,
}

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// To see that it is there, and how it is.
    Describe,
    /// To see its settings.
    DescribeConfigs,
    /// To read a topic's records, or to be a member of a group and move its offsets.
    Read,
    /// To write records.
    Write,
}

/// What a user may do with the things of a kind that have this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What is named.
    pub kind: Kind,
    /// The name, or how names begin.
    pub name: String,
    /// Whether it is how names begin.
    pub is_prefix: bool,
    /// What may be done.
    pub operations: &'static [Operation],
}

/// Somebody who needs the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The service's name, `event-bus-ops` or `event-bus-kafbat`.
    pub name: String,
    /// All that it may do.
    pub grants: Vec<Grant>,
}

/// The name of the ops process.
pub(crate) const OPS: &str = "event-bus-ops";
/// The name of Kafbat UI.
const VIEWER: &str = "event-bus-kafbat";
/// The cluster's name, as the access control lists have it.
const CLUSTER: &str = "kafka-cluster";

const WRITES: &[Operation] = &[Operation::Describe, Operation::Write];
const READS: &[Operation] = &[Operation::Describe, Operation::Read];
const READS_AND_WRITES: &[Operation] = &[Operation::Describe, Operation::Read, Operation::Write];
const LOOKS: &[Operation] = &[Operation::Describe, Operation::DescribeConfigs];
const READS_AND_LOOKS: &[Operation] =
    &[Operation::Describe, Operation::DescribeConfigs, Operation::Read];
const DESCRIBES: &[Operation] = &[Operation::Describe];

impl Kind {
    /// As the access control lists have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "TOPIC",
            Self::Group => "GROUP",
            Self::Cluster => "CLUSTER",
        }
    }
}

impl Operation {
    /// As Kafka's tool and Strimzi have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Describe => "Describe",
            Self::DescribeConfigs => "DescribeConfigs",
            Self::Read => "Read",
            Self::Write => "Write",
        }
    }

    /// As the access control lists have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Describe => "DESCRIBE",
            Self::DescribeConfigs => "DESCRIBE_CONFIGS",
            Self::Read => "READ",
            Self::Write => "WRITE",
        }
    }
}

impl Grant {
    fn on(kind: Kind, name: &impl ToString, operations: &'static [Operation]) -> Self {
        Self { kind, name: name.to_string(), is_prefix: false, operations }
    }

    fn on_all(kind: Kind, prefix: String, operations: &'static [Operation]) -> Self {
        Self { kind, name: prefix, is_prefix: true, operations }
    }
}

/// Everybody who needs the cluster: the services in the catalogue's order, the ops process, and Kafbat UI.
#[must_use]
pub fn users(catalogue: &Catalogue) -> Vec<User> {
    let services = catalogue.services().map(|(service, _)| User {
        name: service.to_string(),
        grants: of_service(catalogue, service),
    });
    let others = [(OPS, of_ops(catalogue)), (VIEWER, of_viewer(catalogue))];
    let others = others.into_iter().map(|(name, grants)| User { name: name.to_owned(), grants });
    services.chain(others).collect()
}

/// A service writes its own events and the dead letters of those that it consumes, answers operators, and tells what
/// became of replays.
fn of_service(catalogue: &Catalogue, service: &ServiceName) -> Vec<Grant> {
    let publishes = catalogue.events().filter(|event| event.producer == *service);
    let mut grants: Vec<Grant> =
        publishes.map(|event| Grant::on(Kind::Topic, &event.topic, WRITES)).collect();
    for subscription in catalogue.subscriptions_of(service) {
        grants.push(Grant::on(Kind::Topic, &subscription.event.topic, READS));
        grants.push(Grant::on(Kind::Topic, &subscription.event.dead_letter_topic, WRITES));
        grants.push(Grant::on(Kind::Group, &subscription.consumer.group, READS));
    }
    grants.push(Grant::on(Kind::Topic, &catalogue.outcomes_topic(), WRITES));
    grants.push(Grant::on(Kind::Topic, &catalogue.commands_topic(), READS_AND_WRITES));
    grants.push(reader());
    grants
}

/// An ops process reads all, writes replays and what was decided, and moves the offsets of groups.
fn of_ops(catalogue: &Catalogue) -> Vec<Grant> {
    let namespace = catalogue.namespace();
    let mut grants: Vec<Grant> =
        catalogue.events().map(|event| Grant::on(Kind::Topic, &event.topic, WRITES)).collect();
    grants.extend(catalogue.own_topics().map(|topic| Grant::on(Kind::Topic, &topic, WRITES)));
    grants.push(Grant::on_all(Kind::Topic, format!("{namespace}."), READS_AND_LOOKS));
    grants.push(Grant::on_all(Kind::Group, format!("{namespace}-"), READS));
    grants.push(reader());
    grants.push(Grant::on(Kind::Cluster, &CLUSTER, LOOKS));
    grants
}

/// Who reads without a group is in this one, as far as the client asks after its coordinator. Nobody commits in it.
fn reader() -> Grant {
    Grant::on(Kind::Group, &READER_GROUP, DESCRIBES)
}

/// Kafbat UI looks, and can do nothing else even where it would let somebody. It reads no records: it would show what is
/// personal in them, which the panel masks.
fn of_viewer(catalogue: &Catalogue) -> Vec<Grant> {
    let namespace = catalogue.namespace();
    vec![
        Grant::on_all(Kind::Topic, format!("{namespace}."), LOOKS),
        Grant::on_all(Kind::Group, format!("{namespace}-"), DESCRIBES),
        Grant::on(Kind::Cluster, &CLUSTER, LOOKS),
    ]
}
