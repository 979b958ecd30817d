//! Replicas that keep their name over a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_bus::service::RunError;
use event_bus::{Catalogue, Service};
use event_bus_conformance::connection::Connection;
use event_bus_conformance::member::{Member, assignment};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, lag, members};
use event_bus_tests::metric::counted;
use event_bus_tests::servers;
use event_bus_tests::shop::{self, Billing, Fate, OrderPlaced, Running, open_billing_at, order};

use crate::each::on_each;

const SOON: Duration = Duration::from_secs(90);
const KEYS: i64 = 24;

/// Billing as the replica of this name. Its session lasts longer than any restart of these tests.
async fn replica(catalogue: &Arc<Catalogue>, databases: &Databases, id: &str) -> Service {
    let kafka = servers::kafka_with(&[("session.timeout.ms", "60000")]);
    let service = open_billing_at(&kafka, catalogue, databases).await;
    service.instance(id.parse().expect("it is an instance's id"))
}

/// Publishes the next order of every key.
async fn publish_round(catalogue: &Catalogue, number: i64) {
    let orders: Vec<_> =
        (0..KEYS).map(|key| order(&format!("o-{key}"), number, Fate::Ok)).collect();
    shop::publish(catalogue, &orders).await;
}

/// Waits until the orders of so many rounds are billed and committed, each once and in the order of its key.
async fn billed(catalogue: &Catalogue, databases: &Databases, rounds: i64) {
    let (group, topic) = (shop::billing_group(catalogue), shop::orders(catalogue));
    let bills = "SELECT count(*) FROM bills";
    eventually(SOON, async || {
        let bills = databases.number("billing", bills).await;
        equal((bills, lag(&group, &topic).await), (rounds * KEYS, 0))
    })
    .await;
    let mut seen: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let bills = "SELECT order_id, number FROM bills ORDER BY place";
    for (key, number) in databases.rows("billing", bills).await {
        seen.entry(key).or_default().push(number);
    }
    assert!(seen.values().all(|numbers| numbers.iter().copied().eq(0..rounds)), "{seen:?}");
}

async fn dirty_partitions(databases: &Databases) -> i64 {
    databases.number("billing", "SELECT count(*) FROM partition_owners WHERE is_dirty").await
}

async fn a_restart_moves_no_partition_of_another_replica(databases: Databases, settings: &str) {
    let catalogue = shop::catalogue(4, settings);
    create_topics(&catalogue).await;
    let restarted = replica(&catalogue, &databases, "billing-0").await;
    let restarted = Running::start(restarted.on::<OrderPlaced>(Billing::default()));
    let (billing, other) = (Billing::default(), replica(&catalogue, &databases, "billing-1").await);
    let metrics = other.metrics().clone();
    let other = Running::start(other.on::<OrderPlaced>(billing.clone()));
    let mut rounds = 0;
    // Until the other one has its partitions, too.
    eventually(SOON, async || {
        publish_round(&catalogue, rounds).await;
        rounds += 1;
        billed(&catalogue, &databases, rounds).await;
        if billing.attempts().is_empty() { Err(rounds) } else { Ok(()) }
    })
    .await;
    let before = counted(&metrics, "rebalances_total");

    restarted.stop().await;
    assert_eq!(members(&shop::billing_group(&catalogue)).await.len(), 2, "it did not leave");
    assert_eq!(dirty_partitions(&databases).await, 2, "what it had is released");
    publish_round(&catalogue, rounds).await;
    let restarted = replica(&catalogue, &databases, "billing-0").await;
    let restarted = Running::start(restarted.on::<OrderPlaced>(Billing::default()));
    billed(&catalogue, &databases, rounds + 1).await;
    assert_eq!(counted(&metrics, "rebalances_total"), before);

    restarted.stop().await;
    other.stop().await;
    assert_eq!(dirty_partitions(&databases).await, 0);
    databases.drop_all().await;
}

on_each!(a_restart_moves_no_partition_of_another_replica);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_of_two_replicas_under_one_id_ends_and_says_why() {
    let (catalogue, databases) = (shop::catalogue(2, ""), Databases::sqlite());
    create_topics(&catalogue).await;
    let first = replica(&catalogue, &databases, "billing-0").await;
    let first = first.on::<OrderPlaced>(Billing::default());
    let first = tokio::spawn(first.run(std::future::pending()));
    publish_round(&catalogue, 0).await;
    billed(&catalogue, &databases, 1).await;

    let second = replica(&catalogue, &databases, "billing-0").await;
    let second = Running::start(second.on::<OrderPlaced>(Billing::default()));
    let ended = tokio::time::timeout(SOON, first).await.expect("it ends").expect("without a panic");
    let error = ended.expect_err("somebody else has its place");
    assert!(matches!(error, RunError::Fenced { .. }), "{error:?}");
    let (said, group) = (error.to_string(), shop::billing_group(&catalogue));
    for wanted in [group.as_str(), "billing-0", "--instance"] {
        assert!(said.contains(wanted), "{wanted} is not in: {said}");
    }
    publish_round(&catalogue, 1).await;
    billed(&catalogue, &databases, 2).await;
    second.stop().await;
    databases.drop_all().await;
}

/// A replica dies when it has given partitions up for a new one and has not joined again. What its group keeps for its name
/// is what it had kept, and that is given back to it without a rebalance: nobody has the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_a_dead_replica_had_given_up_get_an_owner() {
    let (catalogue, databases) = (shop::catalogue(4, ""), Databases::sqlite());
    create_topics(&catalogue).await;
    let (group, topic) = (shop::billing_group(&catalogue), shop::orders(&catalogue));
    let bootstrap = servers::kafka().bootstrap().to_owned();
    let mut died = Member::at(Connection::to(&bootstrap).await, group.as_str());
    died.instance = Some("billing-0".to_owned());
    died.session_timeout_ms = 60_000;
    died.topics = vec![topic.to_string()];
    died.protocols = vec!["cooperative-sticky"];
    died.owned = vec![0, 1, 2, 3];
    died.join().await;
    let everything = assignment(topic.as_str(), &died.owned);
    died.sync(&BTreeMap::from([(died.id.clone(), everything)])).await.expect("it leads");
    let other = replica(&catalogue, &databases, "billing-1").await;
    let other = Running::start(other.on::<OrderPlaced>(Billing::default()));
    died.until_told_to_rejoin().await;
    let members = died.join().await.members;
    let kept = |id: &str| assignment(topic.as_str(), if id == died.id { &[2] } else { &[] });
    let kept = members.iter().map(|member| (member.member_id.to_string(), kept(&member.member_id)));
    let kept = kept.collect::<BTreeMap<_, _>>();
    assert_eq!(kept.len(), 2);
    died.sync(&kept).await.expect("it leads");
    drop(died);

    let restarted = replica(&catalogue, &databases, "billing-0").await;
    let restarted = Running::start(restarted.on::<OrderPlaced>(Billing::default()));
    publish_round(&catalogue, 0).await;
    billed(&catalogue, &databases, 1).await;
    restarted.stop().await;
    other.stop().await;
    databases.drop_all().await;
}
