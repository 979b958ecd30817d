//! The promises, asked at each step and at the end.

use event_bus::consumer::core::Command;
use event_bus::dead_letter::Reason;

use super::database::{Letter, Row};
use super::event::{EventNumber, Nature, SimEvent};
use super::process::ProcessId;
use super::world::{Millis, World};

/// Everything is settled so long after nothing goes wrong any more, if all events are good.
const SETTLES_WITHIN: Millis = 60_000;
/// Each bad event adds what its attempts and the waits between them take, for a full window has them one by one.
const PER_BAD_EVENT: Millis = 65_000;
/// Each event of a parked key adds what its replay takes, with those that come to nothing.
const PER_PARKED_EVENT: Millis = 10_000;
/// So many steps suffice for a run.
pub const MAX_STEPS: u64 = 100_000;

impl World {
    /// When everything has to be settled.
    pub(super) fn deadline(&self) -> Millis {
        let bad =
            self.plan.events.iter().filter(|event| event.nature != Nature::Good).count() as u64;
        let parked = if self.plan.is_parking() { self.plan.events.len() as u64 } else { 0 };
        self.plan.heals_at + SETTLES_WITHIN + bad * PER_BAD_EVENT + parked * PER_PARKED_EVENT
    }

    /// No offset may be committed of a partition that was lost.
    pub(super) fn check_command(&mut self, id: ProcessId, command: &Command<SimEvent>) {
        let offsets = match command {
            Command::Commit(offsets) | Command::GiveBack(offsets) | Command::Close(offsets) => {
                offsets.clone()
            }
            _ => return,
        };
        let Some(process) = self.processes.get(&id) else { return };
        let lost = offsets.iter().find(|(partition, _)| process.lost.contains(partition)).copied();
        if let Some((partition, offset)) = lost {
            self.violate(|| format!("{id} commits {offset} of {partition}, which it has lost"));
        }
    }

    /// I1: an offset that is committed has only settled events before it.
    pub(super) fn check_commit(&mut self, partition: i32, offset: i64) {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let before = self.log.read(partition, 0, from);
        let open = before
            .iter()
            .find(|event| event.chain_seq.is_none() && self.database.row(event.number).is_none());
        if let Some(open) = open {
            let text =
                format!("I1: {offset} of {partition} is committed, and {} is open", open.name());
            self.violate(|| text);
        }
    }

    /// I2 and I4: an effect is the event's first, and behind those of its key.
    pub(super) fn check_effect(&mut self, id: ProcessId, event: &SimEvent) {
        self.tell(|| format!("{id} committed the effect of {}", event.name()));
        let now = self.now;
        if self.published[event.number].took_effect.replace(now).is_some() {
            self.violate(|| format!("I2: {} took effect twice", event.name()));
        }
        let last = self.last_effects.insert(event.key.clone(), event.number);
        if let Some(last) = last.filter(|last| *last > event.number) {
            self.violate(|| format!("I4: {} took effect behind e{last} of its key", event.name()));
        }
    }

    /// Whether nothing is left to do.
    pub(super) fn is_settled(&self) -> bool {
        let partitions = 0..self.log.partitions();
        self.database.outbox.is_empty()
            && partitions.clone().all(|p| self.log.committed(p) == Some(self.log.end(p)))
            && partitions.clone().all(|p| self.database.parked(p).next().is_none())
            && (0..self.published.len()).all(|number| self.database.row(number).is_some())
    }

    /// I7: after the heal, everything settles within a bounded time.
    pub(super) fn check_liveness(&mut self) {
        if self.is_finishing && self.is_settled() {
            return self.check_end();
        }
        let open: Vec<String> = (0..self.published.len())
            .filter(|number| self.database.row(*number).is_none())
            .map(|number| format!("e{number}"))
            .collect();
        let committed: Vec<_> =
            (0..self.log.partitions()).map(|p| (self.log.committed(p), self.log.end(p))).collect();
        let parked =
            (0..self.log.partitions()).map(|p| self.database.parked(p).count()).sum::<usize>();
        self.violate(|| {
            format!("liveness: open are {open:?}, committed of ends {committed:?}, {parked} keys are parked")
        });
    }

    /// I1, I5 and the bounds on attempts and deaths, once all is quiet.
    pub(super) fn check_end(&mut self) {
        for number in 0..self.published.len() {
            if self.violation.is_none() {
                self.check_event(number);
            }
        }
    }

    fn check_event(&mut self, number: EventNumber) {
        let published = self.published[number].clone();
        let letters: Vec<Letter> =
            self.letters.iter().filter(|letter| letter.event.number == number).cloned().collect();
        let name = format!("e{number} ({:?})", published.nature);
        let is_dead = self.database.row(number) == Some(Row::Dead);
        let row = self.database.row(number);
        match (row, published.took_effect) {
            (Some(Row::Done), Some(_)) | (Some(Row::Dead), None) => {}
            other => return self.violate(|| format!("I1: {name} has {other:?}")),
        }
        if letters.len() > 1 || (is_dead && letters.is_empty()) {
            return self.violate(|| format!("I5: {name} has {} dead letters", letters.len()));
        }
        let Some(letter) = letters.first() else {
            if published.nature.is_fatal() {
                self.violate(|| format!("I5: {name} has no dead letter"));
            }
            return;
        };
        if let Some(wrong) = self.what_is_wrong_with(letter, published.nature) {
            self.violate(|| format!("I5: the dead letter of {name}: {wrong}"));
        }
        if published.nature == Nature::Killer && published.deaths > self.plan.attempts() {
            let deaths = published.deaths;
            self.violate(|| format!("{name} killed {deaths} processes"));
        }
    }

    fn what_is_wrong_with(&mut self, letter: &Letter, nature: Nature) -> Option<String> {
        let attempts = letter.attempts;
        let all = self.plan.attempts();
        let name = match letter.reason {
            Reason::ParkedBehind if self.plan.is_parking() => "parked behind",
            Reason::ParkedBehind => return Some("it is parked, and keys are not".to_owned()),
            Reason::Crashed if nature == Nature::Killer => "dead of its crashes",
            // The process ended between the last attempt and the dead letter.
            Reason::Crashed if nature.is_fatal() && attempts == all => "dead without its cause",
            Reason::Crashed if self.may_have_crashed(letter.event.number) => {
                "dead of others' crashes"
            }
            Reason::Malformed if nature == Nature::Malformed && attempts == 0 => {
                "dead as malformed"
            }
            Reason::Rejected if nature == Nature::Rejected => "dead as rejected",
            Reason::RetriesExhausted if nature.is_fatal() && attempts == all => {
                "dead of its attempts"
            }
            reason => return Some(format!("{reason} after {attempts} attempts")),
        };
        self.coverage.note(name);
        None
    }
}
