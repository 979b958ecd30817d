//! How dead letters stand: what follows from decisions and outcomes. Pure.

use std::collections::HashMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::audit::{Action, Deed};
use crate::replay::{Outcome, OutcomeReport};

/// How a dead letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum State {
    /// Somebody has to decide.
    Open,
    /// It is replayed, and its group has not told the outcome.
    Replaying {
        /// The replay.
        replay: Uuid,
    },
    /// Its replay took effect, or the event had its effect already.
    Resolved {
        /// When.
        at: Timestamp,
    },
    /// Its replay died: another dead letter says why.
    DeadAgain,
    /// Somebody decided that nothing is to be done.
    Discarded,
}

impl State {
    /// The names of all states.
    pub const NAMES: [&str; 5] = ["open", "replaying", "resolved", "dead-again", "discarded"];

    /// Its name, as filters say it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        let [open, replaying, resolved, dead_again, discarded] = Self::NAMES;
        match self {
            Self::Open => open,
            Self::Replaying { .. } => replaying,
            Self::Resolved { .. } => resolved,
            Self::DeadAgain => dead_again,
            Self::Discarded => discarded,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// All that was decided and told.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    /// The last decision of each dead letter. They stand in one partition, so they have an order.
    decided: HashMap<Uuid, (Action, Uuid)>,
    /// What became of a dead letter, whichever replay it was: it is claimed once.
    ended: HashMap<Uuid, (Outcome, Timestamp)>,
    /// The replays of which it was told that there was nothing to do, or that it was not their turn.
    idle: HashMap<(Uuid, Uuid), (Outcome, Timestamp)>,
}

impl Histories {
    /// Takes in the next decision.
    pub(super) fn decide(&mut self, deed: Deed) {
        for letter in deed.letters {
            self.decided_as(letter, deed.action, deed.id);
        }
    }

    /// Takes in the next decision about a dead letter.
    pub(crate) fn decided_as(&mut self, letter: Uuid, action: Action, deed: Uuid) {
        self.decided.insert(letter, (action, deed));
    }

    /// Takes in what became of a dead letter.
    pub(crate) fn ended_as(&mut self, letter: Uuid, outcome: Outcome, at: Timestamp) {
        self.ended.insert(letter, (outcome, at));
    }

    /// Takes in that a dead letter's replay had nothing to do, or that it was not its turn.
    pub(crate) fn idled_as(&mut self, of: (Uuid, Uuid), outcome: Outcome, at: Timestamp) {
        match outcome {
            Outcome::OutOfTurn => {
                self.idle.entry(of).or_insert((outcome, at));
            }
            Outcome::Processed | Outcome::Duplicate | Outcome::DeadAgain => {
                self.idle.insert(of, (outcome, at));
            }
        }
    }

    /// Takes in what was told, in any order. A replay may be produced twice, and is then told of twice.
    pub(super) fn tell(&mut self, told: &OutcomeReport) {
        match told.outcome {
            Outcome::Processed | Outcome::DeadAgain => {
                self.ended_as(told.dlq_id, told.outcome, told.at);
            }
            Outcome::Duplicate | Outcome::OutOfTurn => {
                self.idled_as((told.dlq_id, told.replay_id), told.outcome, told.at);
            }
        }
    }

    /// What became of it counts, also where somebody decided something else meanwhile; and where nothing is known of
    /// that, the last decision.
    pub(crate) fn state_of(&self, letter: Uuid) -> State {
        match (self.ended.get(&letter), self.decided.get(&letter)) {
            (Some((Outcome::DeadAgain, _)), _) => State::DeadAgain,
            (Some((_, at)), _) => State::Resolved { at: *at },
            (None, Some((Action::Discard, _))) => State::Discarded,
            (None, Some((Action::Replay, replay))) => match self.idle.get(&(letter, *replay)) {
                None => State::Replaying { replay: *replay },
                Some((Outcome::OutOfTurn, _)) => State::Open,
                Some((_, at)) => State::Resolved { at: *at },
            },
            (None, _) => State::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: Uuid = Uuid::from_u128(7);

    fn deed(id: u128, action: Action) -> Deed {
        Deed {
            id: Uuid::from_u128(id),
            action,
            letters: vec![LETTER],
            moves: Vec::new(),
            redriven: Vec::new(),
            failure: None,
            by: "ops".to_owned(),
            reason: None,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn told(replay: u128, outcome: Outcome) -> OutcomeReport {
        OutcomeReport {
            replay_id: Uuid::from_u128(replay),
            dlq_id: LETTER,
            group: "shop-payment-order-placed".parse().unwrap(),
            service: "payment".parse().unwrap(),
            event_id: "0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10".parse().unwrap(),
            outcome,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_last_decision_counts_until_it_is_told_what_became_of_it() {
        let mut histories = Histories::default();
        let state = |histories: &Histories| histories.state_of(LETTER).as_str();
        assert_eq!(state(&histories), "open");
        histories.decide(deed(1, Action::Discard));
        assert_eq!(state(&histories), "discarded");
        histories.decide(deed(2, Action::Restore));
        assert_eq!(state(&histories), "open");
        histories.decide(deed(3, Action::Replay));
        assert_eq!(state(&histories), "replaying");
        histories.tell(&told(3, Outcome::OutOfTurn));
        assert_eq!(state(&histories), "open");
        // A fast service tells before the decision is read.
        histories.tell(&told(4, Outcome::Processed));
        histories.decide(deed(4, Action::Replay));
        assert_eq!(state(&histories), "resolved");
        histories.decide(deed(5, Action::Restore));
        assert_eq!(state(&histories), "resolved", "it took effect, whoever did not know that");
    }

    #[test]
    fn of_two_replays_at_once_the_one_counts_that_had_the_letter() {
        let outcome_of = |first: Outcome, second: Outcome| {
            let mut histories = Histories::default();
            histories.decide(deed(1, Action::Replay));
            histories.decide(deed(2, Action::Replay));
            histories.tell(&told(1, first));
            histories.tell(&told(2, second));
            histories.state_of(LETTER).as_str()
        };
        assert_eq!(outcome_of(Outcome::DeadAgain, Outcome::Duplicate), "dead-again");
        assert_eq!(outcome_of(Outcome::Duplicate, Outcome::DeadAgain), "dead-again");
        assert_eq!(outcome_of(Outcome::Processed, Outcome::Duplicate), "resolved");
        assert_eq!(outcome_of(Outcome::Duplicate, Outcome::Duplicate), "resolved");
    }

    #[test]
    fn a_replay_that_came_twice_is_told_of_twice() {
        for outcomes in
            [[Outcome::OutOfTurn, Outcome::Duplicate], [Outcome::Duplicate, Outcome::OutOfTurn]]
        {
            let mut histories = Histories::default();
            histories.decide(deed(1, Action::Replay));
            outcomes.iter().for_each(|outcome| histories.tell(&told(1, *outcome)));
            assert_eq!(histories.state_of(LETTER).as_str(), "resolved");
        }
    }
}
