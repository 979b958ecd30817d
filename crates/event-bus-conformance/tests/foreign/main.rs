//! The matrix of other people's clients: create, produce, consume in a group of three, commit, reset, describe, delete.
//!
//! `cargo xtask foreign` brings the clients and says where they are. What they are asked to do stands in `foreign/`,
//! and here for the programs that are driven by their arguments.

mod kcat;
mod java;

use event_bus_conformance::program::{run, variable};
use event_bus_conformance::subject::bootstrap;
use tokio::process::Command;

/// Runs a program of `foreign/`, which says itself what was wrong.
async fn passes(mut command: Command) {
    command.arg(bootstrap());
    let said = run(command, "").await;
    assert!(said.lines().filter(|line| line.starts_with("ok: ")).count() > 10, "{said}");
}

#[tokio::test]
async fn kafka_python_does_it_all() {
    let mut python = Command::new(variable("EVENT_BUS_TEST_PYTHON"));
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/foreign/python/matrix.py"));
    passes(python).await;
}

#[tokio::test]
async fn franz_go_does_it_all() {
    passes(Command::new(variable("EVENT_BUS_TEST_GO_MATRIX"))).await;
}

#[tokio::test]
async fn krafka_does_it_all() {
    passes(Command::new(variable("EVENT_BUS_TEST_RUST_MATRIX"))).await;
}
