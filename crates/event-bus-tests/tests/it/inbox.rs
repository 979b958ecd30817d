//! An inbox that was purged: nothing that it forgot takes effect again.

use event_bus::inbox::{self, KEEP_AT_LEAST, PurgeError};
use event_bus::kafka::admin::Admin;
use event_bus::store::Store;
use event_bus_tests::databases::Databases;
use event_bus_tests::kafka::create_topics;
use event_bus_tests::kafka_tools::{delete_topic, reset_to_earliest};
use event_bus_tests::process::Process;
use event_bus_tests::servers;
use event_bus_tests::shop::effects::{all_settled, bills};
use event_bus_tests::shop::{self, Billing, Fate, open_billing, order, run_billing};

use crate::both::on_both_databases;

on_both_databases!(
    a_reset_behind_a_purge_repeats_nothing_and_a_topic_made_anew_is_handled,
    what_kafka_still_has_and_what_is_young_is_not_purged,
);

/// Makes all rows two days old.
async fn age(store: &Store) {
    let mut tx = store.begin().await.expect("a transaction begins");
    let sql = if tx.as_postgres().is_some() {
        "UPDATE processed_events SET processed_at = now() - interval '2 days'"
    } else {
        "UPDATE processed_events SET processed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 days')"
    };
    tx.execute(sql, &[]).await.expect("rows age");
    tx.commit().await.expect("it commits");
}

async fn a_reset_behind_a_purge_repeats_nothing_and_a_topic_made_anew_is_handled(
    databases: &Databases,
) {
    let catalogue = shop::catalogue(2, "");
    create_topics(&catalogue).await;
    let (group, topic) = (shop::billing_group(&catalogue), shop::orders(&catalogue));
    let admin = Admin::connect(&servers::kafka()).expect("an admin client can be made");
    let orders = |range: std::ops::Range<i64>| -> Vec<_> {
        range.map(|n| order(&format!("o-{}", n % 5), n, Fate::Ok)).collect()
    };
    shop::publish(&catalogue, &orders(0..50)).await;
    let running = run_billing(&catalogue, databases, Billing::default()).await;
    all_settled(&catalogue, databases, 50).await;
    running.stop().await;

    let service = open_billing(&catalogue, databases).await;
    let store = service.outbox().store().clone();
    age(&store).await;
    let purged = inbox::purge(&store, &admin, &catalogue, KEEP_AT_LEAST).await.expect("it purges");
    assert_eq!(purged.len(), 1, "{purged:?}");
    assert_eq!((purged[0].removed, purged[0].below.values().sum::<i64>()), (50, 50), "{purged:?}");
    assert!(store.inbox_shares().await.expect("it can be read").is_empty());
    drop(service);

    reset_to_earliest(&group, &topic).await;
    shop::publish(&catalogue, &orders(50..60)).await;
    let running = run_billing(&catalogue, databases, Billing::default()).await;
    all_settled(&catalogue, databases, 60).await;
    running.stop().await;

    delete_topic(&topic).await;
    create_topics(&catalogue).await;
    shop::publish(&catalogue, &orders(60..70)).await;
    let running = run_billing(&catalogue, databases, Billing::default()).await;
    all_settled(&catalogue, databases, 70).await;
    running.stop().await;
    assert_eq!(bills(databases).await, 70);
}

async fn what_kafka_still_has_and_what_is_young_is_not_purged(databases: &Databases) {
    let catalogue = shop::catalogue_keeping("7d", 1, "");
    create_topics(&catalogue).await;
    let orders: Vec<_> = (0..5).map(|n| order("o-1", n, Fate::Ok)).collect();
    shop::publish(&catalogue, &orders).await;
    let running = run_billing(&catalogue, databases, Billing::default()).await;
    all_settled(&catalogue, databases, 5).await;
    running.stop().await;
    let admin = Admin::connect(&servers::kafka()).expect("an admin client can be made");
    let service = open_billing(&catalogue, databases).await;
    let store = service.outbox().store();
    age(store).await;
    let purge = async |older_than| inbox::purge(store, &admin, &catalogue, older_than).await;
    let soon = purge(KEEP_AT_LEAST / 2).await;
    assert!(matches!(soon, Err(PurgeError::TooSoon { .. })), "{soon:?}");
    let young = purge(KEEP_AT_LEAST).await;
    assert!(matches!(young, Err(PurgeError::TooYoung { .. })), "{young:?}");
    let listed = ran(&["inbox", "stats", "--store", &databases.url("billing")]).await;
    assert_eq!(listed[0]["done"], 5, "{listed}");
    assert_eq!(listed[0]["topic"], shop::orders(&catalogue).as_str(), "{listed}");
    // The shipped catalogue does not have the shop's groups, and nobody knows how long their topics keep events.
    let left = ran(&["inbox", "purge", "--store", &databases.url("billing")]).await;
    assert_eq!(left, serde_json::json!([]));
    let kept = purge(7 * KEEP_AT_LEAST).await.expect("rows of two days are looked at");
    assert_eq!((kept[0].removed, kept[0].below.len()), (0, 0), "{kept:?}");
}

/// What the program printed.
async fn ran(arguments: &[&str]) -> serde_json::Value {
    let bootstrap = servers::bootstrap();
    let mut all = vec!["--output", "json", "--bootstrap", &bootstrap];
    all.extend(arguments);
    let ended = Process::start(&all).ended().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("it prints JSON")
}
