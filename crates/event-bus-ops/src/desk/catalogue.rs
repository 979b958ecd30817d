//! The contract, and how much of it is going on.

use std::sync::Arc;
use std::time::Duration;

use event_bus::catalogue::{
    BehindDeadLetter, Consumer, Event, Execution, SchemaVersion, Subscription,
};
use event_bus::names::{EventName, GroupName, ServiceName, TopicName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::groups::{Behind, MAX_NAME_CHARS, may};
use super::{Desk, DeskError};
use crate::access::policy::{Action, Actor, Object, decide};

/// An event of the catalogue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventRow {
    /// Its name.
    pub event: EventName,
    /// What happened.
    pub description: String,
    /// Its versions, ascending.
    pub versions: Vec<String>,
    /// Where it is published.
    pub topic: TopicName,
    /// Who publishes it.
    pub producer: ServiceName,
    /// What keeps its order, as JSON pointers.
    pub key: Vec<String>,
    /// Events that came in a second of late; none while too little was seen.
    pub per_second: Option<f64>,
    /// Who consumes it.
    pub consumers: Vec<ConsumerRow>,
}

/// Who consumes an event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConsumerRow {
    /// The service.
    pub service: ServiceName,
    /// Its group.
    pub group: GroupName,
    /// Whether the group is in scope: how it is, is told of no other.
    pub in_scope: bool,
    /// How far behind it is, where that is known.
    #[serde(flatten)]
    pub behind: Option<Behind>,
    /// The waits before the second attempt, the third and so on, in milliseconds.
    pub retry_ms: Vec<u64>,
    /// How its handler runs.
    pub execution: String,
    /// What happens to a key's events behind a dead letter.
    pub behind_dead_letter: String,
    /// How long one attempt may take, in milliseconds.
    pub handler_timeout_ms: u64,
    /// What it reads of the payload, as JSON pointers.
    pub reads: Vec<String>,
}

/// An event with its contract.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventPage {
    /// It.
    #[serde(flatten)]
    pub row: EventRow,
    /// Where it goes when a consumer can't handle it.
    pub dead_letter_topic: TopicName,
    /// What is personal data in it, as JSON pointers.
    pub personal_data: Vec<String>,
    /// Each version, ascending.
    pub contracts: Vec<Contract>,
}

/// A version of an event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Contract {
    /// Which one.
    pub version: String,
    /// What its payloads obey.
    pub schema: Value,
    /// What one may look like.
    pub sample: Option<String>,
}

impl Contract {
    fn of(known: &SchemaVersion) -> Self {
        Self {
            version: known.version.to_string(),
            schema: known.schema.json().clone(),
            sample: known.sample.as_deref().map(str::to_owned),
        }
    }
}

impl ConsumerRow {
    fn of(consumer: &Consumer, in_scope: bool, behind: Option<Behind>) -> Self {
        Self {
            service: consumer.service.clone(),
            group: consumer.group.clone(),
            in_scope,
            behind,
            retry_ms: consumer.retry.iter().copied().map(millis).collect(),
            execution: match consumer.execution {
                Execution::Batched => "batched".to_owned(),
                Execution::Concurrent(count) => format!("concurrent({count})"),
            },
            behind_dead_letter: match consumer.behind_dead_letter {
                BehindDeadLetter::Continue => "continue",
                BehindDeadLetter::Park => "park",
            }
            .to_owned(),
            handler_timeout_ms: millis(consumer.handler_timeout),
            reads: consumer.reads.clone(),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Desk {
    /// The events of the catalogue. They are the contract, and everybody may see them; how a group is, where it is in scope.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub fn events(&self, actor: &Actor) -> Result<Vec<EventRow>, DeskError> {
        decide(actor, Action::See, Object::InScope)?;
        Ok(self.catalogue.events().map(|event| self.event_row(actor, event)).collect())
    }

    /// An event with its contract.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub fn event(&self, actor: &Actor, name: &str) -> Result<EventPage, DeskError> {
        decide(actor, Action::See, Object::InScope)?;
        let event = self.catalogue.event(name);
        let event =
            event.ok_or_else(|| DeskError::NoEvent(name.chars().take(MAX_NAME_CHARS).collect()))?;
        Ok(EventPage {
            row: self.event_row(actor, event),
            dead_letter_topic: event.dead_letter_topic.clone(),
            personal_data: event.personal_data.clone(),
            contracts: event.versions.iter().map(Contract::of).collect(),
        })
    }

    fn event_row(&self, actor: &Actor, event: &Arc<Event>) -> EventRow {
        let newest = self.watch.newest();
        let consumers = event.consumers.iter().map(|consumer| {
            let in_scope = may(actor, Action::See, Subscription { event, consumer });
            let lag = newest.as_ref().and_then(|newest| newest.lag_of(&consumer.group));
            ConsumerRow::of(
                consumer,
                in_scope,
                lag.filter(|_| in_scope).map(|lag| Behind::of(lag, event.lag)),
            )
        });
        EventRow {
            event: event.name.clone(),
            description: event.description.clone(),
            versions: event.versions.iter().map(|known| known.version.to_string()).collect(),
            topic: event.topic.clone(),
            producer: event.producer.clone(),
            key: event.key.pointers().map(str::to_owned).collect(),
            per_second: self.watch.rate_of(&event.name),
            consumers: consumers.collect(),
        }
    }
}
