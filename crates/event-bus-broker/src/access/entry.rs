//! What the journal of access control lists says, and what follows from it.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Binding;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    Added(Vec<Binding>),
    Removed(Vec<Binding>),
}

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings can be written as JSON")
    }
}

/// Why the journal makes no sense.
#[derive(Debug, thiserror::Error)]
#[error(
    "entry {number} of the journal of access control lists can't be understood: use the version of the broker that wrote it"
)]
pub struct ReplayError {
    /// Counted from 0.
    number: usize,
    /// What is wrong with it.
    source: serde_json::Error,
}

/// What is left after all entries.
///
/// # Errors
/// When one can't be understood: without it somebody might do what was denied.
pub(super) fn replay(entries: &[Bytes]) -> Result<BTreeSet<Binding>, ReplayError> {
    let mut bindings = BTreeSet::new();
    for (number, bytes) in entries.iter().enumerate() {
        let entry =
            serde_json::from_slice(bytes).map_err(|source| ReplayError { number, source })?;
        match entry {
            Entry::Added(added) => bindings.extend(added),
            Entry::Removed(removed) => bindings.retain(|binding| !removed.contains(binding)),
        }
    }
    Ok(bindings)
}
