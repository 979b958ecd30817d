//! A database that goes away in the midst of the work, and comes back.

use std::time::{Duration, Instant};

use event_bus_tests::databases::Databases;
use event_bus_tests::kafka::{create_topics, everything_in};
use event_bus_tests::own_postgres::OwnPostgres;
use event_bus_tests::servers;
use event_bus_tests::shop::effects::{at_least_bills, billed_events, bills};
use event_bus_tests::shop::{self, Billing, Fate, Load, run_billing};

use super::{everything_is_billed, everything_is_sent, on_each_execution};

/// How soon after its return the first order has to be billed. While the database is away it is asked every two seconds
/// at least.
const RESUMES_WITHIN: Duration = Duration::from_secs(10);

async fn outages_of_the_database_are_nobodys_failure(settings: &str) {
    let (outages, outage) = if servers::at_full_length() {
        (5, Duration::from_secs(60))
    } else {
        (2, Duration::from_secs(3))
    };
    let mut postgres = OwnPostgres::start().await;
    let databases = Databases::postgres_on(postgres.url()).await;
    let catalogue = shop::catalogue(6, settings);
    create_topics(&catalogue).await;
    let load = Load::start(&catalogue, Fate::Emit);
    let mut running = run_billing(&catalogue, &databases, Billing::default()).await;
    let mut resumed_after = Vec::new();
    for _ in 0..outages {
        let some = bills(&databases).await.max(0) + 200;
        at_least_bills(&databases, some).await;
        postgres.stop().await;
        running.runs_for(outage).await;
        postgres.start_again().await;
        let returned = Instant::now();
        let billed = at_least_bills(&databases, 0).await;
        at_least_bills(&databases, billed + 1).await;
        resumed_after.push(returned.elapsed());
        let dead = everything_in(&[shop::orders(&catalogue).dead_letter()]).await;
        assert!(dead.is_empty(), "{dead:?}");
    }
    let orders = everything_is_billed(&catalogue, &databases, load).await;
    everything_is_sent(&catalogue, orders).await;
    running.stop().await;
    // What was sent and could not be removed from the outbox is sent again.
    let (records, events) = billed_events(&catalogue).await;
    assert_eq!(events, orders);
    println!(
        "{outages} outages, {orders} orders, {records} records, resumed after {resumed_after:?}"
    );
    assert!(resumed_after.iter().all(|after| *after <= RESUMES_WITHIN), "{resumed_after:?}");
    databases.drop_all().await;
    postgres.stop().await;
}

on_each_execution!(outages_of_the_database_are_nobodys_failure);
