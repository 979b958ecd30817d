//! The seeds.

use std::collections::BTreeSet;
use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use event_bus_tests::simulation::{self, Coverage, Plan};

/// So many seeds run where nobody asks for others.
const SEEDS: u64 = 500;
/// So many are a full run: each fault has to bite in it.
const FULL: u64 = 20_000;
/// What has to happen in a full run.
const EXPECTED: [&str; 53] = [
    "attempt noted",
    "attempt taken back",
    "batch run apart",
    "commit failed",
    "commit of a former owner refused",
    "consumer failed",
    "cooperative revoke",
    "crash at the gate",
    "crash before a claim",
    "crash before a commit",
    "crash before a note",
    "crash before a transaction",
    "crash before the fence",
    "crash between events",
    "crash in a handler",
    "dead as malformed",
    "dead as rejected",
    "dead letters waited",
    "dead of its attempts",
    "dead of its crashes",
    "duplicate skipped",
    "eager revoke",
    "former owner fenced",
    "frozen owner replaced",
    "handler met a deadlock",
    "handlers outlasted a deadline",
    "killed by an event",
    "offset reset",
    "outage met",
    "parked behind",
    "parked key released",
    "partition found dirty",
    "partition paused",
    "fetching held",
    "partitions lost",
    "replay out of turn",
    "replayed out of order",
    "reply to a commit lost",
    "slow handler",
    "stop at any time",
    "stop before a claim",
    "stop before a commit",
    "stop before a note",
    "stop before a transaction",
    "stop before the fence",
    "stop between events",
    "stop in a handler",
    "stop in careful mode",
    "takeover given up",
    "takeover met an outage",
    "takeover waited for a transaction",
    "task aborted",
    "commit of an aborted task",
];
/// A line of progress follows each so many.
const PROGRESS: u64 = 5_000;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is to be a number and is {text:?}")))
}

/// Prints what happened in a run, and how it is run again.
fn explain(plan: Plan) -> String {
    let seed = plan.seed;
    let world = simulation::run_traced(plan);
    for line in world.trace() {
        println!("{line}");
    }
    println!("{:?}", world.plan);
    format!(
        "seed {seed}: {}\nrun it again: EVENT_BUS_SIMULATION_SEED={seed} cargo test -p event-bus-tests --test simulation \
         somebody_names -- --nocapture",
        world.violation.unwrap_or_default()
    )
}

/// Runs seeds on all cores, up to the first that breaks a promise.
fn run_all(from: u64, count: u64) -> (Coverage, Option<u64>) {
    let next = AtomicU64::new(from);
    let has_failed = AtomicBool::new(false);
    let seen = Mutex::new((Coverage::default(), BTreeSet::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !has_failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    let world = simulation::run(Plan::of_seed(seed));
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.0.add(&world.coverage);
                    if world.violation.is_some() {
                        seen.1.insert(seed);
                        has_failed.store(true, Ordering::Relaxed);
                    }
                    let done = seed + 1 - from;
                    if done.is_multiple_of(PROGRESS) {
                        println!("{done} of {count} seeds");
                    }
                }
            });
        }
    });
    let (coverage, failed) = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    (coverage, failed.first().copied())
}

#[test]
fn every_seed_keeps_the_promises() {
    let from = number("EVENT_BUS_SIMULATION_FROM").unwrap_or(0);
    let count = number("EVENT_BUS_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let (coverage, failed) = run_all(from, count);
    for (what, times) in coverage.iter() {
        println!("{times:>9} x {what}");
    }
    if let Some(seed) = failed {
        panic!("{}", explain(Plan::of_seed(seed)));
    }
    let never: Vec<_> = EXPECTED.into_iter().filter(|what| coverage.of(what) == 0).collect();
    assert!(count < FULL || never.is_empty(), "this never happened: {never:?}");
}

#[test]
fn a_seed_that_is_run_again_is_the_same_run() {
    for seed in 0..40 {
        let [first, second] =
            [(); 2].map(|()| simulation::run_traced(Plan::of_seed(seed)).trace().to_vec());
        let differs = first.iter().zip(&second).position(|(first, second)| first != second);
        assert!(differs.is_none() && first.len() == second.len(), "seed {seed}, line {differs:?}");
        assert!(first.len() > 20);
    }
}

/// For a look at one seed, named by a variable.
#[test]
fn a_seed_that_somebody_names_is_explained() {
    if let Some(seed) = number("EVENT_BUS_SIMULATION_SEED") {
        let explained = explain(Plan::of_seed(seed));
        assert!(simulation::run(Plan::of_seed(seed)).violation.is_none(), "{explained}");
    }
}
