//! What the coordinator's journal holds.

use serde::{Deserialize, Serialize};

use super::state::Transaction;

/// One entry; the last one about a thing counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "entry")]
pub(super) enum Entry {
    /// Producer ids below this may have been given out, and never are again.
    ProducerIds { below: i64 },
    /// The state of a transactional id.
    Transaction { id: String, state: Box<Transaction> },
    /// The transactional id was unused for so long that it is forgotten.
    Forgotten { id: String },
}

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers, texts and maps with text keys are valid JSON")
    }
}
