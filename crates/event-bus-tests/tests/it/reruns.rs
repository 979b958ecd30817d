//! A group runs a range of the log again: what never took effect, or all of it under a new epoch, or for a try.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_bus::Catalogue;
use event_bus::control::Asker;
use event_bus::headers;
use event_bus::kafka::admin::{Admin, TopicPartition};
use event_bus::publisher::Publisher;
use event_bus::rerun::{Mode, Only, Planned, Range, RerunError};
use event_bus::reset::Target;
use event_bus::store::Store;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, everything_in, lag, members};
use event_bus_tests::servers;
use event_bus_tests::shop::effects::{all_settled, billed_events, check_effects};
use event_bus_tests::shop::{self, Billing, Fate, OrderPlaced, order, run_billing};

use crate::both::on_both_databases;

const SOON: Duration = Duration::from_secs(90);
const AGAIN: Mode = Mode::Reprocess { emits: false };

on_both_databases!(
    a_dropped_projection_is_rebuilt_exactly_and_emits_nothing,
    only_what_is_meant_runs_again_and_what_is_emitted_has_the_ids_that_it_had,
    a_redelivery_takes_effect_only_where_nothing_did,
    what_one_run_left_out_the_next_one_brings,
    what_died_and_runs_again_is_not_replayed_on_top,
    a_dry_run_changes_nothing_and_tells_what_would,
);

/// An operator with what it takes.
struct Operator {
    catalogue: Arc<Catalogue>,
    admin: Admin,
    publisher: Arc<Publisher>,
}

impl Operator {
    fn of(catalogue: &Arc<Catalogue>) -> Self {
        let kafka = servers::kafka();
        let publisher = Publisher::connect(Arc::clone(catalogue), &kafka);
        Self {
            catalogue: Arc::clone(catalogue),
            admin: Admin::connect(&kafka).expect("an admin client can be made"),
            publisher: Arc::new(publisher.expect("a publisher can be made")),
        }
    }

    async fn asker(&self) -> Asker {
        let group = shop::billing_group(&self.catalogue);
        let asker = Asker::of(group, "ops", &servers::kafka(), Arc::clone(&self.publisher)).await;
        asker.expect("the topic of commands can be read")
    }

    async fn plan(&self, only: Only, to: Option<Target>) -> Result<Planned, RerunError> {
        let (group, topic) = (shop::billing_group(&self.catalogue), shop::orders(&self.catalogue));
        let range = Range { group, topic, from: Target::Earliest, to, only };
        range.plan(&self.catalogue, &self.admin).await
    }

    /// Has the running service run it again.
    async fn run_again(&self, mode: Mode, only: Only) {
        let planned = self.plan(only, None).await.expect("something was settled");
        let mut asker = self.asker().await;
        let with = (&self.admin, &*self.publisher);
        let done = planned.run_again(mode, &mut asker, with, ("ops", Some("a test"))).await;
        done.expect("it runs again");
        let group = shop::billing_group(&self.catalogue);
        eventually(SOON, async || match members(&group).await.len() {
            0 => Err("the service is not back"),
            _ => Ok(()),
        })
        .await;
    }

    /// Waits until billing has settled all orders.
    async fn is_through(&self) {
        let (group, topic) = (shop::billing_group(&self.catalogue), shop::orders(&self.catalogue));
        eventually(SOON, async || equal(lag(&group, &topic).await, 0)).await;
    }
}

async fn change(databases: &Databases, sql: &'static str) {
    let store = Store::open_existing(&databases.url("billing")).await.expect("it is there");
    let mut tx = store.begin().await.expect("a transaction begins");
    tx.execute(sql, &[]).await.expect("the statement is right");
    tx.commit().await.expect("it commits");
    store.close().await;
}

/// Orders of three keys, of which every third is emitted.
fn orders(count: i64) -> Vec<OrderPlaced> {
    let fate = |number| if number % 3 == 0 { Fate::Emit } else { Fate::Ok };
    (0..count).map(|number| order(&format!("key-{}", number % 3), number, fate(number))).collect()
}

/// What is meant by an order's key alone.
async fn of_key(catalogue: &Catalogue, order_id: &str) -> Only {
    let records = everything_in(&[shop::orders(catalogue)]).await;
    let key = records.iter().find(|record| {
        let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default());
        value.contains(order_id)
    });
    let key = key.and_then(|record| record.key.clone()).expect("it has a key");
    Only { key: Some(String::from_utf8(key.to_vec()).expect("keys are text")), tenant: None }
}

async fn shop_with(orders: &[OrderPlaced]) -> (Arc<Catalogue>, Operator) {
    let catalogue = shop::catalogue(2, "retry = [\"1ms\"]");
    create_topics(&catalogue).await;
    shop::publish(&catalogue, orders).await;
    let operator = Operator::of(&catalogue);
    (catalogue, operator)
}

async fn a_dropped_projection_is_rebuilt_exactly_and_emits_nothing(databases: &Databases) {
    let orders = orders(60);
    let (catalogue, operator) = shop_with(&orders).await;
    let billing = Billing::default();
    let running = run_billing(&catalogue, databases, billing.clone()).await;
    all_settled(&catalogue, databases, 60).await;
    eventually(SOON, async || equal(billed_events(&catalogue).await.1, 20)).await;
    let emitted = billed_events(&catalogue).await;

    change(databases, "DELETE FROM bills").await;
    operator.run_again(AGAIN, Only::default()).await;
    all_settled(&catalogue, databases, 60).await;
    // New orders come behind it and are emitted as ever.
    let later: Vec<_> = (60..66).map(|number| order("key-0", number, Fate::Emit)).collect();
    shop::publish(&catalogue, &later).await;
    all_settled(&catalogue, databases, 66).await;
    eventually(SOON, async || equal(billed_events(&catalogue).await.1, emitted.1 + 6)).await;
    // Who goes back once more finds that all of it ran.
    operator.run_again(Mode::Redeliver, Only::default()).await;
    operator.is_through().await;
    running.stop().await;
    let all: Vec<_> = orders.into_iter().chain(later).collect();
    check_effects(databases, &all).await;
    assert_eq!(billing.attempts().len(), 60 + 60 + 6);
    assert_eq!(billed_events(&catalogue).await.1, 26);
}

async fn only_what_is_meant_runs_again_and_what_is_emitted_has_the_ids_that_it_had(
    databases: &Databases,
) {
    let orders: Vec<_> =
        orders(30).into_iter().map(|order| OrderPlaced { fate: Fate::Emit, ..order }).collect();
    let (catalogue, operator) = shop_with(&orders).await;
    let billing = Billing::default();
    let running = run_billing(&catalogue, databases, billing.clone()).await;
    all_settled(&catalogue, databases, 30).await;
    let only = Only { tenant: Some(shop::TENANT.to_owned()), ..of_key(&catalogue, "key-1").await };
    operator.run_again(Mode::Reprocess { emits: true }, only).await;
    all_settled(&catalogue, databases, 40).await;
    assert_eq!(billing.attempts_at("key-1").len(), 20);
    assert_eq!(billing.attempts().len(), 40, "another key ran again");
    // They go out once more and are the same events.
    eventually(SOON, async || equal(billed_events(&catalogue).await, (40, 30))).await;

    let nobodys = Only { tenant: Some("nobody".to_owned()), ..Only::default() };
    operator.run_again(AGAIN, nobodys).await;
    operator.is_through().await;
    running.stop().await;
    assert_eq!(billing.attempts().len(), 40, "another tenant's ran again");
    let stopped = operator.plan(Only::default(), None).await.expect("it was settled");
    let with = (&operator.admin, &*operator.publisher);
    let refused = stopped.run_again_at_rest(AGAIN, None, with, ("ops", None)).await;
    assert!(matches!(refused, Err(RerunError::NeedsStore { .. })), "{refused:?}");
}

async fn a_redelivery_takes_effect_only_where_nothing_did(databases: &Databases) {
    let orders = orders(20);
    let (catalogue, operator) = shop_with(&orders).await;
    let (group, topic) = (shop::billing_group(&catalogue), shop::orders(&catalogue));
    // Somebody had the group leave out the first five of each partition.
    let skip: BTreeMap<_, _> =
        (0..2).map(|partition| (TopicPartition { topic: topic.clone(), partition }, 5)).collect();
    operator.admin.commit_offsets(&group, &skip).await.expect("nobody is in the group");
    let billing = Billing::default();
    let running = run_billing(&catalogue, databases, billing.clone()).await;
    let records = everything_in(std::slice::from_ref(&topic)).await;
    let left_out = records.iter().filter(|record| record.offset < 5).count();
    all_settled(&catalogue, databases, i64::try_from(20 - left_out).expect("a few")).await;
    running.stop().await;

    let planned = operator.plan(Only::default(), None).await.expect("something was settled");
    let with = (&operator.admin, &*operator.publisher);
    let done = planned.run_again_at_rest(Mode::Redeliver, None, with, ("ops", None)).await;
    done.expect("it needs no database");
    let running = run_billing(&catalogue, databases, billing.clone()).await;
    all_settled(&catalogue, databases, 20).await;
    running.stop().await;
    assert_eq!(billing.attempts().len(), 20, "something took effect twice");
}

async fn what_one_run_left_out_the_next_one_brings(databases: &Databases) {
    let (catalogue, operator) = shop_with(&orders(30)).await;
    let (group, topic) = (shop::billing_group(&catalogue), shop::orders(&catalogue));
    // Somebody had the group leave out all there is.
    let records = everything_in(std::slice::from_ref(&topic)).await;
    let ends = (0..2).map(|partition| {
        let count = records.iter().filter(|record| record.partition == partition).count();
        (TopicPartition { topic: topic.clone(), partition }, i64::try_from(count).expect("a few"))
    });
    operator.admin.commit_offsets(&group, &ends.collect()).await.expect("nobody is in the group");
    let billing = Billing::default();
    let running = run_billing(&catalogue, databases, billing.clone()).await;
    eventually(SOON, async || match members(&group).await.len() {
        0 => Err("the service is not there"),
        _ => Ok(()),
    })
    .await;
    operator.run_again(Mode::Redeliver, of_key(&catalogue, "key-1").await).await;
    all_settled(&catalogue, databases, 10).await;
    operator.run_again(Mode::Redeliver, of_key(&catalogue, "key-2").await).await;
    all_settled(&catalogue, databases, 20).await;
    operator.run_again(Mode::Redeliver, Only::default()).await;
    all_settled(&catalogue, databases, 30).await;
    running.stop().await;
    assert_eq!(billing.attempts().len(), 30);
}

async fn what_died_and_runs_again_is_not_replayed_on_top(databases: &Databases) {
    let orders =
        [order("key", 0, Fate::Ok), order("key", 1, Fate::Fail), order("key", 2, Fate::Ok)];
    let (catalogue, operator) = shop_with(&orders).await;
    let billing = Billing::default();
    let running = run_billing(&catalogue, databases, billing.clone()).await;
    all_settled(&catalogue, databases, 2).await;
    operator.run_again(AGAIN, Only::default()).await;
    all_settled(&catalogue, databases, 4).await;
    running.stop().await;
    // It died in both epochs, and is one dead letter: the later one.
    let dead = "SELECT count(*) FROM processed_events WHERE status = 'dead'";
    assert_eq!(databases.number("billing", dead).await, 2);
    let letters = "SELECT count(DISTINCT dlq_id) FROM processed_events WHERE status = 'dead'";
    assert_eq!(databases.number("billing", letters).await, 1);
    let records = everything_in(&[shop::orders(&catalogue).dead_letter()]).await;
    let told = |number: usize, name| headers::last(&records[number].headers, name);
    assert_eq!(records.len(), 2);
    assert_ne!(told(0, headers::DLQ_ID), told(1, headers::DLQ_ID));
    assert_eq!(told(1, headers::DLQ_PREVIOUS), told(0, headers::DLQ_ID));
}

async fn a_dry_run_changes_nothing_and_tells_what_would(databases: &Databases) {
    let mut orders = orders(12);
    orders.push(order("key-1", 12, Fate::Reject));
    let (catalogue, operator) = shop_with(&orders).await;
    let billing = Billing::default();
    let running = run_billing(&catalogue, databases, billing.clone()).await;
    all_settled(&catalogue, databases, 12).await;
    let tables = [
        "SELECT order_id, place * 1000 + number FROM bills ORDER BY place",
        "SELECT CAST(event_id AS text), CAST(epoch AS bigint) FROM processed_events ORDER BY 1",
        "SELECT topic, id FROM outbox ORDER BY id",
        "SELECT topic, CAST(seq AS bigint) FROM inbox_reruns ORDER BY seq",
    ];
    // What was emitted has left.
    eventually(SOON, async || equal(databases.rows("billing", tables[2]).await.len(), 0)).await;
    let dump = async || {
        let mut all = Vec::new();
        for table in tables {
            all.push(databases.rows("billing", table).await);
        }
        all
    };
    let before = dump().await;
    let emitted = billed_events(&catalogue).await;
    let attempts = billing.attempts().len();

    let planned = operator.plan(Only::default(), None).await.expect("something was settled");
    let mut asker = operator.asker().await;
    let told = planned.try_out(&mut asker, 1_000).await.expect("it is tried");
    assert_eq!((told.events, told.known, told.failed, told.is_cut), (13, 13, 1, false), "{told:?}");
    assert!(told.failing[0].error.contains("can't be billed"), "{told:?}");
    assert_eq!(told.emitted.values().sum::<u64>(), 4, "{told:?}");
    let bills = told.rows.get("bills").or_else(|| told.rows.get("all tables"));
    assert!(bills.is_some_and(|rows| (12..=13).contains(rows)), "{told:?}");
    let cut = planned.try_out(&mut asker, 2).await.expect("it is tried");
    assert!(cut.is_cut && cut.events <= 4, "{cut:?}");
    assert_eq!(dump().await, before);
    assert_eq!(billed_events(&catalogue).await, emitted);
    let tried = 13 + usize::try_from(cut.events).expect("a few");
    assert_eq!(billing.attempts().len(), attempts + tried);
    running.stop().await;
}
