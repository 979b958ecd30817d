//! The node's own settings, under the names that Kafka gives them.

use super::value::Kind;
use crate::config::{Config, Storage};
use crate::limits::{IDLE_TIMEOUT, MAX_FRAME_BYTES};
use crate::node::{NODE_ID, Node};

/// One setting of the node.
#[derive(Clone, Debug)]
pub(crate) struct NodeSetting {
    pub name: &'static str,
    pub value: String,
    pub kind: Kind,
    /// It was not set at the start.
    pub is_default: bool,
    pub documentation: &'static str,
}

const INT: Kind = Kind::Int { min: i32::MIN, max: i32::MAX };
const LONG: Kind = Kind::Long { min: i64::MIN };

/// The settings that clients look at.
#[rustfmt::skip]
pub(crate) fn all(node: &Node) -> Vec<NodeSetting> {
    let config = &node.config;
    let groups = &config.groups;
    let address = format!("{}:{}", node.cluster.host, node.cluster.port);
    let log_dir = match &config.storage {
        Storage::Directory(dir) => dir.display().to_string(),
        Storage::Memory => "memory".to_owned(),
    };
    let defaults = Config::default();
    let mut settings = vec![
        setting("advertised.listeners", format!("PLAINTEXT://{address}"), Kind::List, config.advertise.is_none(),
            "Where clients connect to."),
        setting("auto.create.topics.enable", config.topics.auto_create.to_string(), Kind::Boolean,
            config.topics.auto_create == defaults.topics.auto_create, "Whether topics are made when they are asked for."),
        setting("broker.id", NODE_ID.to_string(), INT, true, "The node's id."),
        setting("compression.type", "producer".to_owned(), Kind::Text, true, "Batches stay as they were compressed."),
        setting("connections.max.idle.ms", IDLE_TIMEOUT.as_millis().to_string(), LONG, true,
            "After which time an idle connection is closed."),
        setting("default.replication.factor", "1".to_owned(), INT, true, "How many replicas topics have."),
        setting("delete.topic.enable", "true".to_owned(), Kind::Boolean, true, "Whether topics can be deleted."),
        setting("group.initial.rebalance.delay.ms", groups.initial_rebalance_delay.as_millis().to_string(), INT,
            groups.initial_rebalance_delay == defaults.groups.initial_rebalance_delay,
            "How long a new group waits for more members."),
        setting("listeners", format!("PLAINTEXT://{}", config.listen), Kind::List, config.listen == defaults.listen,
            "Where the broker listens."),
        setting("log.cleanup.policy", "delete".to_owned(), Kind::List, true, "What becomes of old records."),
        setting("log.dir", log_dir.clone(), Kind::Text, config.storage == defaults.storage, "Where records stay."),
        setting("log.dirs", log_dir, Kind::List, config.storage == defaults.storage, "Where records stay."),
        setting("log.retention.check.interval.ms", config.retention_check_interval.as_millis().to_string(), LONG,
            config.retention_check_interval == defaults.retention_check_interval,
            "How often retention and compaction run."),
        setting("max.connections", config.max_connections.to_string(), INT,
            config.max_connections == defaults.max_connections, "How many connections are served at a time."),
        setting("min.insync.replicas", "1".to_owned(), INT, true, "How many replicas acknowledge a record."),
        setting("node.id", NODE_ID.to_string(), INT, true, "The node's id."),
        setting("num.partitions", config.topics.partitions.to_string(), INT,
            config.topics.partitions == defaults.topics.partitions, "How many partitions topics have."),
        setting("process.roles", "broker,controller".to_owned(), Kind::List, true, "What the node does: everything."),
        setting("socket.request.max.bytes", MAX_FRAME_BYTES.to_string(), INT, true, "The longest request."),
    ];
    let topics = super::keys::KEYS.iter().filter_map(|key| Some((key, key.synonym?)));
    for (key, name) in topics {
        if settings.iter().all(|setting| setting.name != name) {
            settings.push(setting(name, key.default.to_owned(), key.kind, true, key.documentation));
        }
    }
    settings.sort_by_key(|setting| setting.name);
    settings
}

fn setting(
    name: &'static str,
    value: String,
    kind: Kind,
    is_default: bool,
    documentation: &'static str,
) -> NodeSetting {
    NodeSetting { name, value, kind, is_default, documentation }
}
