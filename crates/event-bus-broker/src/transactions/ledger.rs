//! All transactional ids, as the journal has them.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::Entry;
use super::state::Transaction;

/// An id's lock: requests for one transactional id are worked on one after the other, in the order of their arrival.
pub(super) type Gate = Arc<tokio::sync::Mutex<()>>;

/// What is known of one transactional id.
#[derive(Debug, Default)]
struct Slot {
    gate: Gate,
    /// The durable state; `None` until the first one is.
    current: Option<Transaction>,
    /// A state that is in the journal's file, but not yet known to be durable.
    written: Option<Transaction>,
}

/// All transactional ids.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    slots: HashMap<String, Slot>,
    /// The journal says that producer ids below this are given out.
    pub producer_ids_below: i64,
}

impl Ledger {
    /// Learns from an entry of the journal.
    pub fn replay(&mut self, entry: Entry) {
        match entry {
            Entry::ProducerIds { below } => self.producer_ids_below = below,
            Entry::Transaction { id, state } => {
                self.slots.insert(id, Slot { current: Some(*state), ..Slot::default() });
            }
            Entry::Forgotten { id } => {
                self.slots.remove(&id);
            }
        }
    }

    /// The entries that tell everything, in the place of all that were pushed.
    pub fn entries(&self) -> Vec<Vec<u8>> {
        let ids = Entry::ProducerIds { below: self.producer_ids_below };
        let transactions = self.slots.iter().filter_map(|(id, slot)| {
            let state = slot.written.as_ref().or(slot.current.as_ref())?;
            Some(Entry::Transaction { id: id.clone(), state: Box::new(state.clone()) })
        });
        std::iter::once(ids).chain(transactions).map(|entry| entry.encode()).collect()
    }

    /// The lock of an id that exists.
    pub fn gate(&self, id: &str) -> Option<Gate> {
        self.slots.get(id).map(|slot| slot.gate.clone())
    }

    /// The lock of an id that is made when there is none.
    pub fn gate_or_new(&mut self, id: &str) -> Gate {
        self.slots.entry(id.to_owned()).or_default().gate.clone()
    }

    /// Whether the lock is still the id's: it is not when the id was forgotten meanwhile.
    pub fn is_gate_of(&self, id: &str, gate: &Gate) -> bool {
        self.slots.get(id).is_some_and(|slot| Arc::ptr_eq(&slot.gate, gate))
    }

    pub fn current(&self, id: &str) -> Option<&Transaction> {
        self.slots.get(id)?.current.as_ref()
    }

    /// All ids that have a state.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Transaction)> {
        self.slots.iter().filter_map(|(id, slot)| Some((id.as_str(), slot.current.as_ref()?)))
    }

    /// The state is in the journal's file.
    pub fn wrote(&mut self, id: &str, state: Transaction) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.written = Some(state);
        }
    }

    /// What was written last is durable, or taken back.
    pub fn settled(&mut self, id: &str, is_durable: bool) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        let written = slot.written.take();
        if is_durable {
            slot.current = written;
        }
    }

    pub fn forget(&mut self, id: &str) {
        self.slots.remove(id);
    }
}
