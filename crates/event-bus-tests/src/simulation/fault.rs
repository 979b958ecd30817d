//! What goes wrong.

use super::event::{EventNumber, Nature};
use super::process::ProcessId;
use super::task::{Stage, Task};
use super::world::{Millis, Step, World};
use event_bus::consumer::core::Input;

/// Something that goes wrong, or is done to a running service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process in this place dies, at the next moment at which one of its tasks is in this stage.
    Crash(usize, Point),
    /// The process in this place stops in good order, at such a moment.
    Stop(usize, Point),
    /// The process in this place is frozen for so long.
    Freeze(usize, Millis),
    /// The coordinator takes the member in this place for dead.
    Lose(usize),
    /// The consumer in this place fails.
    FailConsumer(usize),
    /// Commits of offsets fail for so long.
    FailCommits(Millis),
    /// The database is down for so long.
    DatabaseDown(Millis),
    /// The dead letter topic can't be written for so long.
    LettersDown(Millis),
    /// The group's offset of a partition is set to the beginning while it is consumed.
    Reset(i32),
    /// What one of these began is over.
    CommitsWork,
    /// The database answers again.
    DatabaseUp,
    /// The dead letter topic can be written again.
    LettersUp,
}

/// At which point of a task something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Whatever it does.
    Any,
    /// Before an attempt is noted.
    Note,
    /// Before the transaction.
    Begin,
    /// Before the token is compared.
    Fence,
    /// Before the claim.
    Claim,
    /// Between two events.
    Next,
    /// In a handler.
    Handled,
    /// Before the commit.
    Commit,
    /// While the task runs carefully.
    Careful,
}

/// All points.
pub const POINTS: [Point; 9] = [
    Point::Any,
    Point::Note,
    Point::Begin,
    Point::Fence,
    Point::Claim,
    Point::Next,
    Point::Handled,
    Point::Commit,
    Point::Careful,
];

impl Point {
    fn is_at(self, task: &Task) -> bool {
        if self == Self::Careful {
            return task.turn.is_careful;
        }
        matches!(
            (self, task.stage),
            (Self::Any, _)
                | (Self::Note, Stage::Note)
                | (Self::Begin, Stage::Begin)
                | (Self::Fence, Stage::Fence)
                | (Self::Claim, Stage::Claim)
                | (Self::Next, Stage::Next | Stage::Marked(_))
                | (Self::Handled, Stage::Handled(_))
                | (Self::Commit, Stage::Commit)
        )
    }

    fn stop_name(self) -> &'static str {
        match self {
            Self::Any => "stop at any time",
            Self::Note => "stop before a note",
            Self::Begin => "stop before a transaction",
            Self::Fence => "stop before the fence",
            Self::Claim => "stop before a claim",
            Self::Next => "stop between events",
            Self::Handled => "stop in a handler",
            Self::Commit => "stop before a commit",
            Self::Careful => "stop in careful mode",
        }
    }
}

impl World {
    /// Something goes wrong.
    pub(super) fn go_wrong(&mut self, fault: Fault) {
        if self.is_healed {
            return;
        }
        match fault {
            Fault::Crash(place, point) => {
                if let Some(id) = self.at_point(place, point, fault) {
                    self.crash(id);
                }
            }
            Fault::Stop(place, point) => {
                let Some(id) = self.at_point(place, point, fault) else { return };
                if self.stop(id) {
                    self.coverage.note(point.stop_name());
                } else {
                    // It stops already: the next process in its place will.
                    self.after(4, Step::Fault(fault));
                }
            }
            Fault::Freeze(place, time) => self.freeze(place, time),
            Fault::Lose(place) => self.lose_member(place),
            Fault::FailConsumer(place) => {
                if let Some(id) = self.running_in(place) {
                    self.give(id, Input::Failed);
                }
            }
            Fault::Reset(partition) => {
                if self.log.committed(partition).is_some_and(|committed| committed > 0) {
                    self.coverage.note("offset reset");
                    self.tell(|| format!("the offset of {partition} is reset"));
                    self.log.commit(partition, 0);
                }
            }
            _ => self.switch(fault),
        }
    }

    fn switch(&mut self, fault: Fault) {
        self.tell(|| format!("{fault:?}"));
        match fault {
            Fault::FailCommits(time) => {
                self.commits_fail = true;
                self.after(time, Step::Fault(Fault::CommitsWork));
            }
            Fault::DatabaseDown(time) => {
                self.database.go_down();
                self.after(time, Step::Fault(Fault::DatabaseUp));
            }
            Fault::LettersDown(time) => {
                self.letters_fail = true;
                self.after(time, Step::Fault(Fault::LettersUp));
            }
            Fault::CommitsWork => self.commits_fail = false,
            Fault::DatabaseUp => self.database.is_down = false,
            Fault::LettersUp => self.letters_fail = false,
            _ => {}
        }
    }

    /// The process in a place, if one of its tasks is at this point. Otherwise the fault is tried again soon.
    fn at_point(&mut self, place: usize, point: Point, fault: Fault) -> Option<ProcessId> {
        let id = self.running_in(place);
        let hits = id.and_then(|id| self.processes.get(&id)).is_some_and(|process| {
            point == Point::Any || process.tasks.values().any(|task| point.is_at(task))
        });
        if hits {
            return id;
        }
        let runs = id.and_then(|id| self.processes.get(&id)).is_some_and(|p| !p.tasks.is_empty());
        self.after(if runs { 1 } else { 4 }, Step::Fault(fault));
        None
    }

    fn running_in(&self, place: usize) -> Option<ProcessId> {
        self.places.get(place).copied().flatten()
    }

    /// Whether that is news.
    fn stop(&mut self, id: ProcessId) -> bool {
        let Some(process) = self.processes.get_mut(&id) else { return false };
        let is_news = !std::mem::replace(&mut process.is_stopping, true);
        if is_news {
            self.give(id, Input::Stop);
        }
        is_news
    }

    fn freeze(&mut self, place: usize, time: Millis) {
        let Some(id) = self.running_in(place) else { return };
        let until = self.now + time;
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.frozen_until = Some(until);
        let member = process.fetcher.as_ref().map(|fetcher| fetcher.member);
        self.tell(|| format!("{id} is frozen for {time} ms"));
        if let Some(member) = member {
            self.after(self.plan.session_timeout, Step::Expire(member));
        }
    }

    fn lose_member(&mut self, place: usize) {
        let Some(id) = self.running_in(place) else { return };
        let member = self.processes.get(&id).and_then(|process| process.fetcher.as_ref());
        let Some(member) = member.map(|fetcher| fetcher.member) else { return };
        self.tell(|| format!("the coordinator forgets {id}"));
        self.group.leave(member);
        // It learns so at its next heartbeat.
        self.call(id);
        self.call_members();
    }

    /// Nothing goes wrong any more.
    pub(super) fn heal(&mut self) {
        self.tell(|| "everything is mended".to_owned());
        self.is_healed = true;
        self.commits_fail = false;
        self.letters_fail = false;
        self.database.is_down = false;
        self.plan.contention_percent = 0;
        self.plan.lost_reply_percent = 0;
        for process in self.processes.values_mut() {
            process.frozen_until = None;
        }
        self.after(1_000, Step::Finish);
    }

    /// Whether an event may be blamed for deaths that are not its own: it failed so often, and so often its process
    /// was ended from outside while it ran.
    pub(super) fn may_have_crashed(&self, event: EventNumber) -> bool {
        let fails = match self.published[event].nature {
            Nature::Flaky(fails) => fails,
            _ => 0,
        };
        // The first death is counted without having been noted.
        self.published[event].deaths + 1 + fails >= self.plan.attempts()
    }
}
