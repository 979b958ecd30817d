//! What is decided about rows that can't be sent.

use event_bus::store::{Lease, LiftError, Store};
use event_bus_tests::databases::Databases;
use sqlx::types::Uuid;

use super::{SERVICE, commit, hold_all, open, pending, record, values};
use crate::both::on_both_databases;

on_both_databases!(
    a_retried_row_and_those_behind_it_come_in_their_order,
    a_discarded_row_is_kept_and_those_behind_it_come,
    a_row_that_is_not_quarantined_is_left_alone,
    rows_written_while_a_key_is_halted_come_behind_it,
);

/// A shop with one key whose second row is quarantined, and another key.
async fn halted(databases: &Databases) -> (Store, i64) {
    let store = open(databases).await;
    let rows = [
        record("orders", Some(b"a"), "before"),
        record("orders", Some(b"a"), "bad"),
        record("orders", Some(b"b"), "other key"),
        record("orders", Some(b"a"), "behind"),
        record("orders", Some(b"a"), "last"),
    ];
    commit(&store, rows).await;
    let bad = pending(&store).await[1].id;
    let leases: Vec<Lease> = hold_all(&store, 1).await;
    for lease in &leases {
        store.quarantine_outgoing(*lease, bad, "refused for good").await.expect("it is set aside");
    }
    store.relay_leaves(Uuid::from_u128(1), &leases).await.expect("the leases are released");
    assert_eq!(values(&pending(&store).await), ["before", "other key"]);
    (store, bad)
}

async fn a_retried_row_and_those_behind_it_come_in_their_order(databases: &Databases) {
    let (store, bad) = halted(databases).await;
    let listed = store.quarantined().await.expect("they are listed");
    let [row] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((row.id, row.topic.as_str(), row.behind), (bad, "orders", 2));
    assert_eq!(row.key.as_deref(), Some(&b"a"[..]));
    assert_eq!(row.error, "refused for good");
    let before: Vec<i64> = pending(&store).await.iter().map(|row| row.id).collect();
    assert_eq!(store.retry_quarantined(bad).await.expect("it is there"), 3);
    let rows = pending(&store).await;
    assert_eq!(values(&rows), ["before", "other key", "bad", "behind", "last"]);
    let last_seen = before.iter().copied().max().expect("there are rows").max(5);
    assert!(rows[2..].iter().all(|row| row.id > last_seen), "a relay may have passed their ids");
    assert!(store.quarantined().await.expect("they are listed").is_empty());
    assert_eq!(store.outbox_len().await.expect("it is counted"), 5);
}

async fn a_discarded_row_is_kept_and_those_behind_it_come(databases: &Databases) {
    let (store, bad) = halted(databases).await;
    let rows = store.discard_quarantined(bad, "sent by hand").await.expect("it is there");
    assert_eq!(rows, 2);
    assert_eq!(values(&pending(&store).await), ["before", "other key", "behind", "last"]);
    let discarded = store.discarded().await.expect("they are listed");
    let [row] = &discarded[..] else { panic!("{discarded:?}") };
    assert_eq!((row.id, row.reason.as_str()), (bad, "sent by hand"));
    assert_eq!(row.error, "refused for good");
    let bytes = "SELECT count(*) FROM outbox_discarded WHERE length(record_value) = 3";
    assert_eq!(databases.number(SERVICE, bytes).await, 1);
}

async fn a_row_that_is_not_quarantined_is_left_alone(databases: &Databases) {
    let (store, bad) = halted(databases).await;
    for id in [bad - 1, bad + 1, 1_000] {
        let refused = store.retry_quarantined(id).await.expect_err("it is not quarantined");
        assert!(matches!(refused, LiftError::NotQuarantined { id: told } if told == id));
        let refused = store.discard_quarantined(id, "no").await.expect_err("it is not quarantined");
        assert!(matches!(refused, LiftError::NotQuarantined { id: told } if told == id));
    }
    assert_eq!(store.outbox_len().await.expect("it is counted"), 5);
}

async fn rows_written_while_a_key_is_halted_come_behind_it(databases: &Databases) {
    let (store, bad) = halted(databases).await;
    commit(&store, [record("orders", Some(b"a"), "newest")]).await;
    store.retry_quarantined(bad).await.expect("it is there");
    commit(&store, [record("orders", Some(b"a"), "after")]).await;
    let values = values(&pending(&store).await);
    assert_eq!(values, ["before", "other key", "bad", "behind", "last", "newest", "after"]);
}
