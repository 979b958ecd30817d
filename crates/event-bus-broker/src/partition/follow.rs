//! Who waits for a partition to have more to show.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Partition;

/// Those who wait for changes of a partition.
#[derive(Debug, Default)]
pub(crate) struct Following {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next_id: u64,
    by_id: HashMap<u64, Arc<Notify>>,
}

/// A place among those who wait, given up when dropped.
#[derive(Debug)]
pub(crate) struct Follower {
    partition: Arc<Partition>,
    id: u64,
}

impl Following {
    /// Tells everybody that there is more to see.
    pub fn wake(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for notify in waiting.by_id.values() {
            // A permit is stored when nobody awaits it at the moment, so that a change between looking and waiting
            // isn't missed.
            notify.notify_one();
        }
    }
}

impl Partition {
    /// From now on, until the follower is dropped, `notify` is told of each change.
    pub fn follow(self: &Arc<Self>, notify: Arc<Notify>) -> Follower {
        let mut waiting = self.following.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let id = waiting.next_id;
        waiting.next_id += 1;
        waiting.by_id.insert(id, notify);
        Follower { partition: self.clone(), id }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let following = &self.partition.following.waiting;
        following.lock().unwrap_or_else(PoisonError::into_inner).by_id.remove(&self.id);
    }
}
