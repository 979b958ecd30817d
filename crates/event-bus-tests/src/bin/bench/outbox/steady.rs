//! W4b: the relay is up, and processes of their own commit 500 one-row transactions a second.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use super::Setting;
use super::drain::{bytes, shares};
use super::log::Log;
use super::rows::{WRITERS, clean_up};
use super::side::{SIDES, Side, Used};
use crate::broker::memory::mebibytes;
use crate::consume::mark::Mark;
use crate::publish::turn::Quartiles;

const PER_SECOND: usize = 500;
/// Seconds that don't count.
const WARM_UP: usize = 5;
/// The broker tells whole milliseconds: half of one is lost on average.
const CLOCK_MS: f64 = 0.5;
/// What of the peer's median.
const HALF: f64 = 0.5;

/// What a turn showed.
struct Ran {
    p50_ms: f64,
    p99_ms: f64,
    used: Used,
}

/// When each COMMIT returned, by the numbers of the rows.
fn committed_by(side: Side, url: &str, topic: &str, transactions: usize) -> HashMap<usize, i64> {
    let every_micros = (1_000_000 * WRITERS / PER_SECOND).to_string();
    let each = (transactions / WRITERS).to_string();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let program = std::env::current_exe().expect("it is a file");
            let mut command = Command::new(program);
            let side = if side == Side::Ours { "ours" } else { "debezium" };
            command.args(["write", "--side", side, "--url", url, "--topic", topic]);
            command.args(["--writer", &writer.to_string(), "--transactions", &each]);
            command.args(["--every-micros", &every_micros]);
            command.stdout(Stdio::piped()).spawn().expect("a writer starts")
        })
        .collect();
    writers
        .into_iter()
        .flat_map(|writer| {
            let output = writer.wait_with_output().expect("it can be waited for");
            assert!(output.status.success(), "a writer failed");
            serde_json::from_slice::<Vec<(usize, i64)>>(&output.stdout).expect("it tells its times")
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "times in microseconds are below 2^53")]
async fn one(setting: &Setting, side: Side, seconds: usize) -> Ran {
    let turn = setting.turn(side).await;
    let relay = setting.start(side, &turn);
    let transactions = PER_SECOND * (WARM_UP + seconds);
    let (log, committed) = tokio::task::block_in_place(|| {
        let committed = committed_by(side, &turn.url, turn.topic.as_ref(), transactions);
        (Log::open(&setting.bootstrap, &turn).take(transactions), committed)
    });
    let used = relay.stop();
    clean_up(side, &turn.url).await;
    let waits = log.iter().filter(|row| row.number >= PER_SECOND * WARM_UP).map(|row| {
        let committed = committed[&row.number] as f64 / 1e3;
        (row.at_ms as f64 + CLOCK_MS - committed).max(0.0)
    });
    let waits = Quartiles::of(waits);
    let (p50_ms, p99_ms) = (waits.median(), waits.at_percent(99));
    println!(
        "W4b {:16} p50 {p50_ms:>6.2} ms, p99 {p99_ms:>6.2} ms, {:>4} MiB, {:>5.2} s CPU",
        side.name(),
        mebibytes(used.peak_bytes),
        used.cpu.as_secs_f64()
    );
    Ran { p50_ms, p99_ms, used }
}

/// Runs W4b.
pub async fn run(setting: &Setting, rounds: usize, seconds: u32) -> Vec<Mark> {
    println!("\nW4b: {PER_SECOND} one-row transactions a second, of {WRITERS} other processes");
    let mut turns = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (side, turns) in SIDES.into_iter().zip(&mut turns) {
            turns.push(one(setting, side, seconds as usize).await);
        }
    }
    let of = |figure: fn(&Ran) -> f64| {
        turns.each_ref().map(|turns| Quartiles::of(turns.iter().map(figure)).median())
    };
    let ([p50, peers_p50], [p99, peers_p99]) = (of(|ran| ran.p50_ms), of(|ran| ran.p99_ms));
    let mut marks = vec![
        Mark::at_most("W4b: p50 by Debezium's", p50 / peers_p50, HALF),
        Mark::at_most("W4b: p99 by Debezium's", p99 / peers_p99, 1.0),
    ];
    let cpu = of(|ran| ran.used.cpu.as_secs_f64());
    marks.extend(shares("W4b", of(|ran| bytes(ran.used)), cpu));
    marks
}
