//! The catalogue as an AsyncAPI 3.1 document, for documentation and code of services in other languages.
//!
//! A channel is a topic, an operation is what one service does there. A message is one version of an event, and the whole envelope is
//! its payload.

mod dialect;
mod messages;

use std::str::FromStr;

use event_bus::Catalogue;
use event_bus::catalogue::{Event, Retention};
use event_bus::limits::DLT_MAX_MESSAGE_BYTES;
use event_bus::names::ServiceName;
use event_bus::topics::TOPIC_MAX_MESSAGE_BYTES;
use serde_json::{Map, Value, json};

pub use dialect::NotPortable;

/// Of the Kafka bindings.
const BINDING: &str = "0.5.0";
/// What a dead letter topic's channel adds to its event's.
const DEAD_LETTERS: &str = ".dlq";

/// What the document says beside the catalogue.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only what this service publishes and consumes.
    pub service: Option<ServiceName>,
    /// Of the document: the catalogue has none, for each event has its own.
    pub version: String,
    /// Where the brokers are, if that is told.
    pub servers: Vec<Server>,
}

/// A broker that clients begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `HOST:PORT`.
    pub host: String,
    /// Whether it is asked for over TLS.
    pub is_secure: bool,
}

impl FromStr for Server {
    type Err = BadServer;

    fn from_str(text: &str) -> Result<Server, BadServer> {
        let (is_secure, host) = match text.split_once("://") {
            None => (false, text),
            Some(("kafka", host)) => (false, host),
            Some(("kafka-secure", host)) => (true, host),
            Some(_) => return Err(BadServer),
        };
        let is_address = host
            .rsplit_once(':')
            .is_some_and(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok());
        if is_address { Ok(Server { host: host.to_owned(), is_secure }) } else { Err(BadServer) }
    }
}

/// A text that names no broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a broker: write HOST:PORT, kafka://HOST:PORT or kafka-secure://HOST:PORT")]
pub struct BadServer;

/// The document.
///
/// # Errors
/// When a schema says something that AsyncAPI's parsers don't understand.
pub fn document(catalogue: &Catalogue, options: &Options) -> Result<Value, NotPortable> {
    let only = options.service.as_ref();
    let events: Vec<&Event> = catalogue
        .events()
        .map(|event| &**event)
        .filter(|event| only.is_none_or(|service| concerns(event, service)))
        .collect();
    let (mut channels, mut operations) = (Map::new(), Map::new());
    let mut components = messages::Components::default();
    for event in &events {
        components.add(event)?;
        channels.insert(event.short_topic.to_string(), channel(event));
        channels.insert(dead_letters(event), dead_letter_channel(event));
        for (name, operation) in operations_of(event) {
            if only.is_none_or(|service| name.starts_with(&format!("{service}."))) {
                operations.insert(name, operation);
            }
        }
    }
    let mut document = json!({
        "asyncapi": "3.1.0",
        "id": id(catalogue, only),
        "info": info(catalogue, options),
        "defaultContentType": event_bus::headers::CONTENT_TYPE_VALUE,
        "channels": channels,
        "operations": operations,
        "components": components.json(),
    });
    if !options.servers.is_empty() {
        document["servers"] = servers(&options.servers);
    }
    Ok(document)
}

fn concerns(event: &Event, service: &ServiceName) -> bool {
    event.producer == *service
        || event.consumers.iter().any(|consumer| consumer.service == *service)
}

fn id(catalogue: &Catalogue, only: Option<&ServiceName>) -> String {
    let of_all = format!("urn:{}:events", catalogue.namespace());
    only.map_or_else(|| of_all.clone(), |service| format!("{of_all}:{service}"))
}

fn info(catalogue: &Catalogue, options: &Options) -> Value {
    let namespace = catalogue.namespace();
    let title = match &options.service {
        None => format!("Events of {namespace}"),
        Some(only) => {
            let named = catalogue.services().find(|(service, _)| *service == only);
            format!("{} in {namespace}", named.map_or(only.as_str(), |(_, title)| title))
        }
    };
    json!({
        "title": title,
        "version": options.version,
        "description": "Generated from the catalogue by `event-bus catalogue export asyncapi`: change the catalogue instead.",
    })
}

fn servers(servers: &[Server]) -> Value {
    let named = servers.iter().enumerate().map(|(number, server)| {
        let protocol = if server.is_secure { "kafka-secure" } else { "kafka" };
        let server = json!({
            "host": server.host,
            "protocol": protocol,
            "bindings": { "kafka": { "bindingVersion": BINDING } },
        });
        (format!("broker-{}", number + 1), server)
    });
    Value::Object(named.collect())
}

fn dead_letters(event: &Event) -> String {
    format!("{}{DEAD_LETTERS}", event.short_topic)
}

fn channel(event: &Event) -> Value {
    let messages: Map<String, Value> =
        messages::names(event).map(|name| (name.clone(), messages::reference(&name))).collect();
    json!({
        "address": event.topic,
        "title": event.name,
        "description": event.description,
        "messages": messages,
        "bindings": bindings(event, event.retention, TOPIC_MAX_MESSAGE_BYTES),
    })
}

/// A dead letter is the original record with headers that say what went wrong.
fn dead_letter_channel(event: &Event) -> Value {
    json!({
        "address": event.dead_letter_topic,
        "title": format!("Dead letters of {}", event.name),
        "description": format!("Records of {} that a consumer could not handle: key, value and headers as they were, and headers that say what went wrong.", event.topic),
        "messages": { messages::DEAD_LETTER: messages::reference(messages::DEAD_LETTER) },
        "bindings": bindings(event, event.dlq_retention, DLT_MAX_MESSAGE_BYTES),
    })
}

fn bindings(event: &Event, retention: Retention, max_message_bytes: usize) -> Value {
    json!({ "kafka": {
        "partitions": event.partitions,
        "replicas": event.replication,
        "topicConfiguration": {
            "cleanup.policy": ["delete"],
            "retention.ms": retention.millis(),
            "retention.bytes": -1,
            "min.insync.replicas": event.min_insync_replicas,
            "max.message.bytes": max_message_bytes,
        },
        "bindingVersion": BINDING,
    }})
}

/// What services do with an event, each with the service's name and a dot first.
fn operations_of(event: &Event) -> Vec<(String, Value)> {
    let on = |channel: &str| json!({ "$ref": format!("#/channels/{channel}") });
    let short_topic = event.short_topic.as_str();
    let all: Vec<Value> = messages::names(event)
        .map(|name| json!({ "$ref": format!("#/channels/{short_topic}/messages/{name}") }))
        .collect();
    let producer = &event.producer;
    let client = json!({ "type": "string", "description": "Any: Kafka asks for none, and the catalogue for none." });
    let mut operations = vec![(
        format!("{producer}.publishes.{}", event.name),
        json!({
            "action": "send",
            "channel": on(short_topic),
            "summary": format!("{producer} publishes {}.", event.name),
            "messages": all,
            "bindings": { "kafka": { "clientId": client, "bindingVersion": BINDING } },
        }),
    )];
    for consumer in &event.consumers {
        let (service, name) = (&consumer.service, &event.name);
        let group = json!({ "type": "string", "enum": [consumer.group] });
        operations.push((
            format!("{service}.consumes.{name}"),
            json!({
                "action": "receive",
                "channel": on(short_topic),
                "summary": format!("{service} consumes {name}."),
                "messages": all,
                "bindings": { "kafka": { "groupId": group, "clientId": client, "bindingVersion": BINDING } },
                "x-reads": consumer.reads,
            }),
        ));
        let channel = dead_letters(event);
        operations.push((
            format!("{service}.dead-letters.{name}"),
            json!({
                "action": "send",
                "channel": on(&channel),
                "summary": format!("{service} gives up on an event that it could not handle."),
                "messages": [{ "$ref": format!("#/channels/{channel}/messages/{}", messages::DEAD_LETTER) }],
            }),
        ));
    }
    operations
}
