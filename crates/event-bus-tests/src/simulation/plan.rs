//! What a seed stands for: the service, its events and what goes wrong.

use std::num::NonZeroU16;
use std::time::Duration;

use event_bus::catalogue::{BehindDeadLetter, Execution};
use event_bus::consumer::core::{Flaw, Flaws, Settings};

use super::event::Nature;
use super::fault::{Fault, POINTS};
use super::random::Random;
use super::world::Millis;

/// When an event is published, and what it is.
#[derive(Clone, Copy, Debug)]
pub struct PlannedEvent {
    /// When.
    pub at: Millis,
    /// Which key, by number. Keys share partitions.
    pub key: usize,
    /// What its handler makes of it.
    pub nature: Nature,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides whatever is left to chance.
    pub seed: u64,
    /// How many processes of the service there are.
    pub places: usize,
    /// Partitions of the topic.
    pub partitions: usize,
    /// Whether rebalances are eager.
    pub is_eager: bool,
    /// How handlers run.
    pub execution: Execution,
    /// The waits between attempts.
    pub waits: Vec<Duration>,
    /// What becomes of a key's events behind a dead letter.
    pub behind: BehindDeadLetter,
    /// The core's window.
    pub window: usize,
    /// The core's largest batch.
    pub batch: usize,
    /// How many records of a partition a consumer thread hands over at once.
    pub handover: usize,
    /// How long the coordinator waits for a silent member.
    pub session_timeout: Millis,
    /// How many of a hundred handlers meet a deadlock.
    pub contention_percent: u64,
    /// To how many of a hundred commits the reply gets lost.
    pub lost_reply_percent: u64,
    /// The events, in the order of their numbers.
    pub events: Vec<PlannedEvent>,
    /// What goes wrong.
    pub faults: Vec<(Millis, Fault)>,
    /// When it stops going wrong.
    pub heals_at: Millis,
    /// What the core does wrong.
    pub flaw: Option<Flaw>,
}

/// How long events are published.
const PUBLISHED_WITHIN: Millis = 12_000;

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let execution = match random.of(0..10) {
            0..=5 => Execution::Batched,
            _ => Execution::Concurrent(
                u16::try_from(random.of(1..6))
                    .ok()
                    .and_then(NonZeroU16::new)
                    .unwrap_or(NonZeroU16::MIN),
            ),
        };
        let parks = random.percent(30);
        let mut plan = Self {
            execution,
            behind: if parks { BehindDeadLetter::Park } else { BehindDeadLetter::Continue },
            places: random.pick(&[1, 1, 2, 2, 3]),
            partitions: random.pick(&[1, 2, 3]),
            is_eager: random.percent(40),
            window: random.pick(&[6, 12, 40]),
            batch: random.pick(&[1, 3, 8, 20]),
            handover: random.pick(&[1, 4, 30]),
            contention_percent: random.pick(&[0, 0, 0, 5]),
            lost_reply_percent: random.pick(&[0, 0, 0, 5]),
            ..Self::quiet(seed)
        };
        plan.events = Self::events(&mut random);
        plan.faults = plan.draw_faults(&mut random);
        plan
    }

    /// A service of one process and one partition, to which nothing happens.
    #[must_use]
    pub fn quiet(seed: u64) -> Self {
        Self {
            seed,
            places: 1,
            partitions: 1,
            is_eager: false,
            execution: Execution::Batched,
            waits: [500, 2_000, 8_000].map(Duration::from_millis).to_vec(),
            behind: BehindDeadLetter::Continue,
            window: 40,
            batch: 20,
            handover: 30,
            session_timeout: 6_000,
            contention_percent: 0,
            lost_reply_percent: 0,
            events: Vec::new(),
            faults: Vec::new(),
            heals_at: 20_000,
            flaw: None,
        }
    }

    fn events(random: &mut Random) -> Vec<PlannedEvent> {
        let count = random.of(8..50);
        let keys = random.of(1..7);
        let bad_percent = random.pick(&[0, 5, 15, 40]);
        let mut times: Vec<Millis> = (0..count).map(|_| random.of(0..PUBLISHED_WITHIN)).collect();
        times.sort_unstable();
        // A killer costs four processes: few of them tell as much as many.
        let mut killers = random.pick(&[0, 0, 0, 1, 2]);
        let planned = times.into_iter().map(|at| {
            let key = usize::try_from(random.of(0..keys)).unwrap_or(0);
            let mut nature =
                if random.percent(bad_percent) { Self::bad(random) } else { Nature::Good };
            if killers > 0 && random.percent(8) {
                killers -= 1;
                nature = Nature::Killer;
            }
            PlannedEvent { at, key, nature }
        });
        planned.collect()
    }

    fn bad(random: &mut Random) -> Nature {
        let fails = u32::try_from(random.of(1..3)).unwrap_or(1);
        random.pick(&[
            Nature::Slow,
            Nature::Long,
            Nature::Flaky(fails),
            Nature::Flaky(fails),
            Nature::Poison,
            Nature::Poison,
            Nature::Panics,
            Nature::Stuck,
            Nature::Swallows,
            Nature::Rejected,
            Nature::Malformed,
        ])
    }

    fn draw_faults(&self, random: &mut Random) -> Vec<(Millis, Fault)> {
        let count = random.pick(&[0, 1, 1, 2, 3, 5]);
        let mut faults = Vec::new();
        for _ in 0..count {
            let at = random.of(100..PUBLISHED_WITHIN + 3_000);
            let place = usize::try_from(random.of(0..self.places as u64)).unwrap_or(0);
            let time = random.of(500..9_000);
            let partition = i32::try_from(random.of(0..self.partitions as u64)).unwrap_or(0);
            let fault = match random.of(0..12) {
                0..=2 => Fault::Crash(place, random.pick(&POINTS)),
                3 | 4 => Fault::Stop(place, random.pick(&POINTS)),
                5 => Fault::Freeze(place, time + 2_000),
                6 => Fault::Lose(place),
                7 => Fault::FailConsumer(place),
                8 => Fault::FailCommits(time),
                9 => Fault::DatabaseDown(time),
                10 => Fault::LettersDown(time),
                _ => Fault::Reset(partition),
            };
            faults.push((at, fault));
        }
        faults
    }

    /// What the core is told.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.execution, self.waits.clone().into(), self.behind);
        settings.window = self.window;
        settings.batch = self.batch;
        settings.read_ahead = self.batch;
        settings.flaws = Flaws::only(self.flaw);
        settings
    }

    /// How many attempts an event has.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.waits.len()).unwrap_or(u32::MAX) + 1
    }

    /// Whether keys are parked.
    #[must_use]
    pub fn is_parking(&self) -> bool {
        self.behind == BehindDeadLetter::Park
    }
}
