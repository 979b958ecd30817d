//! `torture run`: the worlds of some seeds, several beside each other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bites::Bites;
use crate::checks::{Promise, Violation};
use crate::nemesis::Aim;
use crate::plan::{Kind, Plan, Shape as PlanShape};
use crate::servers::{BrokerKind, Programs, StoreKind};
use crate::world::{Ended, Failed, Shape, World};

/// So many violations are shown of a world's promise.
const SHOWN: usize = 5;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Decides what goes wrong and when; the first of them
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// How many worlds beside each other
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// For how long faults come
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Which broker
    #[arg(long, value_enum)]
    broker: BrokerKind,
    /// Which database
    #[arg(long, value_enum)]
    store: StoreKind,
    /// Transactions of each of the two writers in a second
    #[arg(long, default_value_t = 40)]
    rate: u32,
    /// Only faults of this kind, and of others that are given too
    #[arg(long, value_enum)]
    only: Vec<Kind>,
    /// For how many seconds nothing may move before everything has settled, once nothing goes wrong any more
    #[arg(long, default_value_t = 60)]
    stands_still_within: u64,
    /// A mistake that all nodes make
    #[arg(long)]
    flaw: Option<String>,
    /// The moment in which kills come
    #[arg(long, value_enum, default_value = "inside")]
    aim: Aim,
    /// The `event-bus` program
    #[arg(long, value_name = "FILE")]
    event_bus: PathBuf,
    /// The `xtask` program, which brings Kafka and PostgreSQL
    #[arg(long, value_name = "FILE")]
    xtask: PathBuf,
    /// Where logs and journals are, a directory for each seed; those of seeds that fail stay
    #[arg(long, value_name = "DIR")]
    logs: PathBuf,
}

/// How a world ended.
struct Outcome {
    seed: u64,
    took: Duration,
    ended: Ended,
    /// Why it could not be run to its end.
    failure: Option<String>,
}

impl Outcome {
    fn has_failed(&self) -> bool {
        self.failure.is_some() || !self.ended.violations.is_empty()
    }
}

/// Tortures, and fails when a promise was broken or a fault never bit.
pub async fn run(args: Args) -> ExitCode {
    let at_once = Arc::new(Semaphore::new(args.at_once.max(1)));
    let mut worlds = JoinSet::new();
    for seed in args.seed..args.seed + args.seeds {
        let (args, at_once) = (args.clone(), Arc::clone(&at_once));
        worlds.spawn(async move {
            let _turn = at_once.acquire().await.expect("nobody closes it");
            args.world(seed).await
        });
    }
    let all = Bites::default();
    let mut failed = 0;
    while let Some(ended) = worlds.join_next().await {
        let outcome = ended.expect("a world tells how it ended");
        all.add(&outcome.ended.bites);
        failed += u64::from(args.tell(&outcome));
    }
    let length = Duration::from_secs(args.seeds * args.seconds);
    println!("{} seeds of {} s, {failed} failed", args.seeds, args.seconds);
    print!("{all}");
    let missing = all.missing(args.store, length);
    for what in &missing {
        println!("NEVER BIT: {what}");
    }
    if failed == 0 && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Args {
    async fn world(&self, seed: u64) -> Outcome {
        let begun = Instant::now();
        let tried = tokio::spawn(self.clone().try_world(seed)).await;
        let (ended, failure) = match tried {
            Ok(Ok(ended)) => (ended, None),
            Ok(Err(error)) => (Ended::default(), Some(error.to_string())),
            Err(panic) => (Ended::default(), Some(panic.to_string())),
        };
        let outcome = Outcome { seed, took: begun.elapsed(), ended, failure };
        if !outcome.has_failed() {
            // What could not be removed is in nobody's way but the disk's.
            let _ = std::fs::remove_dir_all(self.folder(seed));
        }
        outcome
    }

    /// Where the logs and journals of a seed are.
    fn folder(&self, seed: u64) -> PathBuf {
        self.logs.join(format!("{:?}-{:?}-{seed}", self.broker, self.store).to_lowercase())
    }

    async fn try_world(self, seed: u64) -> Result<Ended, Failed> {
        let folder = self.folder(seed);
        // What an earlier run of the seed left would be taken for this one's.
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let plan = Plan::of(PlanShape {
            seed,
            length: Duration::from_secs(self.seconds),
            has_database_links: self.store == StoreKind::Postgres,
            only: &self.only,
        });
        let programs = Programs { event_bus: self.event_bus, xtask: self.xtask };
        let shape = Shape {
            broker: self.broker,
            store: self.store,
            programs,
            folder,
            rate: self.rate,
            stands_still_within: Duration::from_secs(self.stands_still_within),
            aim: self.aim,
            flaw: self.flaw,
        };
        World::start(shape, plan).await?.run().await
    }

    /// Says how a world ended, and whether it failed.
    fn tell(&self, outcome: &Outcome) -> bool {
        let Outcome { seed, took, ended: Ended { violations, bites, phases }, failure } = outcome;
        let has_failed = outcome.has_failed();
        let word = if has_failed { "FAILED" } else { "holds" };
        let phases = phases.iter().map(|(phase, took)| format!("{phase} {took:.0?}"));
        let phases: Vec<String> = phases.collect();
        println!("seed {seed}: {word} after {took:.0?} ({})", phases.join(", "));
        if let Some(failure) = failure {
            println!("  it did not come to its end: {failure}");
        }
        let mut of_promise: BTreeMap<Promise, Vec<&Violation>> = BTreeMap::new();
        for violation in violations {
            of_promise.entry(violation.promise).or_default().push(violation);
        }
        for (promise, broken) in of_promise {
            println!("  {promise:?} is broken {} times", broken.len());
            for violation in broken.into_iter().take(SHOWN) {
                println!("    {}", violation.what);
            }
        }
        if has_failed {
            print!("{bites}");
            println!("  again: {}", self.command(*seed));
        }
        has_failed
    }

    /// The command that runs a seed again.
    fn command(&self, seed: u64) -> String {
        let name = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
        let flaw = self.flaw.as_ref().map(|flaw| format!(" --flaw {flaw}")).unwrap_or_default();
        let only = self.only.iter().filter_map(ValueEnum::to_possible_value);
        let only: String = only.map(|kind| format!(" --only {}", kind.get_name())).collect();
        format!(
            "cargo xtask torture --seed {seed} --seconds {} --broker {} --store {}{flaw} -- --rate {} --aim {}{only}",
            self.seconds,
            name(&self.broker),
            name(&self.store),
            self.rate,
            name(&self.aim)
        )
    }
}
