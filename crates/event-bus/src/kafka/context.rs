//! Routes the client's own log lines and errors into `tracing`.

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// A client context that only logs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "event_bus::kafka", %error, reason, "kafka client");
    }
}

pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "event_bus::kafka", facility, message);
        }
        // The client repeats each lost connection here, which its error callback already told.
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::debug!(target: "event_bus::kafka", facility, message);
        }
        RDKafkaLogLevel::Debug => tracing::trace!(target: "event_bus::kafka", facility, message),
    }
}
