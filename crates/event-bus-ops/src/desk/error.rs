//! What could not be done, in words for who asked.

use event_bus::control::AskError;
use event_bus::control::outbox::AskOutboxError;
use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::EditError;
use event_bus::kafka::admin::AdminError;
use event_bus::reset::ResetError;
use event_bus::store::StoreError;
use uuid::Uuid;

use crate::access::policy::Denied;
use crate::access::trail::Unwritten;

/// What could not be done.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// What is asked for can't be meant.
    #[error("{0}")]
    Unclear(String),
    /// Who asks may not.
    #[error(transparent)]
    NotAllowed(Denied),
    /// No dead letter has this id, or none in scope.
    #[error("no dead letter has the id {0}; one that died just now may not be in the index yet")]
    NoLetter(Uuid),
    /// No replay has this id, or none in scope.
    #[error("no replay has the id {0}")]
    NoReplay(Uuid),
    /// No failure has this fingerprint, or none in scope.
    #[error("no dead letter has the fingerprint {0}")]
    NoFailure(String),
    /// No note has this id, or none in scope.
    #[error("no note has the id {0}")]
    NoNote(Uuid),
    /// The catalogue has no such group, or none in scope.
    #[error("the catalogue has no consumer group {0}")]
    NoGroup(String),
    /// The catalogue has no such service, or none in scope.
    #[error("the catalogue has no service {0}")]
    NoService(String),
    /// The catalogue has no such event.
    #[error("the catalogue has no event {0}")]
    NoEvent(String),
    /// There is no such user.
    #[error("there is no user {0}")]
    NoUser(String),
    /// It is not as it was when it was asked for.
    #[error("{0}")]
    Conflict(String),
    /// No request has this id, or none in scope.
    #[error("no request has the id {0}")]
    NoRequest(Uuid),
    /// As many ask for it at once as may.
    #[error("as many are reading the topics as may at once: ask again in {seconds} seconds")]
    Busy {
        /// When to ask again.
        seconds: u64,
    },
    /// Kafka or the ops store did not do its part.
    #[error("{0}")]
    Failed(String),
}

impl DeskError {
    /// What is behind the error goes with it.
    pub(crate) fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Failed(error_chain(error))
    }
}

impl From<StoreError> for DeskError {
    fn from(error: StoreError) -> Self {
        Self::Failed(format!("the ops store did not answer: {}", error_chain(&error)))
    }
}

impl From<Unwritten> for DeskError {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::LongReason { .. } => Self::Unclear(unwritten.to_string()),
            Unwritten::Store(_) => Self::failed(&unwritten),
        }
    }
}

impl From<Denied> for DeskError {
    fn from(denied: Denied) -> Self {
        Self::NotAllowed(denied)
    }
}

impl From<AdminError> for DeskError {
    fn from(error: AdminError) -> Self {
        Self::failed(&error)
    }
}

impl From<AskError> for DeskError {
    fn from(error: AskError) -> Self {
        let told = error_chain(&error);
        match error {
            AskError::NoAnswer { .. } | AskError::Refused { .. } | AskError::Stays { .. } => {
                Self::Conflict(told)
            }
            AskError::Read(_) | AskError::Send(_) | AskError::Admin(_) => Self::Failed(told),
        }
    }
}

impl From<AskOutboxError> for DeskError {
    fn from(error: AskOutboxError) -> Self {
        let told = error_chain(&error);
        match error {
            AskOutboxError::NoRelay { .. }
            | AskOutboxError::Silent { .. }
            | AskOutboxError::Refused { .. } => Self::Conflict(told),
            AskOutboxError::Read(_) | AskOutboxError::Send(_) | AskOutboxError::Slow => {
                Self::Failed(told)
            }
        }
    }
}

impl From<ResetError> for DeskError {
    fn from(error: ResetError) -> Self {
        let told = error_chain(&error);
        match error {
            ResetError::HasMembers { group, members } => Self::Conflict(format!(
                "{group} has {members} in it, who would commit over a reset: stop its service, or have it leave the group for \
                 the reset"
            )),
            ResetError::Changed { .. } => Self::Conflict(told),
            ResetError::OtherTopic { .. }
            | ResetError::UnknownGroup { .. }
            | ResetError::UnknownPartition { .. }
            | ResetError::NothingToReset { .. } => Self::Unclear(told),
            ResetError::Admin(_) | ResetError::NotWritten(_) => Self::Failed(told),
        }
    }
}

impl From<EditError> for DeskError {
    fn from(error: EditError) -> Self {
        let told = error_chain(&error);
        match error {
            EditError::Read(_) | EditError::NotWritten(_) | EditError::NotSent(_) => {
                Self::Failed(told)
            }
            EditError::NotOpen(_)
            | EditError::Gone
            | EditError::Unchanged
            | EditError::Another { .. }
            | EditError::Doomed(_) => Self::Unclear(told),
        }
    }
}
