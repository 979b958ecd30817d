//! How this process reaches Kafka: the bootstrap servers and any property of the client.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::Properties;
use crate::limits::STUCK_AFTER;

/// Properties that the promises of the bus rest on. A caller may not change them.
const KEPT: &[(&str, &str)] = &[
    ("acks", "an acknowledgement by fewer replicas than all may lose an event"),
    ("request.required.acks", "an acknowledgement by fewer replicas than all may lose an event"),
    ("enable.idempotence", "without it a retry may double or reorder events"),
    ("partitioner", "services in every language must place a key in the same partition"),
    ("message.timeout.ms", "an expired send may overtake one that was not sent"),
    ("delivery.timeout.ms", "an expired send may overtake one that was not sent"),
    ("enable.auto.commit", "an offset is committed only behind settled events"),
    ("enable.auto.offset.store", "an offset is committed only behind settled events"),
    ("auto.offset.reset", "a consumer must never jump over events silently"),
    ("isolation.level", "events of aborted transactions must not be handled"),
    ("group.id", "the consumer group follows from the service and the topic"),
    (
        "group.instance.id",
        "the service's instance id gives it: `Service::instance`, or `event-bus service run --instance`",
    ),
    ("allow.auto.create.topics", "topics are created by `event-bus topics apply`"),
];

/// The most that librdkafka accepts for `message.max.bytes`.
const CLIENT_MAX_MESSAGE_BYTES: &str = "1000000000";

/// Where Kafka is and how to talk to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaConfig {
    bootstrap: String,
    properties: Properties,
}

/// A client property that the bus does not accept.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The property is one of those that the promises rest on.
    #[error("the client property `{property}` can't be set, for {reason}: leave it out")]
    Kept {
        /// The property's name.
        property: String,
        /// Why it is kept.
        reason: &'static str,
    },
    /// librdkafka does not know a property, or not its value.
    #[error(
        "the Kafka client refused its configuration: {reason}. Check the names and values passed with --kafka or under \
         [kafka]"
    )]
    Refused {
        /// What librdkafka says, without the value.
        reason: String,
    },
}

impl KafkaConfig {
    /// A configuration for the given bootstrap servers (`host:port`, several joined by commas), with further
    /// librdkafka properties such as `security.protocol` or `sasl.username`.
    ///
    /// # Errors
    /// When a property is one that the promises of the bus rest on, or one that librdkafka does not know.
    pub fn new(
        bootstrap: impl Into<String>,
        properties: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let properties: Properties = properties.into_iter().collect();
        for property in properties.keys() {
            if let Some((_, reason)) = KEPT.iter().find(|(kept, _)| kept == property) {
                return Err(ConfigError::Kept { property: property.clone(), reason });
            }
        }
        let config = Self { bootstrap: bootstrap.into(), properties };
        config.client().create_native_config().map_err(refused)?;
        Ok(config)
    }

    /// A configuration without further properties.
    #[must_use]
    pub fn plain(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), properties: Properties::default() }
    }

    /// The bootstrap servers.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// How long a client may get nowhere while brokers answer others, before it is stuck: twice as long as it waits for an
    /// answer before it gives a connection up (`socket.timeout.ms`).
    pub(crate) fn stuck_after(&self) -> Duration {
        let millis =
            self.properties.get("socket.timeout.ms").and_then(|millis| millis.parse().ok());
        millis.map_or(STUCK_AFTER, |millis| Duration::from_millis(millis) * 2)
    }

    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "event-bus")
            // A laptop's broker listens on one of the two address families; both are tried.
            .set("broker.address.family", "any")
            // After an outage the first attempt should come soon, and never later than a second.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.keepalive.enable", "true");
        for (name, value) in self.properties.iter() {
            config.set(name, value);
        }
        config
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("allow.auto.create.topics", "false")
            // librdkafka may expire the second of three messages and send the third: nothing ever expires.
            .set("message.timeout.ms", "0")
            // The client counts before it compresses, Kafka after. A dead letter is as large as what another client
            // sent compressed; the topics' limits are what counts, and events are checked before they come here.
            .set("message.max.bytes", CLIENT_MAX_MESSAGE_BYTES);
        for (name, value) in [("linger.ms", "5"), ("compression.type", "lz4")] {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        config
    }

    /// The same, whose producers let no record wait for company (`linger.ms` 0, unless it was given): for those that send
    /// what has waited already, and bound how much is on its way.
    #[must_use]
    pub fn without_linger(&self) -> Self {
        let mut config = self.clone();
        config.properties.entry("linger.ms".to_owned()).or_insert_with(|| "0".to_owned());
        config
    }

    /// A producer that ends at the first record which Kafka refuses for good.
    pub(super) fn gapless_producer(&self) -> ClientConfig {
        let mut config = self.without_linger().producer();
        config.set("enable.gapless.guarantee", "true");
        config
    }

    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The start position is always given; where Kafka does not have it, that is an error to report.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("allow.auto.create.topics", "false")
            .set("enable.partition.eof", "false");
        let defaults = [
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("queued.min.messages", "1000"),
            ("queued.max.messages.kbytes", "1024"),
            ("fetch.wait.max.ms", "500"),
            // How long a partition rests whose queue was full. The client's own second is longer than a full queue lasts:
            // the handlers would wait for events that are there.
            ("fetch.queue.backoff.ms", "10"),
            // Of one partition in one answer, so that the next partition's records are not far behind. What is larger
            // comes alone (KIP-74).
            ("fetch.message.max.bytes", "262144"),
            // A topic that is created after its consumer started is found within this time.
            ("topic.metadata.refresh.interval.ms", "10000"),
        ];
        for (name, value) in defaults {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        config
    }
}

/// Why librdkafka does not take a configuration. Its own error repeats the value, which may be a secret under a misspelt
/// name.
fn refused(error: KafkaError) -> ConfigError {
    let reason = match error {
        KafkaError::ClientConfig(_, said, name, value) if said.contains(&value) => {
            format!("{name} does not take its value")
        }
        KafkaError::ClientConfig(_, said, ..) => said,
        other => other.to_string(),
    };
    ConfigError::Refused { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_the_promises_rest_on_is_refused_with_its_reason() {
        let error = KafkaConfig::new("localhost:9092", [("acks".into(), "1".into())]).unwrap_err();
        assert!(error.to_string().contains("`acks`"), "{error}");
    }

    #[test]
    fn an_unknown_property_is_refused() {
        let error =
            KafkaConfig::new("localhost:9092", [("no.such".into(), "1".into())]).unwrap_err();
        assert!(matches!(error, ConfigError::Refused { .. }), "{error}");
    }

    #[test]
    fn no_value_is_told_for_it_may_be_a_secret() {
        for name in ["sasl.pasword", "fetch.wait.max.ms", "security.protocol"] {
            let property = (name.to_owned(), "canary".to_owned());
            let error = KafkaConfig::new("localhost:9092", [property]).unwrap_err();
            let told = crate::dead_letter::error_chain(&error);
            assert!(told.contains(name) && !told.contains("canary"), "{told}");
        }
    }

    #[test]
    fn a_security_property_passes() {
        let properties = [("security.protocol".to_owned(), "sasl_ssl".to_owned())];
        KafkaConfig::new("localhost:9092", properties).unwrap();
    }
}
