//! W4a: a backlog, then the relay starts. And a larger backlog, of which each part must go as fast as the others.

use std::time::Duration;

use super::log::Log;
use super::rows::{WRITERS, Writer, clean_up};
use super::side::{SIDES, Side, Used};
use super::{Setting, Turn};
use crate::broker::memory::mebibytes;
use crate::consume::mark::Mark;
use crate::publish::turn::Quartiles;

/// Rows of a transaction.
const TRANSACTION: usize = 10;
/// How much faster than the peer.
const FASTER: f64 = 3.0;
/// What of the peer's memory and processors.
const SHARE: f64 = 0.1;
/// Rows of a backlog whose rate and memory are told at a time.
const PART: usize = 100_000;
/// How much slower a part of a backlog may be than the first.
const SLOWDOWN: f64 = 0.67;
/// How much more memory the relay may have behind a backlog than after its first part.
const GROWTH: f64 = 1.3;

/// Writes a backlog, by all writers at once.
async fn write(side: Side, turn: &Turn, rows: usize) {
    let mut writing = tokio::task::JoinSet::new();
    for nth in 0..WRITERS {
        let mut writer = Writer::open(side, &turn.url, &turn.topic).await;
        writing.spawn(async move {
            let numbers: Vec<usize> = (nth..rows).step_by(WRITERS).collect();
            for part in numbers.chunks(TRANSACTION) {
                writer.commit(part).await;
            }
        });
    }
    writing.join_all().await;
}

/// Rows per second between two appends.
#[expect(clippy::cast_precision_loss, reason = "counts and milliseconds are far below 2^53")]
fn rate(rows: usize, first_ms: i64, last_ms: i64) -> f64 {
    rows as f64 * 1e3 / (last_ms - first_ms).max(1) as f64
}

async fn one(setting: &Setting, side: Side, rows: usize) -> (f64, Used) {
    let turn = setting.turn(side).await;
    write(side, &turn, rows).await;
    let relay = setting.start(side, &turn);
    let mut log = Log::open(&setting.bootstrap, &turn);
    let times = tokio::task::block_in_place(|| log.take(rows)).into_iter().map(|row| row.at_ms);
    let (first, last) =
        times.fold((i64::MAX, 0), |(first, last), at| (first.min(at), last.max(at)));
    let used = relay.stop();
    clean_up(side, &turn.url).await;
    let rate = rate(rows, first, last);
    println!(
        "W4a {:16} {rate:>8.0} rows/s, {:>4} MiB, {:>5.2} s CPU",
        side.name(),
        mebibytes(used.peak_bytes),
        used.cpu.as_secs_f64()
    );
    (rate, used)
}

/// Runs W4a.
pub async fn run(setting: &Setting, rows: usize, rounds: usize) -> Vec<Mark> {
    println!("\nW4a: {rows} rows in transactions of {TRANSACTION}, then the relay starts");
    let mut turns = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (side, turns) in SIDES.into_iter().zip(&mut turns) {
            turns.push(one(setting, side, rows).await);
        }
    }
    let of = |figure: fn(&(f64, Used)) -> f64| {
        turns.each_ref().map(|turns| Quartiles::of(turns.iter().map(figure)).median())
    };
    let [ours, peers] = of(|turn| turn.0);
    let mut marks = vec![Mark::at_least("W4a: times Debezium's rate", ours / peers, FASTER)];
    marks.extend(shares("W4a", of(|turn| bytes(turn.1)), of(|turn| turn.1.cpu.as_secs_f64())));
    marks
}

/// The marks of memory and processors.
pub fn shares(workload: &str, [memory, peers]: [f64; 2], [cpu, peers_cpu]: [f64; 2]) -> [Mark; 2] {
    [
        Mark::at_most(format!("{workload}: share of Debezium's memory"), memory / peers, SHARE),
        Mark::at_most(format!("{workload}: share of Debezium's CPU"), cpu / peers_cpu, SHARE),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "a process has less memory than 2^53 bytes")]
pub fn bytes(used: Used) -> f64 {
    used.peak_bytes as f64
}

/// Drains a large backlog.
#[expect(clippy::cast_precision_loss, reason = "a process has less memory than 2^53 bytes")]
pub async fn backlog(setting: &Setting, rows: usize) -> Vec<Mark> {
    println!("\nBacklog: {rows} rows of our relay");
    let turn = setting.turn(Side::Ours).await;
    write(Side::Ours, &turn, rows).await;
    let relay = setting.start(Side::Ours, &turn);
    let mut log = Log::open(&setting.bootstrap, &turn);
    let (mut parts, mut begin, mut cpu) = (Vec::new(), None, Duration::ZERO);
    for nth in 0..rows / PART {
        let times: Vec<i64> = tokio::task::block_in_place(|| log.take(PART))
            .into_iter()
            .map(|row| row.at_ms)
            .collect();
        let last = times.iter().copied().max().unwrap_or(0);
        let first = begin.unwrap_or_else(|| times.iter().copied().min().unwrap_or(0));
        let (rate, memory) = (rate(PART, first, last), relay.resident_bytes());
        let now = relay.cpu();
        println!(
            "rows up to {:>9}: {rate:>8.0} rows/s, {:>4} MiB, {:>5.2} s CPU",
            (nth + 1) * PART,
            mebibytes(memory),
            (now - cpu).as_secs_f64()
        );
        (begin, cpu) = (Some(last), now);
        parts.push((rate, memory));
    }
    relay.stop();
    let Some((first, memory)) = parts.first().copied() else { return Vec::new() };
    let slowest = parts.iter().map(|part| part.0).fold(f64::INFINITY, f64::min);
    let most = parts.iter().map(|part| part.1).max().unwrap_or(memory);
    vec![
        Mark::at_least(
            "backlog: the slowest part's rate by the first's",
            slowest / first,
            SLOWDOWN,
        ),
        Mark::at_most(
            "backlog: the most memory by the first part's",
            most as f64 / memory as f64,
            GROWTH,
        ),
    ]
}
