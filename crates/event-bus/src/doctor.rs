//! What is wrong with a cluster, held against a catalogue and good practice, and the cure of each fault.
//!
//! [`observe`] asks Kafka and the databases, and [`examine`] says what follows: it is a function of the catalogue, of what
//! was observed, and of the time.

mod access;
mod brokers;
mod client;
mod code;
mod groups;
mod inbox;
mod observe;
mod topics;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::catalogue::Catalogue;
use crate::kafka::admin::{Acl, Cluster, Layout, Survey, TopicPartition};
use crate::names::TopicName;

pub use client::Client;
pub use code::{Code, Severity};
pub use inbox::Inbox;
pub use observe::{ObserveError, observe};

/// What is wrong with one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of fault it is.
    pub code: Code,
    /// How bad it is: the code's severity.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// What is wrong, as a sentence without its full stop.
    pub what: String,
    /// What to do, likewise.
    pub cure: String,
}

impl Finding {
    fn new(code: Code, subject: Subject, what: String, cure: impl Into<String>) -> Self {
        Self { code, severity: code.severity(), subject, what, cure: cure.into() }
    }
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum Subject {
    /// The cluster as a whole.
    Cluster,
    /// A broker, by its id.
    Broker(i32),
    /// A topic.
    Topic(TopicName),
    /// A consumer group, whose name may be any text.
    Group(String),
    /// A property of the client, or its `bootstrap` servers.
    Client(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("cluster"),
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::Topic(topic) => write!(f, "topic {topic}"),
            Self::Group(group) => write!(f, "group {group}"),
            Self::Client(property) => write!(f, "client {property}"),
        }
    }
}

/// What was seen of a cluster, and of who looks at it.
#[derive(Debug, Default)]
pub struct Observed {
    /// How Kafka is reached.
    pub client: Client,
    /// The topics, those of the catalogue with their configs.
    pub cluster: Cluster,
    /// Who leads and copies what.
    pub layout: Layout,
    /// Offsets of the namespace's topics and groups.
    pub survey: Survey,
    /// The time of the newest record of each partition, in milliseconds since the Unix epoch, where there is one.
    pub newest: BTreeMap<TopicPartition, i64>,
    /// Of each topic that does not keep its records for ever: the first offset of each partition whose record is not about
    /// to be removed; `None` where all are.
    pub safe_from: BTreeMap<TopicPartition, Option<i64>>,
    /// The configs of each broker that told them.
    pub broker_configs: BTreeMap<i32, BTreeMap<String, String>>,
    /// The access control lists, where they were told.
    pub acls: Acls,
    /// What the services' databases say of what was handled.
    pub inboxes: Vec<Inbox>,
    /// What could not be looked at, each with the reason.
    pub unseen: Vec<String>,
}

/// What is known of the access control lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Acls {
    /// They were not told.
    #[default]
    Untold,
    /// The cluster has none: whoever reaches it may do everything.
    Off,
    /// All entries.
    On(Vec<Acl>),
}

/// All that is wrong, the worst first. `now` is the time at which it was observed, by this machine's clock.
#[must_use]
pub fn examine(catalogue: &Catalogue, observed: &Observed, now: Timestamp) -> Vec<Finding> {
    let mut findings = topics::examine(catalogue, observed);
    findings.extend(groups::examine(catalogue, observed));
    findings.extend(brokers::examine(catalogue, observed, now));
    findings.extend(client::examine(&observed.client));
    findings.extend(access::examine(catalogue, observed));
    findings.extend(inbox::examine(catalogue, observed));
    findings
        .sort_by(|a, b| (a.severity, a.code, &a.subject).cmp(&(b.severity, b.code, &b.subject)));
    findings
}

/// Partitions as people write them: `1`, or `1, 2 and 5`.
fn listed(partitions: &[i32]) -> String {
    let texts: Vec<String> = partitions.iter().map(i32::to_string).collect();
    match texts.split_last() {
        None => String::new(),
        Some((last, [])) => format!("partition {last}"),
        Some((last, rest)) => format!("partitions {} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
#[path = "doctor/tests.rs"]
mod tests;
