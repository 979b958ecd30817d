//! A group whose members come and go faster than it settles.

use std::sync::Arc;
use std::time::Duration;

use event_bus::Catalogue;
use event_bus_tests::databases::Databases;
use event_bus_tests::kafka::create_topics;
use event_bus_tests::servers;
use event_bus_tests::shop::effects::{at_least_bills, billed_events};
use event_bus_tests::shop::{self, Billing, Fate, Load, Running, run_billing};
use rand::RngExt;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::{everything_is_billed, on_each_execution};

const REPLICAS: usize = 5;
const CHANGE_EVERY: Duration = Duration::from_secs(2);
/// A member that stops in the midst of a rebalance may be gone without a word, and the coordinator waits for it as long
/// as the session time-out is here ([`servers::kafka`]).
const SILENT_MEMBER: Duration = Duration::from_secs(6);
/// A heartbeat (0.5 s) tells members of the rebalance, and the cooperative protocol takes two rounds of joining, each
/// as slow as the slowest member; then the partition is taken over and fetched. Beside compilers that takes seconds.
const TWO_ROUNDS: Duration = Duration::from_secs(3);
/// What two rebalances may take: a partition rests from its last transaction at one owner to its first at the next, and
/// a change in the midst of a rebalance begins another one.
const LONGEST_STANDSTILL: Duration = SILENT_MEMBER.saturating_add(TWO_ROUNDS).saturating_mul(2);

async fn work_goes_on_while_members_come_and_go(settings: &str) {
    let changes = if servers::at_full_length() { 90 } else { 8 };
    let databases = Databases::postgres().await;
    let catalogue = shop::catalogue(12, settings);
    create_topics(&catalogue).await;
    let load = Load::start(&catalogue, Fate::Slow);
    let mut members = Members::new(&catalogue, &databases).await;
    at_least_bills(&databases, 1).await;
    members.come_and_go(changes).await;
    let orders = everything_is_billed(&catalogue, &databases, load).await;
    members.leave().await;
    assert_eq!(billed_events(&catalogue).await.1, orders);
    let standstill = longest_standstill(&databases).await;
    println!(
        "{changes} changes, {orders} orders, longest standstill of a partition {standstill:?}"
    );
    assert!(standstill <= LONGEST_STANDSTILL, "a partition stood still for {standstill:?}");
    databases.drop_all().await;
}

on_each_execution!(work_goes_on_while_members_come_and_go);

/// Billing's replicas.
struct Members<'a> {
    catalogue: &'a Arc<Catalogue>,
    databases: &'a Databases,
    running: Vec<Running>,
    leaving: JoinSet<()>,
}

impl<'a> Members<'a> {
    async fn new(catalogue: &'a Arc<Catalogue>, databases: &'a Databases) -> Self {
        let mut members =
            Self { catalogue, databases, running: Vec::new(), leaving: JoinSet::new() };
        for _ in 0..REPLICAS {
            members.join().await;
        }
        members
    }

    async fn join(&mut self) {
        let billing = run_billing(self.catalogue, self.databases, Billing::default());
        self.running.push(billing.await);
    }

    /// One joins or leaves, again and again. One is always there.
    async fn come_and_go(&mut self, changes: usize) {
        let mut ticks = interval(CHANGE_EVERY);
        ticks.tick().await;
        for _ in 0..changes {
            ticks.tick().await;
            let one_joins = match self.running.len() {
                1 => true,
                REPLICAS => false,
                _ => rand::random(),
            };
            if one_joins {
                self.join().await;
            } else {
                let who = rand::rng().random_range(0..self.running.len());
                self.leaving.spawn(self.running.swap_remove(who).stop());
            }
        }
    }

    /// All leave, and those that left before have ended well.
    async fn leave(mut self) {
        for running in self.running {
            self.leaving.spawn(running.stop());
        }
        self.leaving.join_all().await;
    }
}

/// The longest time between two transactions of a partition. Orders kept coming to each.
async fn longest_standstill(databases: &Databases) -> Duration {
    let milliseconds = "SELECT CAST(1000 * max(extract(epoch FROM standstill)) AS bigint) FROM (
        SELECT processed_at - lag(processed_at) OVER (PARTITION BY partition_id ORDER BY processed_at)
            AS standstill FROM processed_events) AS standstills";
    let found = databases.number("billing", milliseconds).await;
    Duration::from_millis(u64::try_from(found).expect("time does not go back"))
}
