//! The service's database: transactions, the inbox, effects, dead letters, owners.

use std::collections::{BTreeMap, HashMap, VecDeque};

use event_bus::consumer::core::{CutOff, Death, Holding, Trouble};
use event_bus::consumer::lane::LaneKey;
use event_bus::dead_letter::Reason;
use event_bus::rerun::Past;

use super::event::{EventNumber, SimEvent};

/// A transaction.
pub type TxId = u64;

/// A row of the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// It took effect.
    Done,
    /// It is a dead letter.
    Dead,
}

/// A dead letter.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The event.
    pub event: SimEvent,
    /// Why it is dead.
    pub reason: Reason,
    /// How many attempts were made.
    pub attempts: u32,
    /// Its place in the chain of its parked key.
    pub chain_seq: Option<u64>,
}

/// Why a statement did not do what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another transaction is in the way: ask again.
    Wait,
    /// It failed.
    Trouble(Trouble),
    /// The transaction is gone.
    Gone,
}

/// What a claim found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The handler may run.
    Fresh,
    /// Nothing is to be done.
    Seen,
}

/// A parked key: how many letters it has, and how many were replayed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain {
    /// The last letter's number.
    pub tail: u64,
    /// The last replayed letter's number.
    pub applied: u64,
}

#[derive(Clone, Debug)]
enum Write {
    Claim(EventNumber, Row),
    Effect(SimEvent),
    Letter(Letter),
    Chain(i32, LaneKey, Option<Chain>),
    Unnote(i32, i64),
}

#[derive(Debug)]
struct Tx {
    partition: i32,
    token: Option<i64>,
    writes: Vec<Write>,
    mark: usize,
    /// An error that somebody hid.
    is_spoilt: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Owner {
    token: i64,
    is_dirty: bool,
    /// How many takeovers wait for the transactions of the partition: none begins before them.
    waiting: u32,
}

/// The database.
#[derive(Debug, Default)]
pub struct Database {
    /// Whether it answers.
    pub is_down: bool,
    rows: HashMap<EventNumber, Row>,
    claims: HashMap<EventNumber, TxId>,
    txs: BTreeMap<TxId, Tx>,
    last_tx: TxId,
    owners: BTreeMap<i32, Owner>,
    notes: BTreeMap<(i32, i64), u32>,
    chains: BTreeMap<(i32, LaneKey), Chain>,
    /// Dead letters on their way to their topic.
    pub outbox: VecDeque<Letter>,
    /// In the order of their commits.
    pub effects: Vec<SimEvent>,
}

type Answer<T> = Result<T, Refusal>;

impl Database {
    fn tx(&mut self, id: TxId) -> Answer<&mut Tx> {
        if self.is_down {
            return Err(Refusal::Trouble(Trouble::Down));
        }
        self.txs.get_mut(&id).ok_or(Refusal::Gone)
    }

    /// Begins a transaction on a partition's events.
    pub fn begin(&mut self, partition: i32) -> Answer<TxId> {
        if self.is_down {
            return Err(Refusal::Trouble(Trouble::Down));
        }
        self.last_tx += 1;
        let tx = Tx { partition, token: None, writes: Vec::new(), mark: 0, is_spoilt: false };
        self.txs.insert(self.last_tx, tx);
        Ok(self.last_tx)
    }

    /// Shares the partition's lock and compares the token.
    pub fn fence(&mut self, id: TxId, token: i64) -> Answer<()> {
        let partition = self.tx(id)?.partition;
        let owner = self.owners.entry(partition).or_default();
        if owner.waiting > 0 {
            return Err(Refusal::Wait);
        }
        if owner.token != token {
            return Err(Refusal::Trouble(Trouble::Fenced));
        }
        self.tx(id)?.token = Some(token);
        Ok(())
    }

    /// Claims an event: waits while another transaction holds it.
    pub fn claim(&mut self, id: TxId, event: &SimEvent) -> Answer<Claimed> {
        self.lock(id, event)?;
        let known = self.seen_by(id, event.number);
        let claimed = match (known, event.chain_seq) {
            (None, _) | (Some(Row::Dead), Some(_)) => Claimed::Fresh,
            (Some(_), _) => Claimed::Seen,
        };
        if claimed == Claimed::Fresh {
            self.tx(id)?.writes.push(Write::Claim(event.number, Row::Done));
        }
        Ok(claimed)
    }

    fn lock(&mut self, id: TxId, event: &SimEvent) -> Answer<()> {
        self.tx(id)?;
        match self.claims.get(&event.number) {
            Some(holder) if *holder != id => return Err(Refusal::Wait),
            _ => self.claims.insert(event.number, id),
        };
        Ok(())
    }

    /// The row that a transaction sees: its own or a committed one.
    fn seen_by(&self, id: TxId, number: EventNumber) -> Option<Row> {
        let own = self.txs.get(&id).and_then(|tx| {
            tx.writes.iter().rev().find_map(|write| match write {
                Write::Claim(claimed, row) if *claimed == number => Some(*row),
                _ => None,
            })
        });
        own.or_else(|| self.rows.get(&number).copied())
    }

    fn chain_seen_by(&self, id: TxId, partition: i32, key: &LaneKey) -> Option<Chain> {
        let own = self.txs.get(&id).and_then(|tx| {
            tx.writes.iter().rev().find_map(|write| match write {
                Write::Chain(of, name, chain) if (*of, name) == (partition, key) => Some(*chain),
                _ => None,
            })
        });
        own.unwrap_or_else(|| self.chains.get(&(partition, key.clone())).copied())
    }

    /// Whether a replay is the next one of its parked key. One that isn't does nothing.
    pub fn is_in_turn(&self, id: TxId, event: &SimEvent) -> bool {
        let chain = self.chain_seen_by(id, event.partition, &event.key);
        match (chain, event.chain_seq) {
            (Some(chain), Some(seq)) => chain.applied + 1 == seq,
            (None, Some(_)) => false,
            (_, None) => true,
        }
    }

    /// Nothing is left to do about an event whose attempt was noted.
    pub fn forget_note(&mut self, id: TxId, event: &SimEvent) -> Answer<()> {
        self.tx(id)?.writes.push(Write::Unnote(event.partition, event.offset));
        Ok(())
    }

    /// Whether an event's key is parked.
    #[must_use]
    pub fn is_parked(&self, id: TxId, event: &SimEvent) -> bool {
        self.chain_seen_by(id, event.partition, &event.key).is_some()
    }

    /// Writes an event's effect; says whether its parked key is released by it.
    pub fn take_effect(&mut self, id: TxId, event: &SimEvent) -> Answer<bool> {
        let chain = self.chain_seen_by(id, event.partition, &event.key);
        let tx = self.tx(id)?;
        tx.writes.push(Write::Effect(event.clone()));
        tx.writes.push(Write::Unnote(event.partition, event.offset));
        let (Some(seq), Some(chain)) = (event.chain_seq, chain) else { return Ok(false) };
        let left = (seq < chain.tail).then_some(Chain { applied: seq, ..chain });
        tx.writes.push(Write::Chain(event.partition, event.key.clone(), left));
        Ok(left.is_none())
    }

    /// Writes a dead letter, unless the event has a row.
    pub fn bury(&mut self, id: TxId, event: &SimEvent, death: &Death, parks: bool) -> Answer<()> {
        self.lock(id, event)?;
        let known = self.seen_by(id, event.number);
        let chain = self.chain_seen_by(id, event.partition, &event.key);
        let tx = self.tx(id)?;
        tx.writes.push(Write::Unnote(event.partition, event.offset));
        if known.is_some() {
            return Ok(());
        }
        let tail = chain.unwrap_or_default().tail + 1;
        tx.writes.push(Write::Claim(event.number, Row::Dead));
        let chain_seq = parks.then_some(tail);
        tx.writes.push(Write::Letter(Letter {
            event: event.clone(),
            reason: death.cause.reason,
            attempts: death.attempts,
            chain_seq,
        }));
        if parks {
            let chain = Chain { tail, ..chain.unwrap_or_default() };
            tx.writes.push(Write::Chain(event.partition, event.key.clone(), Some(chain)));
        }
        Ok(())
    }

    /// A handler hides an error: the commit will fail.
    pub fn spoil(&mut self, id: TxId) -> Answer<()> {
        self.tx(id)?.is_spoilt = true;
        Ok(())
    }

    /// A savepoint.
    pub fn mark(&mut self, id: TxId) -> Answer<()> {
        let tx = self.tx(id)?;
        tx.mark = tx.writes.len();
        Ok(())
    }

    /// Takes back what was written since the savepoint.
    pub fn undo(&mut self, id: TxId) -> Answer<()> {
        let tx = self.tx(id)?;
        tx.writes.truncate(tx.mark);
        tx.is_spoilt = false;
        Ok(())
    }

    /// Whether the transaction can't be committed.
    #[must_use]
    pub fn is_spoilt(&self, id: TxId) -> bool {
        self.txs.get(&id).is_some_and(|tx| tx.is_spoilt)
    }

    /// Commits. Gives the effects, in their order.
    pub fn commit(&mut self, id: TxId) -> Answer<Vec<SimEvent>> {
        self.tx(id)?;
        let Some(tx) = self.txs.remove(&id) else { return Err(Refusal::Gone) };
        self.claims.retain(|_, holder| *holder != id);
        let mut effects = Vec::new();
        for write in tx.writes {
            match write {
                Write::Claim(number, row) => drop(self.rows.insert(number, row)),
                Write::Effect(event) => effects.push(event),
                Write::Letter(letter) => self.outbox.push_back(letter),
                Write::Chain(partition, key, Some(chain)) => {
                    self.chains.insert((partition, key), chain);
                }
                Write::Chain(partition, key, None) => drop(self.chains.remove(&(partition, key))),
                Write::Unnote(partition, offset) => drop(self.notes.remove(&(partition, offset))),
            }
        }
        self.effects.extend(effects.iter().cloned());
        Ok(effects)
    }

    /// Whether the transaction's token is still the partition's.
    #[must_use]
    pub fn is_under_its_token(&self, id: TxId) -> bool {
        let Some(tx) = self.txs.get(&id) else { return true };
        self.owners.get(&tx.partition).is_none_or(|owner| Some(owner.token) == tx.token)
    }

    /// Takes a transaction back.
    pub fn roll_back(&mut self, id: TxId) {
        self.txs.remove(&id);
        self.claims.retain(|_, holder| *holder != id);
    }

    /// The database stops, and all that was not committed is gone.
    pub fn go_down(&mut self) {
        self.is_down = true;
        self.txs.clear();
        self.claims.clear();
        for owner in self.owners.values_mut() {
            owner.waiting = 0;
        }
    }

    /// Notes an attempt before it begins.
    pub fn note(&mut self, event: &SimEvent, attempts: u32) -> Answer<()> {
        if self.is_down {
            return Err(Refusal::Trouble(Trouble::Down));
        }
        self.notes.insert((event.partition, event.offset), attempts);
        Ok(())
    }

    /// Takes back an attempt that was noted and cut off, unless somebody else has taken over.
    pub fn take_attempt_back(&mut self, cut_off: CutOff) -> bool {
        let CutOff { partition, token, offset, attempts } = cut_off;
        let is_owner = self.owners.get(&partition).is_some_and(|owner| owner.token == token);
        if is_owner && !self.is_down {
            self.notes.remove(&(partition, offset));
            self.notes.extend(attempts.map(|attempts| ((partition, offset), attempts)));
        }
        is_owner && !self.is_down
    }

    /// Takes a partition over, once no transaction of it is open. `waits` says that this takeover waited already.
    pub fn take_over(&mut self, partition: i32, committed: i64, waits: bool) -> Answer<Holding> {
        if self.is_down {
            return Err(Refusal::Trouble(Trouble::Down));
        }
        let is_busy = self.txs.values().any(|tx| tx.partition == partition && tx.token.is_some());
        let owner = self.owners.entry(partition).or_default();
        if is_busy {
            owner.waiting += u32::from(!waits);
            return Err(Refusal::Wait);
        }
        owner.waiting = owner.waiting.saturating_sub(u32::from(waits));
        owner.token += 1;
        let (token, is_dirty) = (owner.token, owner.is_dirty);
        owner.is_dirty = true;
        self.notes.retain(|(of, offset), _| *of != partition || *offset >= committed);
        let noted = self.notes.iter().filter(|((of, _), _)| *of == partition);
        let attempts = noted.map(|((_, offset), attempts)| (*offset, *attempts)).collect();
        let parked = self.parked(partition).map(|(key, _)| key).collect();
        Ok(Holding { token, is_dirty, attempts, parked, past: Past::default() })
    }

    /// A takeover that waited was given up.
    pub fn stop_waiting(&mut self, partition: i32) {
        if let Some(owner) = self.owners.get_mut(&partition) {
            owner.waiting = owner.waiting.saturating_sub(1);
        }
    }

    /// An owner lets go in good order.
    pub fn release(&mut self, partition: i32, token: i64) {
        if let Some(owner) = self.owners.get_mut(&partition)
            && owner.token == token
            && !self.is_down
        {
            owner.is_dirty = false;
        }
    }

    /// The partition's parked keys.
    pub fn parked(&self, partition: i32) -> impl Iterator<Item = (LaneKey, Chain)> {
        let of = self.chains.iter().filter(move |((of, _), _)| *of == partition);
        of.map(|((_, key), chain)| (key.clone(), *chain))
    }

    /// An event's committed row.
    #[must_use]
    pub fn row(&self, number: EventNumber) -> Option<Row> {
        self.rows.get(&number).copied()
    }
}
