//! W7: one event in a hundred always fails. Three retries, 200 ms apart, then the dead letter topic.

use std::collections::HashMap;

use event_bus::Catalogue;
use event_bus::kafka::admin::Position;
use event_bus::kafka::reader::{Reader, Until};
use event_bus::names::TopicName;
use serde::Deserialize;

use super::event::preload;
use super::mark::Mark;
use super::side::{Program, Side};
use super::{Ran, Setting, medians, turns};

const EVENTS: usize = 10_000;
const KEYS: u32 = 100;
const POISON_EVERY: usize = 100;
const POISON: usize = EVENTS / POISON_EVERY;

const SIDES: [Side; 3] = [
    Side { name: "handler with a database", program: Program::Ours("poison") },
    Side { name: "handler without a database", program: Program::Ours("poison-stateless") },
    Side { name: "Spring's @RetryableTopic", program: Program::Spring("w7-retryable") },
];

/// In milliseconds since 1970.
#[derive(Deserialize)]
struct Good {
    began_ms: i64,
    good_ms: i64,
}

/// How long it takes until the good are handled and the bad are dead.
pub async fn run(setting: &Setting, rounds: usize) -> Vec<Mark> {
    let mut sides = Vec::new();
    for _ in 0..rounds {
        sides.push(turns(SIDES, async |side| consume(setting, side).await).await);
    }
    let [database, stateless, peer] = medians(&sides, |ran| ran.seconds);
    let memory = medians(&sides, Ran::mebibytes);
    vec![
        Mark::at_most("W7 with a database, share of the peer's time", database / peer, 1.0 / 3.0),
        Mark::at_most("W7 without one, share of the peer's time", stateless / peer, 1.0 / 3.0),
        Mark::at_most("W7, share of the peer's memory", memory[0].max(memory[1]) / memory[2], 0.2),
    ]
}

async fn consume(setting: &Setting, side: Side) -> Ran {
    let catalogue = setting.catalogue().await;
    preload(&setting.bootstrap, &catalogue, EVENTS, KEYS, POISON_EVERY);
    let database = setting.new_database().await;
    let folder = tempfile::tempdir().expect("a directory can be made");
    let path = folder.path().join("trace");
    let more = [
        ("DATABASE_URL", &*database),
        ("TRACE_FILE", path.to_str().expect("temporary directories have plain names")),
    ];
    let mut running = setting.start(side, &catalogue, EVENTS - POISON, &more);
    let good: Good = running.result();
    let topic = dead_letter_topic(side, &catalogue);
    let mut dead = Vec::new();
    while dead.len() < POISON {
        dead = dead_letters(setting, &topic).await;
    }
    let peak_bytes = running.stop();
    assert_eq!(dead_letters(setting, &topic).await.len(), POISON, "each poison event is dead once");
    if matches!(side.program, Program::Ours(_)) {
        assert_in_order(&std::fs::read_to_string(&path).expect("our side wrote a trace"));
    }
    let last_ms = dead.into_iter().max().map_or(good.good_ms, |dead| dead.max(good.good_ms));
    let millis = u32::try_from(last_ms - good.began_ms).expect("a run is short");
    let ran = Ran { seconds: f64::from(millis) / 1e3, peak_bytes };
    let (seconds, memory) = (ran.seconds, ran.mebibytes());
    println!("W7 {}: {seconds:.2} s, {memory:.0} MiB, {POISON} dead letters", side.name);
    ran
}

fn dead_letter_topic(side: Side, catalogue: &Catalogue) -> TopicName {
    let event = catalogue.event("OrderPlaced").expect("it has the event");
    match side.program {
        Program::Ours(_) => event.dead_letter_topic.clone(),
        Program::Spring(_) | Program::Parallel(_) => {
            format!("{}-dlt", event.topic).parse().expect("a valid name")
        }
    }
}

/// The times of what is in the topic, in milliseconds since 1970.
async fn dead_letters(setting: &Setting, topic: &TopicName) -> Vec<i64> {
    let topics = [topic.clone()];
    let mut reader = Reader::start(&setting.kafka(), &topics, Position::Start, Until::CaughtUp)
        .await
        .expect("the dead letters can be read");
    let mut times = Vec::new();
    while let Some(records) = reader.next().await.expect("reading goes on") {
        times.extend(records.iter().map(|record| record.timestamp_ms));
    }
    times
}

/// A line is a key and the place of an event among all.
fn assert_in_order(trace: &str) {
    let mut keys: HashMap<&str, Vec<u64>> = HashMap::new();
    for line in trace.lines() {
        let (key, place) = line.split_once(' ').expect("two words");
        keys.entry(key).or_default().push(place.parse().expect("a number"));
    }
    assert_eq!(trace.lines().count(), EVENTS - POISON, "each good event has one effect");
    for (key, places) in keys {
        assert!(places.is_sorted(), "the events of {key} were handled out of order");
    }
}
