//! What is decided about dead letters: which it is about and which not. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Found, State};
use crate::audit::Action;
use crate::catalogue::Catalogue;

/// Why a dead letter is left out.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error,
)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Nobody decided anything about it.
    #[error("is open")]
    Open,
    /// It is being replayed.
    #[error("is being replayed: its group has not told the outcome")]
    Replaying,
    /// It took effect.
    #[error("is resolved")]
    Resolved,
    /// There is a newer one.
    #[error("died again: decide about the newer dead letter")]
    DeadAgain,
    /// Somebody discarded it.
    #[error("is discarded: `event-bus dlq restore` takes that back")]
    Discarded,
    /// Nobody would handle it.
    #[error("is of a consumer group that the catalogue does not have on its topic")]
    NoConsumer,
    /// Others wait for it.
    #[error(
        "is of a parked key: those behind it would wait for ever, so replay it once it can be handled"
    )]
    Parked,
}

/// A decision, before anything is done.
#[derive(Debug)]
pub struct Plan<'a> {
    pub(super) action: Action,
    /// What it is about, in this order.
    pub letters: Vec<&'a Found>,
    /// What it is not about, and why.
    pub refused: BTreeMap<Refusal, u64>,
}

impl<'a> Plan<'a> {
    /// To send open ones back to the groups that could not handle them. Those of one partition go back in the order in
    /// which they died there; those of a parked key by their places in its chain.
    #[must_use]
    pub fn replay(catalogue: &Catalogue, letters: impl IntoIterator<Item = &'a Found>) -> Self {
        let mut plan = Self::of(Action::Replay, letters, |found| match found.state {
            State::Open => (!is_consumed(catalogue, found)).then_some(Refusal::NoConsumer),
            state => Some(refusal_of(state)),
        });
        plan.letters.sort_by_key(|found| {
            let letter = &found.letter;
            (&letter.topic, letter.partition, letter.chain_seq, letter.offset)
        });
        plan
    }

    /// To do nothing about open ones.
    #[must_use]
    pub fn discard(letters: impl IntoIterator<Item = &'a Found>) -> Self {
        Self::of(Action::Discard, letters, |found| match found.state {
            State::Open => found.letter.chain_seq.map(|_| Refusal::Parked),
            state => Some(refusal_of(state)),
        })
    }

    /// To take back that some were discarded, or a replay whose outcome nobody tells.
    #[must_use]
    pub fn restore(letters: impl IntoIterator<Item = &'a Found>) -> Self {
        Self::of(Action::Restore, letters, |found| match found.state {
            State::Discarded | State::Replaying { .. } => None,
            state => Some(refusal_of(state)),
        })
    }

    fn of(
        action: Action,
        letters: impl IntoIterator<Item = &'a Found>,
        refusal: impl Fn(&Found) -> Option<Refusal>,
    ) -> Self {
        let mut plan = Self { action, letters: Vec::new(), refused: BTreeMap::new() };
        for found in letters {
            match refusal(found) {
                Some(refusal) => *plan.refused.entry(refusal).or_default() += 1,
                None => plan.letters.push(found),
            }
        }
        plan
    }
}

/// Why a decision leaves out what is in a state.
pub(crate) fn refusal_of(state: State) -> Refusal {
    match state {
        State::Open => Refusal::Open,
        State::Replaying { .. } => Refusal::Replaying,
        State::Resolved { .. } => Refusal::Resolved,
        State::DeadAgain => Refusal::DeadAgain,
        State::Discarded => Refusal::Discarded,
    }
}

fn is_consumed(catalogue: &Catalogue, found: &Found) -> bool {
    let event = catalogue.event_of_topic(found.letter.topic.as_str());
    event.is_some_and(|event| {
        event.consumers.iter().any(|consumer| consumer.group == found.letter.group)
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::dead_letters::Letter;
    use crate::dead_letters::letter::tests::dead;

    #[test]
    fn each_decision_is_about_those_that_wait_for_it() {
        let states = [
            State::Open,
            State::Replaying { replay: Uuid::from_u128(1) },
            State::Resolved { at: Timestamp::UNIX_EPOCH },
            State::DeadAgain,
            State::Discarded,
        ];
        let letter = Letter::read(&dead(7, "no money", "2026-01-02T00:00:00Z")).unwrap();
        let mut all: Vec<Found> =
            states.map(|state| Found { letter: letter.clone(), state }).into();
        let parked = Letter { chain_seq: Some(1), ..letter };
        all.push(Found { letter: parked, state: State::Open });
        let chosen = |plan: &Plan<'_>| {
            plan.letters.iter().map(|found| found.state.as_str()).collect::<Vec<_>>()
        };
        let discarding = Plan::discard(&all);
        assert_eq!(chosen(&discarding), ["open"]);
        assert_eq!(discarding.refused[&Refusal::Parked], 1);
        assert_eq!(discarding.refused.len(), 5);
        let restoring = Plan::restore(&all);
        assert_eq!(chosen(&restoring), ["replaying", "discarded"]);
        assert_eq!(restoring.refused[&Refusal::Open], 2);
    }
}
