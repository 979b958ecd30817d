//! A process that is asked to end by SIGTERM in the midst of its work, and started again.

use std::time::{Duration, Instant};

use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::eventually;
use event_bus_tests::kafka::create_topics;
use event_bus_tests::process::signal;
use event_bus_tests::servers;
use event_bus_tests::shop::effects::{billed_events, bills};
use event_bus_tests::shop::{self, Fate, Load, PER_SECOND};
use rand::RngExt;
use tokio::process::Child;
use tokio::time::timeout;

use super::{everything_is_billed, on_each_execution};
use crate::billing_process::start_billing;

const SOON: Duration = Duration::from_secs(90);
/// A process that stops lets its handlers run for so long at most. Here they take milliseconds, so the whole stop has
/// to fit: commit, leaving the group, and the relay's last rounds.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

async fn stops_lose_nothing_and_repeat_nothing(settings: &str) {
    let stops = if servers::at_full_length() { 100 } else { 6 };
    let databases = Databases::postgres().await;
    let catalogue = shop::catalogue(6, settings);
    create_topics(&catalogue).await;
    // Slow, so that each stop finds transactions open.
    let load = Load::start(&catalogue, Fate::Slow);
    let mut longest = Duration::ZERO;
    for _ in 0..stops {
        let billed_before = bills(&databases).await.max(0);
        let billing = start_billing(&catalogue, &databases, settings);
        let some = rand::rng().random_range(1..PER_SECOND);
        let some = i64::try_from(some).expect("a small number");
        in_the_midst_of_work(&load, &databases, billed_before + some).await;
        longest = longest.max(stop(billing).await);
    }
    let last = start_billing(&catalogue, &databases, settings);
    let orders = everything_is_billed(&catalogue, &databases, load).await;
    stop(last).await;
    assert_eq!(billed_events(&catalogue).await, (orders, orders), "sent once each");
    println!("{stops} stops, {orders} orders, longest stop {longest:?}");
    databases.drop_all().await;
}

on_each_execution!(stops_lose_nothing_and_repeat_nothing);

/// Waits until so much is billed, and for a look that finds orders published and not billed.
async fn in_the_midst_of_work(load: &Load, databases: &Databases, least: i64) {
    eventually(SOON, async || {
        let published = load.published();
        let billed = bills(databases).await;
        if (least..published).contains(&billed) { Ok(()) } else { Err((published, billed)) }
    })
    .await;
}

/// Asks the process to end, and says how long that took.
async fn stop(mut process: Child) -> Duration {
    let asked = Instant::now();
    signal(&process, "TERM").await;
    let ended = timeout(DRAIN_DEADLINE, process.wait()).await;
    let status = ended.expect("it ends within the deadline").expect("it can be waited for");
    assert!(status.success(), "it ended with {status}");
    asked.elapsed()
}
