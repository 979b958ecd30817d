//! W3: handlers that wait 5 ms, at most 256 at once, in order per key.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use serde::de::IgnoredAny;

use super::event::preload;
use super::mark::Mark;
use super::side::{Program, Side};
use super::{Ran, Setting, medians, rate, turns};

const KEYS: u32 = 1_000;
/// What a handler waits.
pub const WAIT: Duration = Duration::from_millis(5);
/// Handlers that may wait at once.
pub const AT_ONCE: usize = 256;

const SIDES: [Side; 3] = [
    Side { name: "handler without a database", program: Program::Ours("waits") },
    Side { name: "Parallel Consumer, core", program: Program::Parallel("core") },
    Side { name: "Parallel Consumer, Reactor", program: Program::Parallel("reactor") },
];

/// One call of a handler, in nanoseconds of the side's clock.
struct Run {
    key: String,
    /// Its place among the key's events.
    place: u64,
    began: u64,
    ended: u64,
}

/// The rates, and whether the order was kept.
pub async fn run(setting: &Setting, events: usize, rounds: usize) -> Vec<Mark> {
    let mut sides = Vec::new();
    for _ in 0..rounds {
        sides.push(turns(SIDES, async |side| consume(setting, side, events).await).await);
    }
    let [ours, peers @ ..] = medians(&sides, |ran| rate(events, ran.seconds));
    let [memory, core, reactor] = medians(&sides, Ran::mebibytes);
    vec![
        Mark::at_least("W3, times the faster peer", ours / peers[0].max(peers[1]), 2.0),
        Mark::at_most("W3, share of the smaller peer's memory", memory / core.min(reactor), 0.2),
    ]
}

async fn consume(setting: &Setting, side: Side, events: usize) -> Ran {
    let catalogue = setting.catalogue().await;
    preload(&setting.bootstrap, &catalogue, events, KEYS, 0);
    let folder = tempfile::tempdir().expect("a directory can be made");
    let path = folder.path().join("trace");
    let path = path.to_str().expect("temporary directories have plain names");
    let mut running = setting.start(side, &catalogue, events, &[("TRACE_FILE", path)]);
    let IgnoredAny = running.result();
    let peak_bytes = running.ended();
    let trace = std::fs::read_to_string(path).expect("the side wrote a trace");
    let runs: Vec<Run> = trace.lines().map(|line| line.parse().expect("four words")).collect();
    assert_eq!(runs.len(), events, "each event is handled once in a run without a crash");
    let most = most_at_once(&runs);
    assert!(most <= AT_ONCE, "{most} handlers at once");
    let seconds = seconds(&runs);
    assert_in_order(runs);
    let ran = Ran { seconds, peak_bytes };
    println!(
        "W3 {}: {:.0}/s, {:.0} MiB, up to {most} at once, order per key kept",
        side.name,
        rate(events, seconds),
        ran.mebibytes()
    );
    ran
}

impl FromStr for Run {
    type Err = Box<dyn std::error::Error>;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = line.split(' ').collect();
        let [key, place, began, ended] = words[..] else { return Err(line.into()) };
        let key = key.to_owned();
        Ok(Run { key, place: place.parse()?, began: began.parse()?, ended: ended.parse()? })
    }
}

fn seconds(runs: &[Run]) -> f64 {
    let first = runs.iter().map(|run| run.began).min().expect("something ran");
    let last = runs.iter().map(|run| run.ended).max().expect("something ran");
    Duration::from_nanos(last - first).as_secs_f64()
}

fn most_at_once(runs: &[Run]) -> usize {
    // Who ends at the instant at which another begins has ended before.
    let mut edges: Vec<(u64, bool)> =
        runs.iter().flat_map(|run| [(run.began, true), (run.ended, false)]).collect();
    edges.sort_unstable();
    let (mut running, mut most) = (0_usize, 0);
    for (_, begins) in edges {
        running = if begins { running + 1 } else { running - 1 };
        most = most.max(running);
    }
    most
}

/// Per key, no handler begins before the one of the event before has ended.
fn assert_in_order(runs: Vec<Run>) {
    let mut keys: HashMap<String, Vec<Run>> = HashMap::new();
    for run in runs {
        keys.entry(run.key.clone()).or_default().push(run);
    }
    for (key, mut runs) in keys {
        runs.sort_by_key(|run| run.place);
        let in_order = runs.windows(2).all(|pair| pair[0].ended <= pair[1].began);
        assert!(in_order, "the events of {key} ran out of order");
    }
}
