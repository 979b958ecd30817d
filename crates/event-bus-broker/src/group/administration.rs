//! What administrators see and do: listing, describing and deleting groups.

use kafka_protocol::ResponseError;

use super::ledger::Entry;
use super::state::{Description, Group};
use super::{Groups, State};

impl Groups {
    /// All groups, in the order of their ids, without their members.
    ///
    /// # Errors
    /// When the broker stops.
    pub fn list(&self) -> Result<Vec<Description>, ResponseError> {
        let state = self.shared.lock();
        if state.is_stopped {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        Ok(state.groups.values().map(Group::summary).collect())
    }

    /// A group; none if there is none of this id.
    ///
    /// # Errors
    /// When the broker stops.
    pub fn describe(&self, id: &str) -> Result<Option<Description>, ResponseError> {
        let state = self.shared.lock();
        if state.is_stopped {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        Ok(state.groups.get(id).map(Group::describe))
    }

    /// Deletes a group without members, and its offsets.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND`, `NON_EMPTY_GROUP`, or `COORDINATOR_NOT_AVAILABLE` when it could not be made durable: the
    /// group is still there then.
    pub async fn delete(&self, id: &str) -> Result<(), ResponseError> {
        let applied = {
            let mut state = self.shared.lock();
            if state.is_stopped {
                return Err(ResponseError::CoordinatorNotAvailable);
            }
            state.groups.get(id).ok_or(ResponseError::GroupIdNotFound)?.check_delete()?;
            let entry = Entry::GroupDeleted { group: id.to_owned() };
            let applied = self.shared.write(&mut state, entry)?;
            state.groups.remove(id);
            applied
        };
        let outcome = applied.await;
        if outcome.is_err() {
            let now_ms = self.shared.clock.now_ms();
            self.shared.lock().bring_back(id, now_ms);
        }
        outcome
    }

    /// Removes the offsets of topics that were deleted: one that is made again under the same name begins anew.
    ///
    /// # Errors
    /// `COORDINATOR_NOT_AVAILABLE` when it could not be made durable.
    pub async fn forget_topics(&self, topics: Vec<String>) -> Result<(), ResponseError> {
        let applied = {
            let mut state = self.shared.lock();
            self.shared.write(&mut state, Entry::TopicsRemoved { topics })?
        };
        applied.await
    }
}

impl State {
    /// A group whose deletion failed, as the ledger knows it.
    fn bring_back(&mut self, id: &str, now_ms: i64) {
        let record = self.ledger.records().find(|record| record.group == id).cloned();
        self.groups.entry(id.to_owned()).or_insert_with(|| match record {
            Some(record) => Group::restored(record, now_ms),
            None => Group::new(id, now_ms),
        });
    }
}
