//! What has settings: topics, and the node.

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

use super::{Call, text};
use crate::access::{CLUSTER, Kind, Operation};
use crate::metadata::config::ConfigError;
use crate::metadata::{Mode, NewConfigs};
use crate::node::NODE_ID;

/// The protocol's number for topics.
pub(super) const TOPIC: i8 = 2;
/// The protocol's number for nodes.
pub(super) const NODE: i8 = 4;

/// Whether this names the node, or the default of all nodes.
///
/// # Errors
/// What Kafka says when it does not.
pub(super) fn check_node(name: &str) -> Result<(), (ResponseError, String)> {
    match name.is_empty() || name.parse() == Ok(NODE_ID) {
        true => Ok(()),
        false => {
            let message = format!(
                "Unexpected broker id, expected {NODE_ID} or empty string, but received {name}"
            );
            Err((ResponseError::InvalidRequest, message))
        }
    }
}

/// Whether who asks may do this with the settings.
///
/// # Errors
/// What Kafka says when they may not.
pub(super) fn check(
    call: &Call,
    operation: Operation,
    kind: i8,
    name: &str,
) -> Result<(), (ResponseError, String)> {
    let checked = match kind {
        TOPIC => call.check_topic(operation, name),
        _ => call.check(operation, Kind::Cluster, CLUSTER),
    };
    checked.map_err(|error| (error, error.to_string()))
}

/// What is said about resources that have no settings here.
pub(super) fn unsupported(resource_type: i8) -> (ResponseError, String) {
    let message = format!("resources of type {resource_type} have no settings on this broker");
    (ResponseError::InvalidRequest, message)
}

/// What is said when a setting of the node is to be changed.
fn fixed() -> (ResponseError, String) {
    let message =
        "the broker's settings are given at its start: change them there and start it again";
    (ResponseError::InvalidConfig, message.to_owned())
}

/// What became of a change.
pub(super) type Outcome = Result<(), (ResponseError, String)>;

/// Changes the settings of a topic; the node's can't be changed, and it may only be named without any.
///
/// # Errors
/// What Kafka says when the resource is not there, or a setting not as it has to be.
pub(super) async fn configure(
    call: &Call,
    (kind, name): (i8, &str),
    settings: usize,
    configs: Result<NewConfigs, ConfigError>,
    mode: Mode,
) -> Outcome {
    check(call, Operation::AlterConfigs, kind, name)?;
    match kind {
        TOPIC => {
            let configs = configs.map_err(|error| (error.response_error(), error.to_string()))?;
            let configured = call.node.topics.configure(name, configs, mode).await;
            configured.map_err(|error| (error.response_error(), error.to_string()))
        }
        NODE => {
            check_node(name)?;
            if settings == 0 { Ok(()) } else { Err(fixed()) }
        }
        other => Err(unsupported(other)),
    }
}

/// An outcome as answers say it.
pub(super) fn told(outcome: Outcome) -> (i16, Option<StrBytes>) {
    match outcome {
        Ok(()) => (0, None),
        Err((error, message)) => (error.code(), text(message)),
    }
}

/// What is said about resources that are named more than once.
pub(super) fn named_twice() -> (ResponseError, String) {
    (ResponseError::InvalidRequest, "Each resource must appear at most once.".to_owned())
}
