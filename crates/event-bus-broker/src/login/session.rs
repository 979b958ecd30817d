//! What a connection knows of who is at its other end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::scram::{Challenge, Mechanism, ScramError};
use super::users::Users;
use crate::access::ANONYMOUS;

/// Who is at the other end.
#[derive(Debug)]
pub(crate) struct Session {
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Somebody is, or need not tell.
    Known(String),
    /// Nothing was said yet.
    Unknown,
    /// A mechanism was chosen.
    Chosen(Mechanism),
    /// The password is to be proved.
    Challenged(Box<Challenge>),
    /// It was not proved: the connection ends.
    Failed,
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Step {
    /// This is to be answered.
    Answer(Vec<u8>),
    /// It comes at the wrong time.
    Untimely,
    /// The client is not who it says.
    Failed(ScramError),
}

impl Session {
    /// Of somebody who need not tell.
    pub fn anonymous() -> Self {
        Self::known(ANONYMOUS.to_owned())
    }

    /// Of this principal.
    pub fn known(principal: String) -> Self {
        Self { state: Mutex::new(State::Known(principal)) }
    }

    /// Of somebody who has to tell.
    pub fn unknown() -> Self {
        Self { state: Mutex::new(State::Unknown) }
    }

    /// Who it is, if that is known.
    pub fn principal(&self) -> Option<String> {
        match &*self.lock() {
            State::Known(principal) => Some(principal.clone()),
            State::Unknown | State::Chosen(_) | State::Challenged(_) | State::Failed => None,
        }
    }

    /// Whether the log-in has failed.
    pub fn has_failed(&self) -> bool {
        matches!(*self.lock(), State::Failed)
    }

    /// Begins a log-in; `false` where it is not the time for one.
    pub fn choose(&self, mechanism: Mechanism) -> bool {
        let mut state = self.lock();
        let is_time = matches!(*state, State::Unknown);
        *state = if is_time { State::Chosen(mechanism) } else { State::Failed };
        is_time
    }

    /// Lets nobody in any more.
    pub fn fail(&self) {
        *self.lock() = State::Failed;
    }

    /// Goes on with a log-in.
    pub fn go_on(&self, users: &Users, message: &[u8]) -> Step {
        let mut state = self.lock();
        // Failed unless it goes well.
        let stepped = match std::mem::replace(&mut *state, State::Failed) {
            State::Chosen(mechanism) => Challenge::begin(mechanism, users, message)
                .map(|(challenge, answer)| (State::Challenged(Box::new(challenge)), answer)),
            State::Challenged(challenge) => challenge
                .finish(message)
                .map(|(user, answer)| (State::Known(format!("User:{user}")), answer)),
            State::Known(_) | State::Unknown | State::Failed => return Step::Untimely,
        };
        match stepped {
            Ok((next, answer)) => {
                *state = next;
                Step::Answer(answer)
            }
            Err(error) => Step::Failed(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
