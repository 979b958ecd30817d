//! What a seed stands for: which faults come when, and how long they last. Pure.

use std::time::Duration;

use event_bus_tests::simulation::Random;

use crate::node::Role;

/// How many processes of each role there are.
pub const WRITERS: usize = 2;
pub const RELAYS: usize = 2;
pub const CONSUMERS: usize = 3;

/// A process of a role, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    pub role: Role,
    pub index: usize,
}

/// A server that nodes connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Broker,
    Database,
}

/// Whose connections a fault of the network is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Everybody's to the broker.
    Broker,
    /// One node's to the database.
    Database(Member),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process dies, and another takes its place after a while.
    Kill(Member),
    /// A process stands still, and goes on as if nothing had been.
    Freeze(Member),
    /// A replica is asked to end, and another one joins.
    Leave(Member),
    /// A server's processes die, and it is started again on its data.
    Crash(Server),
    /// A server is asked to end, and started again.
    Restart(Server),
    /// Connections break, and new ones break for a while.
    Cut(Link),
    /// Every message takes longer.
    Delay(Link),
    /// Requests arrive, and answers come late.
    Hold(Link),
    /// Requests arrive, and their connections break before the answers come.
    Swallow(Link),
}

/// A fault, when it begins after the start, and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub at: Duration,
    pub kind: Kind,
    pub fault: Fault,
    pub lasts: Duration,
}

/// All that a seed decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order of their beginnings.
    pub steps: Vec<Step>,
    /// How the ledger consumes, as TOML lines.
    pub consumption: &'static str,
    /// Whether the replicas of the ledger are static members.
    pub are_static: bool,
    /// How many events abort the ledger's process.
    pub aborting: i64,
}

/// What a plan is for.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    pub seed: u64,
    /// How long faults come.
    pub length: Duration,
    /// Whether nodes reach their database over the network.
    pub has_database_links: bool,
    /// The kinds of faults, by their names; all of them if there are none.
    pub only: &'a [Kind],
}

/// A kind of fault, without whom it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    KillWriter,
    KillRelay,
    KillConsumer,
    FreezeWriter,
    FreezeRelay,
    FreezeConsumer,
    Leave,
    CrashBroker,
    RestartBroker,
    CutBroker,
    DelayBroker,
    HoldBroker,
    SwallowBroker,
    CrashDatabase,
    RestartDatabase,
    CutDatabase,
    DelayDatabase,
    HoldDatabase,
    SwallowDatabase,
}

const ON_ANY_DATABASE: [Kind; 13] = [
    Kind::KillWriter,
    Kind::KillRelay,
    Kind::KillConsumer,
    Kind::FreezeWriter,
    Kind::FreezeRelay,
    Kind::FreezeConsumer,
    Kind::Leave,
    Kind::CrashBroker,
    Kind::RestartBroker,
    Kind::CutBroker,
    Kind::DelayBroker,
    Kind::HoldBroker,
    Kind::SwallowBroker,
];

const OVER_THE_NETWORK: [Kind; 6] = [
    Kind::CrashDatabase,
    Kind::RestartDatabase,
    Kind::CutDatabase,
    Kind::DelayDatabase,
    Kind::HoldDatabase,
    Kind::SwallowDatabase,
];

/// The load is on before the first fault.
const CALM: Duration = Duration::from_secs(2);
/// Between the beginnings of two faults, in milliseconds; many last longer.
const BETWEEN_MS: std::ops::Range<u64> = 1_500..3_500;

impl Kind {
    /// The kinds that there are in such a world.
    pub fn all(has_database_links: bool) -> Vec<Self> {
        let more: &[Self] = if has_database_links { &OVER_THE_NETWORK } else { &[] };
        [&ON_ANY_DATABASE, more].concat()
    }

    fn fault(self, random: &mut Random) -> Fault {
        let mut one_of = |role, count: usize| {
            let index = random.pick(&(0..count).collect::<Vec<_>>());
            Member { role, index }
        };
        let writer = one_of(Role::Writer, WRITERS);
        let relay = one_of(Role::Relay, RELAYS);
        let consumer = one_of(Role::Consumer, CONSUMERS);
        let anybody = random.pick(&[writer, relay, consumer]);
        match self {
            Self::KillWriter => Fault::Kill(writer),
            Self::KillRelay => Fault::Kill(relay),
            Self::KillConsumer => Fault::Kill(consumer),
            Self::FreezeWriter => Fault::Freeze(writer),
            Self::FreezeRelay => Fault::Freeze(relay),
            Self::FreezeConsumer => Fault::Freeze(consumer),
            Self::Leave => Fault::Leave(consumer),
            Self::CrashBroker => Fault::Crash(Server::Broker),
            Self::RestartBroker => Fault::Restart(Server::Broker),
            Self::CutBroker => Fault::Cut(Link::Broker),
            Self::DelayBroker => Fault::Delay(Link::Broker),
            Self::HoldBroker => Fault::Hold(Link::Broker),
            Self::SwallowBroker => Fault::Swallow(Link::Broker),
            Self::CrashDatabase => Fault::Crash(Server::Database),
            Self::RestartDatabase => Fault::Restart(Server::Database),
            Self::CutDatabase => Fault::Cut(Link::Database(anybody)),
            Self::DelayDatabase => Fault::Delay(Link::Database(anybody)),
            Self::HoldDatabase => Fault::Hold(Link::Database(anybody)),
            Self::SwallowDatabase => Fault::Swallow(Link::Database(anybody)),
        }
    }

    /// How long it lasts, in milliseconds.
    fn lasts_ms(self) -> std::ops::Range<u64> {
        match self {
            // Past the relay's lease of 10 s.
            Self::FreezeRelay => 11_000..13_000,
            // Past the session time-out of 6 s.
            Self::FreezeConsumer => 8_000..11_000,
            Self::FreezeWriter => 1_000..6_000,
            Self::Leave => 200..3_000,
            Self::KillWriter | Self::KillRelay | Self::KillConsumer => 0..2_000,
            Self::CrashBroker
            | Self::RestartBroker
            | Self::CrashDatabase
            | Self::RestartDatabase => 0..1_500,
            Self::CutBroker | Self::CutDatabase | Self::SwallowBroker | Self::SwallowDatabase => {
                200..1_500
            }
            Self::DelayBroker | Self::DelayDatabase => 2_000..5_000,
            Self::HoldBroker | Self::HoldDatabase => 1_000..4_000,
        }
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn of(shape: Shape<'_>) -> Self {
        let mut random = Random::new(shape.seed);
        // The first number of neighbouring seeds decides little; what follows is unlike.
        random.draw();
        let kinds = match shape.only {
            [] => Kind::all(shape.has_database_links),
            only => only.to_vec(),
        };
        let (mut steps, mut at, mut left) = (Vec::new(), CALM, Vec::new());
        while at < shape.length {
            // Each kind has its turn before one comes again.
            if left.is_empty() {
                left.clone_from(&kinds);
            }
            let chosen = random.of(0..left.len() as u64);
            let kind = left.swap_remove(usize::try_from(chosen).expect("an index"));
            let lasts = Duration::from_millis(random.of(kind.lasts_ms()));
            steps.push(Step { at, kind, fault: kind.fault(&mut random), lasts });
            at += Duration::from_millis(random.of(BETWEEN_MS));
        }
        Self {
            steps,
            consumption: random.pick(&["", "execution = \"concurrent(4)\""]),
            are_static: random.percent(50),
            aborting: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn shape(seed: u64, seconds: u64) -> Shape<'static> {
        let length = Duration::from_secs(seconds);
        Shape { seed, length, has_database_links: true, only: &[] }
    }

    #[test]
    fn a_seed_is_a_plan() {
        assert_eq!(Plan::of(shape(7, 60)), Plan::of(shape(7, 60)));
        assert_ne!(Plan::of(shape(7, 60)).steps, Plan::of(shape(8, 60)).steps);
    }

    #[test]
    fn every_kind_comes_within_a_minute() {
        for seed in 0..50 {
            let plan = Plan::of(shape(seed, 60));
            let kinds: BTreeSet<Kind> = plan.steps.iter().map(|step| step.kind).collect();
            assert_eq!(kinds.len(), Kind::all(true).len(), "seed {seed}: {kinds:?}");
        }
    }

    #[test]
    fn what_was_asked_for_is_all_that_comes() {
        let plan = Plan::of(Shape { only: &[Kind::KillConsumer], ..shape(3, 30) });
        let is_asked =
            |step: &Step| matches!(step.fault, Fault::Kill(Member { role: Role::Consumer, .. }));
        assert!(plan.steps.len() > 5 && plan.steps.iter().all(is_asked));
    }
}
