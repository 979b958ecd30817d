//! What could not be done, in words for who asked.

use event_bus::dead_letter::error_chain;
use event_bus::dead_letters::EditError;
use event_bus::store::StoreError;
use uuid::Uuid;

use crate::access::policy::Denied;

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
    /// No request has this id, or none in scope.
    #[error("no request has the id {0}")]
    NoRequest(Uuid),
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

impl From<Denied> for DeskError {
    fn from(denied: Denied) -> Self {
        Self::NotAllowed(denied)
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
