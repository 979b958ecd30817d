//! Replicas come and go, services stop and start, offsets are moved: no event is lost and none takes effect twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_bus::Catalogue;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{committed, create_topics, everything_in, lag, members, send_all};
use event_bus_tests::kafka_tools::{delete_records_below, reset_offsets, reset_to_earliest};
use event_bus_tests::metric::counted;
use event_bus_tests::servers;
use event_bus_tests::shop::{
    self, Billing, Fate, OrderPlaced, Running, open_billing_at, order, run_billing,
};

use crate::each::on_each;

const SOON: Duration = Duration::from_secs(90);
const KEYS: i64 = 30;

/// `count` orders of all keys in turn.
fn orders(count: i64) -> Vec<OrderPlaced> {
    (0..count).map(|n| order(&format!("o-{}", n % KEYS), n / KEYS, Fate::Ok)).collect()
}

async fn bills(databases: &Databases) -> i64 {
    databases.try_number("billing", "SELECT count(*) FROM bills").await.unwrap_or(-1)
}

async fn at_least_bills(databases: &Databases, count: i64) {
    eventually(SOON, async || match bills(databases).await {
        enough if enough >= count => Ok(()),
        few => Err(few),
    })
    .await;
}

async fn all_settled(catalogue: &Catalogue, databases: &Databases, bill_count: i64) {
    let (group, orders) = (shop::billing_group(catalogue), shop::orders(catalogue));
    eventually(SOON, async || {
        equal((bills(databases).await, lag(&group, &orders).await), (bill_count, 0))
    })
    .await;
}

/// Each order has one effect, each key's in order.
async fn check_effects(databases: &Databases, orders: &[OrderPlaced]) {
    let mut wanted: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for order in orders {
        wanted.entry(order.order_id.clone()).or_default().push(order.number);
    }
    let mut seen: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (key, number) in
        databases.rows("billing", "SELECT order_id, number FROM bills ORDER BY place").await
    {
        seen.entry(key).or_default().push(number);
    }
    assert_eq!(seen, wanted);
}

async fn a_stop_under_load_leaves_no_gap_and_repeats_nothing(databases: Databases, settings: &str) {
    let catalogue = shop::catalogue(3, settings);
    create_topics(&catalogue).await;
    let orders = orders(3_000);
    shop::publish(&catalogue, &orders).await;
    let group = shop::billing_group(&catalogue);
    let mut stopped_at = 0;
    while stopped_at < 3_000 {
        let billing = Billing::default();
        let running = run_billing(&catalogue, &databases, billing.clone()).await;
        at_least_bills(&databases, (stopped_at + 500).min(3_000)).await;
        running.stop().await;
        let billed = bills(&databases).await;
        let below_offsets = committed(&group).await.values().sum::<i64>();
        // Keys overtake each other under concurrent execution; in batches nothing is settled behind an unsettled event.
        assert!(
            below_offsets == billed || below_offsets < billed && !settings.is_empty(),
            "{below_offsets} of {billed}"
        );
        assert_eq!(i64::try_from(billing.attempts().len()), Ok(billed - stopped_at));
        stopped_at = billed;
    }
    assert_eq!(lag(&group, &shop::orders(&catalogue)).await, 0);
    check_effects(&databases, &orders).await;
    databases.drop_all().await;
}

on_each!(a_stop_under_load_leaves_no_gap_and_repeats_nothing);

/// A replica joins and another leaves at that moment, several times, while orders flow; and afterwards everything is
/// delivered once more.
async fn replicas_that_come_and_go_leave_no_trace(databases: Databases, settings: &str) {
    let catalogue = shop::catalogue(6, settings);
    create_topics(&catalogue).await;
    let orders = orders(3_000);
    let group = shop::billing_group(&catalogue);
    let mut running = run_billing(&catalogue, &databases, Billing::default()).await;
    for (round, piece) in (0..).zip(orders.chunks(750)) {
        shop::publish(&catalogue, piece).await;
        at_least_bills(&databases, round * 750 + 100).await;
        let before = members(&group).await;
        let joining = run_billing(&catalogue, &databases, Billing::default()).await;
        if round < 3 {
            eventually(SOON, async || match members(&group).await {
                now if now.iter().any(|member| !before.contains(member)) => Ok(()),
                now => Err(now),
            })
            .await;
            std::mem::replace(&mut running, joining).stop().await;
        } else {
            joining.stop().await;
        }
    }
    all_settled(&catalogue, &databases, 3_000).await;
    running.stop().await;
    check_effects(&databases, &orders).await;

    reset_to_earliest(&group, &shop::orders(&catalogue)).await;
    let billing = Billing::default();
    let running = run_billing(&catalogue, &databases, billing.clone()).await;
    all_settled(&catalogue, &databases, 3_000).await;
    running.stop().await;
    assert!(billing.attempts().is_empty(), "a known event does not reach the handler");
    check_effects(&databases, &orders).await;
    assert!(everything_in(&[shop::orders(&catalogue).dead_letter()]).await.is_empty());
    databases.drop_all().await;
}

on_each!(replicas_that_come_and_go_leave_no_trace);

/// A replica that stops still drains when another joins and takes partitions from it: both want an answer at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_ends_that_is_asked_for_its_partitions_while_it_stops() {
    let databases = Databases::postgres().await;
    // The order that hangs keeps the drain going for longer than the other needs to join.
    let catalogue = shop::catalogue(
        4,
        "execution = \"concurrent(8)\"\nhandler-timeout = \"7s\"\nretry = [\"60s\"]",
    );
    create_topics(&catalogue).await;
    let mut orders = orders(100);
    shop::publish(&catalogue, &orders).await;
    let hanging = order("hanging", 0, Fate::Hang);
    shop::publish(&catalogue, std::slice::from_ref(&hanging)).await;
    let billing = Billing::default();
    let first = run_billing(&catalogue, &databases, billing.clone()).await;
    at_least_bills(&databases, 100).await;
    eventually(SOON, async || equal(billing.attempts_at("hanging").is_empty(), false)).await;

    let stopping = tokio::spawn(first.stop());
    let second = run_billing(&catalogue, &databases, Billing::default()).await;
    stopping.await.expect("the first replica ends");
    let more: Vec<_> = (0..30).map(|n| order(&format!("later-{n}"), 0, Fate::Ok)).collect();
    shop::publish(&catalogue, &more).await;
    at_least_bills(&databases, 130).await;
    second.stop().await;
    orders.extend(more);
    check_effects(&databases, &orders).await;
    databases.drop_all().await;
}

async fn a_reset_repeats_neither_effects_nor_dead_letters(databases: Databases, settings: &str) {
    let catalogue = shop::catalogue(2, &format!("retry = [\"20ms\"]\n{settings}"));
    create_topics(&catalogue).await;
    let fates = [Fate::Ok, Fate::Fail, Fate::Ok, Fate::Reject, Fate::FailOnce];
    let fates = fates.into_iter().cycle();
    let orders: Vec<_> =
        (0..50).zip(fates).map(|(n, fate)| order(&format!("o-{}", n % 7), n, fate)).collect();
    shop::publish(&catalogue, &orders).await;
    let (group, topic) = (shop::billing_group(&catalogue), shop::orders(&catalogue));
    for round in 0..2 {
        if round > 0 {
            reset_to_earliest(&group, &topic).await;
        }
        let billing = Billing::default();
        let running = run_billing(&catalogue, &databases, billing.clone()).await;
        all_settled(&catalogue, &databases, 30).await;
        running.stop().await;
        assert_eq!(everything_in(&[topic.dead_letter()]).await.len(), 20);
        assert_eq!(billing.attempts().is_empty(), round > 0);
    }
    databases.drop_all().await;
}

on_each!(a_reset_repeats_neither_effects_nor_dead_letters);

async fn an_offset_does_not_pass_an_event_that_waits_for_its_retry(
    databases: Databases,
    settings: &str,
) {
    let catalogue = shop::catalogue(1, &format!("retry = [\"30s\"]\n{settings}"));
    create_topics(&catalogue).await;
    let mut orders = orders(20);
    orders.insert(7, order("bad", 0, Fate::Fail));
    orders.push(order("bad", 1, Fate::Ok));
    shop::publish(&catalogue, &orders).await;
    let group = shop::billing_group(&catalogue);
    for _ in 0..2 {
        let billing = Billing::default();
        let running = run_billing(&catalogue, &databases, billing.clone()).await;
        at_least_bills(&databases, 20).await;
        eventually(SOON, async || equal(billing.attempts_at("bad").is_empty(), false)).await;
        running.stop().await;
        assert!(
            billing
                .attempts_at("bad")
                .iter()
                .all(|attempt| (attempt.number, attempt.attempt) == (0, 1))
        );
        assert_eq!(bills(&databases).await, 20);
        assert_eq!(committed(&group).await, BTreeMap::from([(0, 7)]));
    }
    databases.drop_all().await;
}

on_each!(an_offset_does_not_pass_an_event_that_waits_for_its_retry);

/// Between two polls no handler is waited for, so the client never says that it can't keep up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_takes_longer_than_the_poll_interval_keeps_its_partition() {
    let (catalogue, databases) =
        (shop::catalogue(1, "handler-timeout = \"9s\""), Databases::sqlite());
    create_topics(&catalogue).await;
    shop::publish(&catalogue, &[order("slow", 0, Fate::Hang)]).await;
    let kafka = servers::kafka_with(&[("max.poll.interval.ms", "6000")]);
    let billing = Billing::default();
    let service = open_billing_at(&kafka, &catalogue, &databases).await;
    let metrics = service.metrics().clone();
    let running = Running::start(service.on::<OrderPlaced>(billing.clone()));
    let attempted = async |times| {
        let attempts = || billing.attempts().iter().map(|attempt| attempt.attempt).collect();
        eventually(SOON, async || equal::<Vec<u32>>(attempts(), (1..=times).collect())).await;
    };
    attempted(1).await;
    let before = counted(&metrics, "rebalances_total");
    attempted(2).await;
    assert_eq!(counted(&metrics, "rebalances_total"), before);
    running.stop().await;
    databases.drop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_waits_for_its_topics() {
    let databases = Databases::sqlite();
    let catalogue = shop::catalogue(2, "");
    run_billing(&catalogue, &databases, Billing::default()).await.stop().await;
    let running = run_billing(&catalogue, &databases, Billing::default()).await;
    create_topics(&catalogue).await;
    shop::publish(&catalogue, &orders(20)).await;
    all_settled(&catalogue, &databases, 20).await;
    running.stop().await;
}

/// Orders of a partition that the test chooses.
async fn publish_to(
    catalogue: &Arc<Catalogue>,
    partition: i32,
    key: &str,
    numbers: std::ops::Range<i64>,
) {
    let records = numbers.map(|number| {
        let mut record = shop::sealed(catalogue, &order(key, number, Fate::Ok));
        record.partition = Some(partition);
        record
    });
    send_all(records.collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_halts_where_retention_took_events() {
    let databases = Databases::sqlite();
    let catalogue = shop::catalogue(2, "");
    create_topics(&catalogue).await;
    let (group, topic) = (shop::billing_group(&catalogue), shop::orders(&catalogue));
    publish_to(&catalogue, 0, "halted", 0..10).await;
    publish_to(&catalogue, 1, "other", 0..5).await;
    let running = run_billing(&catalogue, &databases, Billing::default()).await;
    all_settled(&catalogue, &databases, 15).await;
    running.stop().await;

    publish_to(&catalogue, 0, "halted", 10..20).await;
    delete_records_below(&topic, 0, 15).await;
    let running = run_billing(&catalogue, &databases, Billing::default()).await;
    publish_to(&catalogue, 0, "halted", 20..25).await;
    for upto in [10, 15] {
        // The other partition goes on, twice: long enough for this one to go on as well, if it did.
        publish_to(&catalogue, 1, "other", upto - 5..upto).await;
        at_least_bills(&databases, 10 + upto).await;
    }
    running.stop().await;
    assert_eq!(bills(&databases).await, 25);
    assert_eq!(committed(&group).await, BTreeMap::from([(0, 10), (1, 15)]));

    // The cure that the error names: accept the loss.
    reset_offsets(&group, &topic, &["--to-earliest"]).await;
    let running = run_billing(&catalogue, &databases, Billing::default()).await;
    all_settled(&catalogue, &databases, 35).await;
    running.stop().await;
    databases.drop_all().await;
}
