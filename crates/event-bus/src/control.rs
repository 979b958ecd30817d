//! What operators ask of running services, and what those answer, over a topic of the bus.
//!
//! A question is for a consumer group, or for relays, see [`outbox`]. Each replica whose service has the group reads it; one
//! that is for a replica by itself names it. Nobody answers what was asked before it started.

mod asker;
pub(crate) mod listener;
pub mod outbox;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::envelope::OutgoingRecord;
use crate::names::{EventId, GroupName, ServiceName, TopicName};
use crate::rerun::{DryRun, InboxState, Opening, Trial};

pub use asker::{AskError, Asker};

/// What stands on the topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// An operator asks.
    Asks(Question),
    /// A replica answers.
    Answers(Answer),
    /// An operator asks relays.
    AsksOutbox(outbox::Question),
    /// A relay answers.
    AnswersOutbox(outbox::Answer),
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Names it.
    pub id: Uuid,
    /// The group that it is about.
    pub group: GroupName,
    /// The only replica that is to do it; all of the group's where there is none.
    pub replica: Option<Uuid>,
    /// Who asks.
    pub by: String,
    /// What.
    pub what: What,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// To tell that it is there.
    Look,
    /// To leave the group for so many seconds, or until it is to go on.
    Pause {
        /// How long at most, so that a group whose operator is gone goes on by itself.
        seconds: u32,
    },
    /// To be in the group again.
    GoOn,
    /// To run ranges again when they come.
    Open(Opening),
    /// To run ranges in transactions that are rolled back.
    Try(Trial),
}

/// What a replica says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question.
    pub id: Uuid,
    /// Names the replica, from its start to its end.
    pub replica: Uuid,
    /// Its service.
    pub service: ServiceName,
    /// What it says.
    pub told: Told,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// It is there.
    Here(InboxState),
    /// It is done, or will be at once.
    Done,
    /// What would change.
    Tried(DryRun),
    /// Why it is not done.
    Refused(String),
}

impl Message {
    fn record(&self, topic: &TopicName, id: Uuid) -> OutgoingRecord {
        OutgoingRecord::json(topic, id, self, EventId::at(jiff::Timestamp::now()))
    }

    fn read(value: Option<&[u8]>) -> Option<Self> {
        serde_json::from_slice(value?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let question = Question {
            id: Uuid::from_u128(1),
            group: "shop-payment-order-placed".parse().unwrap(),
            replica: None,
            by: "ops".to_owned(),
            what: What::Pause { seconds: 60 },
        };
        let answer = Answer {
            id: question.id,
            replica: Uuid::from_u128(2),
            service: "payment".parse().unwrap(),
            told: Told::Here(InboxState {
                purged_below: [(3, 17)].into(),
                parked: [(0, 2)].into(),
            }),
        };
        let topic = "shop.event-bus.commands".parse().unwrap();
        let of_outbox = outbox::Question {
            id: question.id,
            service: Some(answer.service.clone()),
            relay: None,
            by: "ops".to_owned(),
            what: outbox::What::Look { rows: 7 },
        };
        let by_relay = outbox::Answer {
            id: question.id,
            service: answer.service.clone(),
            relay: answer.replica,
            told: outbox::Told::State(Box::default()),
        };
        for message in [
            Message::Asks(question),
            Message::Answers(answer),
            Message::AsksOutbox(of_outbox),
            Message::AnswersOutbox(by_relay),
        ] {
            let record = message.record(&topic, Uuid::from_u128(3));
            assert_eq!(Message::read(record.value.as_deref()), Some(message));
        }
        assert_eq!(Message::read(Some(b"{}")), None);
    }
}
