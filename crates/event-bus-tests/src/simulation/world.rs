//! Everything there is, on one clock: what happens next is the earliest that was arranged.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_bus::consumer::core::{Assignment, Moment, Release, Settings, TaskId};
use event_bus::consumer::lane::LaneKey;
use jiff::Timestamp;

use super::coverage::Coverage;
use super::database::{Database, Letter, TxId};
use super::event::{EventNumber, Nature};
use super::fault::Fault;
use super::group::Group;
use super::log::Log;
use super::plan::Plan;
use super::process::{Process, ProcessId};
use super::random::Random;

/// Milliseconds since the beginning.
pub type Millis = u64;

/// What was arranged.
#[derive(Debug)]
pub enum Step {
    /// A process starts in this place.
    Start(usize),
    /// A session takes in what lies before it.
    TakeIn(ProcessId),
    /// A session's clock rings.
    Wake(ProcessId),
    /// A failed consumer is built anew.
    Rebuild(ProcessId),
    /// A consumer thread goes round.
    Fetch(ProcessId),
    /// A task goes on.
    Task(ProcessId, TaskId),
    /// A partition is taken over; `true` when that waits already.
    TakeOver(ProcessId, u32, Assignment, bool),
    /// Partitions are let go.
    Release(ProcessId, u32, TaskId, Release),
    /// The database is asked for a sign of life.
    Probe(ProcessId, u32),
    /// The database notices that a client is gone.
    RollBack(TxId),
    /// The coordinator waited long enough for a member.
    Expire(u32),
    /// An event is published.
    Publish(usize),
    /// The relay goes round.
    Relay,
    /// An operator looks at the dead letters of parked keys.
    Replay,
    /// Something goes wrong.
    Fault(Fault),
    /// Nothing goes wrong any more.
    Heal,
    /// The last events are published.
    Finish,
}

#[derive(Debug)]
struct Arranged {
    at: Millis,
    order: u64,
    step: Step,
}

impl PartialEq for Arranged {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Arranged {}

impl PartialOrd for Arranged {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arranged {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// An event as its source committed it.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its key.
    pub key: LaneKey,
    /// Its partition.
    pub partition: i32,
    /// What its handler makes of it.
    pub nature: Nature,
    /// When it was published.
    pub at: Millis,
    /// In how many deaths of a process its handler was running.
    pub deaths: u32,
    /// When it took effect.
    pub took_effect: Option<Millis>,
}

/// What one run is.
pub struct World {
    /// How it was set up.
    pub plan: Plan,
    pub(super) settings: Arc<Settings>,
    pub(super) random: Random,
    pub(super) now: Millis,
    origin: Instant,
    queue: BinaryHeap<Reverse<Arranged>>,
    last_order: u64,
    pub(super) log: Log,
    pub(super) group: Group,
    pub(super) database: Database,
    pub(super) places: Vec<Option<ProcessId>>,
    pub(super) processes: BTreeMap<ProcessId, Process>,
    pub(super) last_process: u32,
    /// The events, by number.
    pub published: Vec<Published>,
    /// The dead letter topic.
    pub letters: Vec<Letter>,
    pub(super) commits_fail: bool,
    pub(super) letters_fail: bool,
    pub(super) is_healed: bool,
    pub(super) is_finishing: bool,
    pub(super) last_effects: BTreeMap<LaneKey, EventNumber>,
    /// What was seen to happen.
    pub coverage: Coverage,
    /// What broke a promise, once something did.
    pub violation: Option<String>,
    /// How many steps were taken.
    pub steps: u64,
    trace: Option<Vec<String>>,
}

impl World {
    /// The world of a plan, before anything happened.
    #[must_use]
    pub fn new(plan: Plan, is_traced: bool) -> Self {
        let mut world = Self {
            settings: Arc::new(plan.settings()),
            random: Random::new(plan.seed ^ 0x5eed),
            now: 0,
            origin: Instant::now(),
            queue: BinaryHeap::new(),
            last_order: 0,
            log: Log::new(plan.partitions),
            group: Group::new(plan.partitions, plan.is_eager),
            database: Database::default(),
            places: vec![None; plan.places],
            processes: BTreeMap::new(),
            last_process: 0,
            published: Vec::new(),
            letters: Vec::new(),
            commits_fail: false,
            letters_fail: false,
            is_healed: false,
            is_finishing: false,
            last_effects: BTreeMap::new(),
            coverage: Coverage::default(),
            violation: None,
            steps: 0,
            trace: is_traced.then(Vec::new),
            plan,
        };
        world.arrange_plan();
        world
    }

    fn arrange_plan(&mut self) {
        for place in 0..self.plan.places {
            self.after(place as u64 * 7, Step::Start(place));
        }
        for (index, event) in self.plan.events.clone().into_iter().enumerate() {
            self.after(event.at, Step::Publish(index));
        }
        for (at, fault) in self.plan.faults.clone() {
            self.after(at, Step::Fault(fault));
        }
        self.after(50, Step::Relay);
        if self.plan.is_parking() {
            self.after(self.plan.heals_at / 2, Step::Replay);
        }
        self.after(self.plan.heals_at, Step::Heal);
    }

    /// Runs to the end: until everything is settled, something broke a promise, or time is up.
    pub fn run(&mut self) {
        let deadline = self.deadline();
        while self.violation.is_none() {
            let Some(Reverse(arranged)) = self.queue.pop() else { break };
            self.now = arranged.at;
            self.steps += 1;
            self.take(arranged.step);
            if self.is_finishing && self.is_settled() {
                break;
            }
            if self.now > deadline || self.steps > super::checks::MAX_STEPS {
                self.check_liveness();
                return;
            }
        }
        self.check_end();
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Start(place) => self.start(place),
            Step::TakeIn(process) => self.take_in(process),
            Step::Wake(process) => self.wake(process),
            Step::Rebuild(process) => self.rebuild(process),
            Step::Fetch(process) => self.fetch(process),
            Step::Task(process, task) => self.go_on(process, task),
            Step::TakeOver(process, session, assignment, waits) => {
                self.take_over(process, session, assignment, waits);
            }
            Step::Release(process, session, task, release) => {
                self.release(process, session, task, release);
            }
            Step::Probe(process, session) => self.probe(process, session),
            Step::RollBack(tx) => self.database.roll_back(tx),
            Step::Expire(member) => self.expire(member),
            Step::Publish(index) => self.publish(index),
            Step::Relay => self.relay(),
            Step::Replay => self.replay(),
            Step::Fault(fault) => self.go_wrong(fault),
            Step::Heal => self.heal(),
            Step::Finish => self.finish(),
        }
    }

    /// Arranges something.
    pub(super) fn after(&mut self, wait: Millis, step: Step) {
        self.last_order += 1;
        // What falls into one millisecond happens in any order.
        let order = (self.random.draw() << 24) | self.last_order;
        self.queue.push(Reverse(Arranged { at: self.now + wait, order, step }));
    }

    /// Now, for the core.
    pub(super) fn moment(&self) -> Moment {
        let passed = Duration::from_millis(self.now);
        Moment {
            instant: self.origin + passed,
            time: Timestamp::from_millisecond(i64::try_from(self.now).unwrap_or(i64::MAX))
                .unwrap_or(Timestamp::MAX),
        }
    }

    /// How long until a moment of the core; 0 if it has passed.
    pub(super) fn until(&self, instant: Instant) -> Millis {
        let left = instant.saturating_duration_since(self.moment().instant);
        u64::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
    }

    /// Notes a line of the trace.
    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.3}s  {}", self.now as f64 / 1_000.0, line()));
        }
    }

    /// Notes that a promise is broken. The first one counts.
    pub(super) fn violate(&mut self, text: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let text = text();
            self.tell(|| format!("VIOLATION  {text}"));
            self.violation = Some(text);
        }
    }

    pub(super) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// One line a step; empty unless the world is traced.
    #[must_use]
    pub fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }
}
