//! Mistakes of other projects, each of which torture notices in a world that is made for it: without the mistake such a
//! world holds, as torture's own runs show.

use std::path::{Path, PathBuf};

use event_bus_tests::servers;
use tempfile::TempDir;
use tokio::process::Command;

/// A mistake, and what shows it.
struct World<'a> {
    flaw: &'a str,
    seed: u32,
    store: &'a str,
    /// For how many seconds faults come.
    seconds: u32,
    /// The kinds of faults.
    only: &'a [&'a str],
    /// Further options of torture.
    more: &'a [&'a str],
    /// The promises one of which is seen to be broken.
    broken: &'a [&'a str],
}

impl World<'_> {
    async fn shows_it(self) {
        let logs = TempDir::new().expect("a temporary directory can be made");
        let mut command = Command::new(env!("CARGO_BIN_EXE_torture"));
        command.args(["run", "--broker=embedded", "--stands-still-within=20"]);
        command.arg(format!("--flaw={}", self.flaw)).arg(format!("--store={}", self.store));
        command.arg(format!("--seed={}", self.seed)).arg(format!("--seconds={}", self.seconds));
        command.args(self.only.iter().map(|kind| format!("--only={kind}")));
        command.args(self.more);
        command.arg("--event-bus").arg(servers::program()).arg("--xtask").arg(xtask());
        command.arg("--logs").arg(logs.path()).kill_on_drop(true);
        let output = command.output().await.expect("torture can be started");
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{}:\n{said}", self.flaw);
        let shows = |promise: &&str| said.contains(&format!("{promise} is broken"));
        assert!(!output.status.success(), "{} is not noticed", self.flaw);
        assert!(self.broken.iter().any(shows), "{} is not noticed for what it is", self.flaw);
    }
}

/// The first word of the command that starts a PostgreSQL.
fn xtask() -> PathBuf {
    let words = servers::start_postgres();
    Path::new(words.lines().next().expect("the command has a program")).to_owned()
}

#[tokio::test]
async fn an_offset_before_its_effect_is_noticed() {
    let (flaw, only) = ("offset-before-effect", &["kill-consumer"][..]);
    let (more, broken) = (&[], &["OffsetBehindEffects", "NoLoss"]);
    World { flaw, seed: 21, store: "sqlite", seconds: 15, only, more, broken }.shows_it().await;
}

#[tokio::test]
async fn an_effect_before_its_inbox_row_is_noticed() {
    let (flaw, only) = ("effect-before-inbox", &["kill-consumer"][..]);
    let (more, broken) = (&["--aim=behind", "--rate=10"], &["ExactlyOnce"]);
    World { flaw, seed: 23, store: "sqlite", seconds: 20, only, more, broken }.shows_it().await;
}

#[tokio::test]
async fn attempts_that_are_counted_in_memory_are_noticed() {
    let (flaw, only) = ("attempts-in-memory", &["leave"][..]);
    // On a busy machine there is not the time for so many deaths; that it is never buried shows all the same.
    let (more, broken) = (&[], &["BoundedDeaths", "ExactDeadLetters"]);
    World { flaw, seed: 22, store: "sqlite", seconds: 5, only, more, broken }.shows_it().await;
}

#[tokio::test]
async fn a_relay_with_a_cursor_is_noticed() {
    let (flaw, only) = ("cursor-relay", &["delay-database"][..]);
    let (more, broken) = (&[], &["NoLoss"]);
    World { flaw, seed: 24, store: "postgres", seconds: 15, only, more, broken }.shows_it().await;
}

#[tokio::test]
async fn an_order_by_transaction_ids_is_noticed() {
    let (flaw, only) = ("order-by-transaction-id", &["hold-broker", "cut-broker"][..]);
    let (more, broken) = (&[], &["Order"]);
    World { flaw, seed: 25, store: "postgres", seconds: 15, only, more, broken }.shows_it().await;
}

#[tokio::test]
async fn two_workers_that_skip_locked_rows_are_noticed() {
    let (flaw, only) = ("skip-locked-workers", &["freeze-relay", "hold-broker"][..]);
    let (more, broken) = (&[], &["Order"]);
    World { flaw, seed: 26, store: "postgres", seconds: 8, only, more, broken }.shows_it().await;
}
