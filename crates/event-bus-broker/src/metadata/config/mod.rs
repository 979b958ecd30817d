//! A topic's settings: what was set, checked when it was set.

pub(crate) mod keys;
pub(crate) mod node_settings;
pub(crate) mod value;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::records::TimestampType;

use crate::log::{Cleanup, DiskFaults, LogSettings};
use keys::Key;
use value::ValueError;

/// Why settings can't be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("Unknown topic config name: {0}")]
    Unknown(String),
    #[error("Invalid value {value} for configuration {name}: {source}")]
    Value { name: &'static str, value: String, source: ValueError },
    #[error("Null value not supported for topic configs: {0}")]
    Null(String),
    #[error("{name} can only be {}, for {}: leave it out", only.value, only.reason)]
    Unsupported { name: &'static str, only: keys::Only },
    #[error("Can't {verb} to key {name} because its type is not LIST.")]
    NotAList { verb: &'static str, name: String },
    #[error("Error due to duplicate config keys: {0}")]
    Twice(String),
    #[error("Unknown operation {operation} on {name}")]
    Operation { operation: i8, name: String },
}

impl ConfigError {
    /// The protocol's error for it.
    pub fn response_error(&self) -> ResponseError {
        match self {
            Self::Unknown(_)
            | Self::Value { .. }
            | Self::Unsupported { .. }
            | Self::NotAList { .. } => ResponseError::InvalidConfig,
            Self::Null(_) | Self::Twice(_) | Self::Operation { .. } => {
                ResponseError::InvalidRequest
            }
        }
    }
}

/// What was set on a topic, in its keys' order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicConfigs(BTreeMap<String, String>);

/// A change of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Set(String),
    /// The default holds again.
    Unset,
    /// Adds entries to a list.
    Append(String),
    /// Takes entries from a list.
    Subtract(String),
}

impl TopicConfigs {
    /// # Errors
    /// When there is no such setting, or a value is none of its.
    pub fn new(configs: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        for (name, value) in &configs {
            check(name, value)?;
        }
        Ok(Self(configs))
    }

    /// With changes. Changing a setting twice is an error.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when something other than a list is added to.
    pub fn with(&self, changes: Vec<(String, Change)>) -> Result<Self, ConfigError> {
        let mut changed = self.0.clone();
        let mut names = std::collections::BTreeSet::new();
        for (name, change) in changes {
            if !names.insert(name.clone()) {
                return Err(ConfigError::Twice(name));
            }
            let key = keys::find(&name).ok_or_else(|| ConfigError::Unknown(name.clone()))?;
            match change {
                Change::Set(value) => drop(changed.insert(name, value)),
                Change::Unset => drop(changed.remove(&name)),
                Change::Append(value) => {
                    let mut entries = self.list(key, "APPEND")?;
                    entries.extend(value::entries(&value));
                    let mut seen = std::collections::BTreeSet::new();
                    entries.retain(|entry| seen.insert(*entry));
                    changed.insert(name, entries.join(","));
                }
                Change::Subtract(value) => {
                    let mut entries = self.list(key, "SUBTRACT")?;
                    entries.retain(|entry| !value::entries(&value).any(|gone| gone == *entry));
                    changed.insert(name, entries.join(","));
                }
            }
        }
        Self::new(changed)
    }

    fn list(&self, key: &'static Key, verb: &'static str) -> Result<Vec<&str>, ConfigError> {
        match key.kind.is_list() {
            true => Ok(value::entries(self.get(key)).collect()),
            false => Err(ConfigError::NotAList { verb, name: key.name.to_owned() }),
        }
    }

    /// The value that holds.
    pub fn get(&self, key: &'static Key) -> &str {
        self.own(key.name).unwrap_or(key.default)
    }

    /// The value that was set on the topic itself.
    pub fn own(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What was set on the topic itself.
    pub fn map(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// What they say about the partitions' logs.
    pub fn settings(&self, disk_faults: Arc<DiskFaults>) -> LogSettings {
        let policy = self.value(keys::CLEANUP_POLICY);
        let has = |wanted| value::entries(policy).any(|entry| entry == wanted);
        let segment_bytes = match self.own(keys::INTERNAL_SEGMENT_BYTES.name) {
            Some(bytes) => parse(bytes),
            None => self.number(keys::SEGMENT_BYTES),
        };
        let timestamp_type = match self.value(keys::MESSAGE_TIMESTAMP_TYPE) {
            "LogAppendTime" => TimestampType::LogAppend,
            _ => TimestampType::Creation,
        };
        let retention_ms: i64 = self.number(keys::RETENTION_MS);
        let retention_bytes: i64 = self.number(keys::RETENTION_BYTES);
        LogSettings {
            segment_bytes,
            segment_ms: self.number(keys::SEGMENT_MS),
            retention_ms: (retention_ms >= 0).then_some(retention_ms),
            retention_bytes: u64::try_from(retention_bytes).ok(),
            cleanup: Cleanup { delete: has("delete"), compact: has("compact") },
            min_compaction_lag_ms: self.number(keys::MIN_COMPACTION_LAG_MS),
            min_cleanable_dirty_ratio: self.number(keys::MIN_CLEANABLE_DIRTY_RATIO),
            delete_retention_ms: self.number(keys::DELETE_RETENTION_MS),
            max_message_bytes: self.number(keys::MAX_MESSAGE_BYTES),
            timestamp_type,
            timestamp_before_max_ms: self.number(keys::MESSAGE_TIMESTAMP_BEFORE_MAX_MS),
            timestamp_after_max_ms: self.number(keys::MESSAGE_TIMESTAMP_AFTER_MAX_MS),
            disk_faults,
        }
    }

    fn value(&self, name: &'static str) -> &str {
        self.get(keys::find(name).expect("the key is in the table")).trim()
    }

    fn number<N: FromStr>(&self, name: &'static str) -> N {
        parse(self.value(name))
    }
}

fn parse<N: FromStr>(value: &str) -> N {
    let number = value.trim().parse().ok();
    number.expect("values are checked against their kind when they are set")
}

fn check(name: &str, value: &str) -> Result<(), ConfigError> {
    let key = keys::find(name).ok_or_else(|| ConfigError::Unknown(name.to_owned()))?;
    key.kind.check(value).map_err(|source| {
        let value = value.to_owned();
        ConfigError::Value { name: key.name, value, source }
    })?;
    match key.only {
        Some(only) if only.value != value.trim() => {
            Err(ConfigError::Unsupported { name: key.name, only })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
