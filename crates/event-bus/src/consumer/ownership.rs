//! Who owns a partition, by the service's database. Pure: the time is an argument.
//!
//! Kafka tells a consumer that it lost a partition, but not before the next owner has it. So an owner takes a token in the
//! database as well, and a transaction under an older token is not committed.

use std::time::{Duration, Instant};

/// The first and the longest wait before a token is taken again that somebody else has taken.
const WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How far a session is with owning an assigned partition.
#[derive(Debug)]
pub struct Ownership {
    state: State,
    wait: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Wanted(Instant),
    Asked,
    Held(i64),
}

impl Ownership {
    /// Not owned yet, and to be taken now.
    #[must_use]
    pub fn wanted(now: Instant) -> Self {
        Self { state: State::Wanted(now), wait: WAITS.0 }
    }

    /// The token, once it is owned.
    #[must_use]
    pub fn token(&self) -> Option<i64> {
        match self.state {
            State::Held(token) => Some(token),
            State::Wanted(_) | State::Asked => None,
        }
    }

    /// When it is to be taken.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Wanted(at) => Some(at),
            State::Asked | State::Held(_) => None,
        }
    }

    /// The database was asked for it.
    pub fn asked(&mut self) {
        self.state = State::Asked;
    }

    /// The database gave it.
    pub fn given(&mut self, token: i64) {
        self.state = State::Held(token);
    }

    /// The database did not answer.
    pub fn refused(&mut self, now: Instant) {
        self.state = State::Wanted(now);
    }

    /// Something was committed under the token.
    pub fn proven(&mut self) {
        self.wait = WAITS.0;
    }

    /// Somebody else took it. Where two think that they own it, the waits keep them from taking turns all the time.
    pub fn fenced(&mut self, now: Instant) {
        self.state = State::Wanted(now + self.wait);
        self.wait = (self.wait * 2).min(WAITS.1);
    }
}
