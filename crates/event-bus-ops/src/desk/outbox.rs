//! Outboxes of services, and their rows that can never be sent as they are.
//!
//! A service's database is its own, and this process has none of them: its relays are asked, which mask what is personal before
//! they answer. A service of which none runs did not answer, and that is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use event_bus::control::outbox::{Answer, OutboxAsker, OutboxRow, Told, What};
use event_bus::names::{EventName, ServiceName, TopicName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::groups::MAX_NAME_CHARS;
use super::{Desk, DeskError};
use crate::access::policy::{Action, Actor, Denied, Object, decide};
use crate::access::trail::{Deed, Note};

/// How long relays have to say that they are there: the page of a service that does not run takes as long.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// So many quarantined rows are shown.
const ROWS: u32 = 100;

/// A service's outbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxOf {
    /// Whose it is.
    pub service: ServiceName,
    /// How it is; none where no relay of the service said so.
    pub standing: Option<OutboxStanding>,
    /// What is wrong, where a relay is there and can't tell.
    pub problem: Option<String>,
}

/// How an outbox is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxStanding {
    /// Rows that are to be sent: the first 10,000 counted, and the ids drawn behind them.
    pub pending: u64,
    /// How long the first of them has waited, in milliseconds.
    pub oldest_ms: Option<u64>,
    /// Rows that can never be sent as they are. Those behind them under their topics and keys wait.
    pub quarantined: u64,
    /// Rows that somebody decided never to send.
    pub discarded: u64,
    /// Its relays: those that answered, and those that hold a lease and did not.
    pub relays: Vec<RelayOf>,
}

/// A relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayOf {
    /// Its id, from its start to its end.
    pub relay: Uuid,
    /// The shards of the outbox that it sends.
    pub shards: Vec<i32>,
    /// Rows that Kafka acknowledged to it; none where it did not answer.
    pub published: Option<u64>,
    /// From when on it has counted them.
    pub since: Option<Timestamp>,
}

/// A service's outbox with its rows that can never be sent as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxPage {
    /// How it is.
    #[serde(flatten)]
    pub outbox: OutboxOf,
    /// The first hundred of these rows, as far as they are in scope.
    pub rows: Vec<RowSeen>,
}

/// A row that can never be sent as it is. Of what the event says nothing is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSeen {
    /// The event, where its topic is one of the catalogue's.
    pub event: Option<EventName>,
    /// What its relay says of it.
    #[serde(flatten)]
    pub row: OutboxRow,
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowDecision {
    /// It is sent again, with what waits behind it: somebody removed the cause.
    Retry,
    /// It is never sent, and what waits behind it is.
    Discard,
}

/// A row that something is decided about, as it was shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskAboutRow {
    /// Its id.
    pub row: i64,
    /// Its event's id.
    pub event_id: String,
    /// Why. To discard one takes it.
    #[serde(default)]
    pub reason: String,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    /// So many rows may be sent now.
    pub rows: u64,
}

impl OutboxOf {
    /// What the relays of a service say together. Of its database the last one tells what all of them see.
    fn of(service: &ServiceName, answers: &[Answer]) -> Self {
        let of_service = || answers.iter().filter(|answer| answer.service == *service);
        let states = || {
            of_service().filter_map(|answer| match &answer.told {
                Told::State(state) => Some((answer.relay, state)),
                Told::Lifted { .. } | Told::Refused(_) => None,
            })
        };
        let problem = of_service().find_map(|answer| match &answer.told {
            Told::Refused(reason) => Some(reason.clone()),
            Told::State(_) | Told::Lifted { .. } => None,
        });
        let standing = states().next_back().map(|(_, last)| {
            let mut relays = BTreeMap::new();
            for lease in &last.leases {
                relays.entry(lease.relay).or_insert_with(|| RelayOf::silent(lease.relay));
            }
            for (relay, state) in states() {
                let (published, since) = (Some(state.published), Some(state.since));
                let told = RelayOf { published, since, ..RelayOf::silent(relay) };
                relays.insert(relay, told);
            }
            for lease in &last.leases {
                relays.entry(lease.relay).and_modify(|relay| relay.shards.push(lease.shard));
            }
            OutboxStanding {
                pending: last.pending,
                oldest_ms: last.oldest_ms,
                quarantined: last.quarantined,
                discarded: last.discarded,
                relays: relays.into_values().collect(),
            }
        });
        Self { service: service.clone(), problem: problem.filter(|_| standing.is_none()), standing }
    }
}

impl RelayOf {
    fn silent(relay: Uuid) -> Self {
        Self { relay, shards: Vec::new(), published: None, since: None }
    }
}

impl Desk {
    /// Gives relays so long to say that they are there, in place of three seconds.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The outboxes of all services in scope, in the catalogue's order.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn outboxes(&self, actor: &Actor) -> Result<Vec<OutboxOf>, DeskError> {
        decide(actor, Action::See, Object::InScope)?;
        let services = self.catalogue.services().map(|(service, _)| service);
        let services = services.filter(|service| may(actor, Action::See, service));
        let services: Vec<ServiceName> = services.cloned().collect();
        let answers = self.ask_relays(actor, &services, 0).await?;
        Ok(services.iter().map(|service| OutboxOf::of(service, &answers)).collect())
    }

    /// The outbox of a service, with its rows that can never be sent as they are: those in scope of the first hundred.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn outbox(&self, actor: &Actor, service: &str) -> Result<OutboxPage, DeskError> {
        let service = self.outbox_of(actor, Action::See, service)?;
        let mut answers = self.ask_relays(actor, std::slice::from_ref(service), ROWS).await?;
        let outbox = OutboxOf::of(service, &answers);
        let rows = answers.iter_mut().rev().find_map(|answer| match &mut answer.told {
            Told::State(state) => Some(std::mem::take(&mut state.rows)),
            Told::Lifted { .. } | Told::Refused(_) => None,
        });
        let is_in_scope = |row: &OutboxRow| {
            let (service, tenant) = (service.as_str(), row.tenant.as_deref());
            decide(actor, Action::See, Object::Letter { service, tenant }).is_ok()
        };
        let rows = rows.into_iter().flatten().filter(is_in_scope);
        let rows = rows.map(|row| RowSeen { event: self.event_of(&row.topic), row }).collect();
        Ok(OutboxPage { outbox, rows })
    }

    /// Decides about a row as it was shown. Whoever asks may go: it is done to its end.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn decide_row(
        &self,
        actor: &Actor,
        service: &str,
        decision: RowDecision,
        asked: AskAboutRow,
    ) -> Result<Lifted, DeskError> {
        let service = self.outbox_of(actor, Action::Lift, service)?.clone();
        let AskAboutRow { row, event_id, reason } = asked;
        let reason = reason.trim().to_owned();
        if reason.is_empty() && decision == RowDecision::Discard {
            return Err(DeskError::Unclear("a reason is needed to discard a row".to_owned()));
        }
        let deed = match decision {
            RowDecision::Retry => Deed::RetryRow,
            RowDecision::Discard => Deed::DiscardRow,
        };
        let note = Note::of(deed, format!("{service}/{row}"))
            .because(Some(&reason))
            .with(json!({ "service": service, "row": row, "event_id": event_id }));
        let what = match decision {
            RowDecision::Retry => What::Retry { row, event_id },
            RowDecision::Discard => What::Discard { row, event_id, reason },
        };
        let (desk, actor) = (self.clone(), actor.clone());
        let done = tokio::spawn(async move {
            let done = async {
                let mut asker =
                    OutboxAsker::new(&*actor.name, &desk.kafka, &desk.publisher).await?;
                let rows = asker.lift(&service, what, desk.patience).await?;
                Ok(Lifted { rows })
            };
            desk.does(&actor, note, done).await
        });
        done.await.map_err(|error| DeskError::failed(&error))?
    }

    async fn ask_relays(
        &self,
        actor: &Actor,
        services: &[ServiceName],
        rows: u32,
    ) -> Result<Vec<Answer>, DeskError> {
        let _place = self.place_to_read()?;
        let mut asker = OutboxAsker::new(&*actor.name, &self.kafka, &self.publisher).await?;
        Ok(asker.look(services, rows, self.patience).await?)
    }

    /// A service for somebody who wants to do this with its outbox.
    pub(crate) fn outbox_of(
        &self,
        actor: &Actor,
        action: Action,
        service: &str,
    ) -> Result<&ServiceName, DeskError> {
        decide(actor, action, Object::InScope)?;
        let none = || DeskError::NoService(service.chars().take(MAX_NAME_CHARS).collect());
        let mut services = self.catalogue.services().map(|(known, _)| known);
        let found = services.find(|known| known.as_str() == service).ok_or_else(none)?;
        match decide(actor, action, Object::Outbox { service: found.as_str() }) {
            Ok(()) => Ok(found),
            Err(Denied::OutOfScope) => Err(none()),
            Err(denied) => Err(denied.into()),
        }
    }

    /// The event of a topic, or of that of its dead letters.
    fn event_of(&self, topic: &str) -> Option<EventName> {
        let of_letters = || {
            let topic: TopicName = topic.parse().ok()?;
            self.catalogue.event_of_dead_letter_topic(&topic)
        };
        let event = self.catalogue.event_of_topic(topic).or_else(of_letters)?;
        Some(event.name.clone())
    }
}

fn may(actor: &Actor, action: Action, service: &ServiceName) -> bool {
    decide(actor, action, Object::Outbox { service: service.as_str() }).is_ok()
}

#[cfg(test)]
mod tests {
    use event_bus::control::outbox::{LeaseHeld, OutboxState};

    use super::*;

    #[test]
    fn relays_that_hold_a_lease_and_say_nothing_are_shown_and_so_are_those_without_one() {
        let [first, silent, idle] = [1, 2, 3].map(Uuid::from_u128);
        let leases = [(0, first), (1, silent), (2, first)];
        let leases = leases.map(|(shard, relay)| LeaseHeld { shard, relay }).to_vec();
        let service: ServiceName = "cutting".parse().unwrap();
        let answer = |relay, published| Answer {
            id: Uuid::nil(),
            service: service.clone(),
            relay,
            told: Told::State(Box::new(OutboxState {
                leases: leases.clone(),
                published,
                ..OutboxState::default()
            })),
        };
        let refused = Answer { told: Told::Refused("gone".to_owned()), ..answer(idle, 0) };
        let outbox = OutboxOf::of(&service, &[answer(first, 7), refused.clone(), answer(idle, 0)]);
        let standing = outbox.standing.unwrap();
        let told: Vec<_> = standing
            .relays
            .iter()
            .map(|relay| (relay.relay, relay.shards.clone(), relay.published))
            .collect();
        let wanted =
            [(first, vec![0, 2], Some(7)), (silent, vec![1], None), (idle, vec![], Some(0))];
        assert_eq!((told, outbox.problem), (wanted.to_vec(), None));

        let outbox = OutboxOf::of(&service, &[refused]);
        assert_eq!((outbox.standing, outbox.problem.as_deref()), (None, Some("gone")));
        let outbox = OutboxOf::of(&"sawing".parse().unwrap(), &[answer(first, 7)]);
        assert_eq!((outbox.standing, outbox.problem), (None, None));
    }
}
