//! What a service that is under load goes through: members that come and go, stops, outages of its database. Afterwards
//! nothing is lost, nothing took effect twice, and each key's effects are in order.

mod churn;
mod outages;
mod stops;

use std::time::Duration;

use event_bus::Catalogue;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::everything_in;
use event_bus_tests::shop::effects::{all_settled, billed_events, check_effects};
use event_bus_tests::shop::{self, Load};

/// Makes a test on PostgreSQL of each function, for each way to execute.
macro_rules! on_each_execution {
    ($name:ident) => {
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn batched() {
                super::$name("").await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn concurrently() {
                super::$name("execution = \"concurrent(8)\"").await;
            }
        }
    };
}

use on_each_execution;

/// How long what is in the outbox may take to be sent, beside much else.
const SENT_WITHIN: Duration = Duration::from_secs(60);

/// Waits until the event of each order has left the outbox: a relay may have waited for its database a moment ago.
async fn everything_is_sent(catalogue: &Catalogue, orders: usize) {
    eventually(SENT_WITHIN, async || equal(billed_events(catalogue).await.1, orders)).await;
}

/// Ends the load, waits until what runs has billed all of it, and says how many orders that were. None is dead.
async fn everything_is_billed(catalogue: &Catalogue, databases: &Databases, load: Load) -> usize {
    let orders = load.end().await;
    let count = i64::try_from(orders.len()).expect("a small number");
    all_settled(catalogue, databases, count).await;
    check_effects(databases, &orders).await;
    let handled = "SELECT count(*) FROM processed_events WHERE status = 'done'";
    assert_eq!(databases.number("billing", handled).await, count);
    let dead = everything_in(&[shop::orders(catalogue).dead_letter()]).await;
    assert!(dead.is_empty(), "{dead:?}");
    orders.len()
}
