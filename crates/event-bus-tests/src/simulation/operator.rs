//! What happens around the service: events are published, dead letters leave, operators replay them.

use super::database::Chain;
use super::event::{KEYS, Nature, key};
use super::plan::PlannedEvent;
use super::world::{Millis, Published, Step, World};

/// How often the relay looks.
const RELAY: Millis = 200;
/// How often an operator looks.
const REPLAY: Millis = 3_000;

impl World {
    /// An event is published.
    pub(super) fn publish(&mut self, index: usize) {
        let planned = self.plan.events[index];
        self.publish_one(planned);
    }

    fn publish_one(&mut self, planned: PlannedEvent) {
        let partition = i32::try_from(planned.key % self.plan.partitions).unwrap_or(0);
        let key = key(planned.key);
        let event = self.log.append(self.published.len(), partition, key.clone(), planned.nature);
        self.tell(|| format!("{} is published", event.name()));
        self.published.push(Published {
            key,
            partition,
            nature: planned.nature,
            at: self.now,
            deaths: 0,
            took_effect: None,
        });
        self.call_all();
    }

    /// The last events: one more in each partition, so that offsets which were reset are committed again.
    pub(super) fn finish(&mut self) {
        self.is_finishing = true;
        for key in 0..self.plan.partitions.min(KEYS.len()) {
            self.publish_one(PlannedEvent { at: self.now, key, nature: Nature::Good });
        }
    }

    /// Dead letters leave.
    pub(super) fn relay(&mut self) {
        self.after(RELAY, Step::Relay);
        if self.database.is_down || self.database.outbox.is_empty() {
            return;
        }
        if self.letters_fail {
            self.coverage.note("dead letters waited");
            return;
        }
        while let Some(letter) = self.database.outbox.pop_front() {
            self.tell(|| format!("dead letter: {} {}", letter.event.name(), letter.reason));
            self.letters.push(letter);
        }
    }

    /// An operator replays the next dead letter of each parked key. Sometimes twice, and sometimes a wrong one.
    pub(super) fn replay(&mut self) {
        self.after(REPLAY, Step::Replay);
        for partition in 0..self.log.partitions() {
            let parked: Vec<_> = self.database.parked(partition).collect();
            for (key, chain) in parked {
                let times = if self.random.percent(10) { 2 } else { 1 };
                for _ in 0..times {
                    let seq = self.seq_to_replay(chain);
                    let letter = self.letters.iter().find(|letter| {
                        letter.chain_seq == Some(seq)
                            && letter.event.partition == partition
                            && letter.event.key == key
                            && self.database.row(letter.event.number)
                                == Some(super::database::Row::Dead)
                    });
                    if let Some(event) = letter.map(|letter| letter.event.clone()) {
                        let replay = self.log.append_replay(&event, seq);
                        self.tell(|| format!("{} is published", replay.name()));
                    }
                }
            }
        }
        self.call_all();
    }

    fn seq_to_replay(&mut self, chain: Chain) -> u64 {
        let next = chain.applied + 1;
        if chain.tail > next && self.random.percent(25) {
            self.coverage.note("replayed out of order");
            return self.random.of(next + 1..chain.tail + 1);
        }
        next
    }
}
