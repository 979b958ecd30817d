//! The rows of the outbox: any bytes, in program order, halted per topic and key, and fenced by the lease.

use bytes::Bytes;
use event_bus::envelope::OutgoingRecord;
use event_bus::headers::Header;
use event_bus::store::{COUNTED, Lease, SHARDS, Scan, Store};
use event_bus_tests::databases::Databases;
use event_bus_tests::kafka::raw;
use sqlx::types::Uuid;

use super::{SERVICE, commit, hold_all, open, pending, pending_of, record, topic, values, whole};
use crate::both::on_both_databases;

on_both_databases!(
    any_bytes_come_back_as_they_were,
    bytes_are_stored_as_bytes,
    rows_of_one_transaction_stand_in_program_order,
    the_first_rows_come_first_and_a_limit_holds,
    rows_of_topics_that_are_left_out_hide_no_others,
    a_quarantined_row_halts_what_is_behind_it_under_its_topic_and_key_only,
    a_quarantined_row_without_a_key_halts_its_topics_rows_without_a_key_only,
    a_former_lease_removes_and_quarantines_nothing,
    a_row_is_removed_under_the_lease_of_its_own_shard_only,
    rows_come_whole_from_an_id_on_and_up_to_so_many_bytes,
    a_row_that_is_no_record_is_told_and_hides_no_other,
    what_waits_is_counted_and_behind_many_rows_told_by_the_ids,
);

fn header(name: &str, value: Option<&[u8]>) -> Header {
    Header { name: name.to_owned().into(), value: value.map(Bytes::copy_from_slice) }
}

async fn any_bytes_come_back_as_they_were(databases: &Databases) {
    let store = open(databases).await;
    let all_bytes: Vec<u8> = (0..=255).collect();
    let bytes: [Option<&[u8]>; 7] = [
        None,
        Some(b""),
        Some(b"\0"),
        Some(&[0xff]),
        Some(b"a\0b\xff\xfe"),
        Some(&all_bytes),
        Some(br#"{"a":1e2,"a":"\u0000"}"#),
    ];
    let mut sent = Vec::new();
    for key in bytes {
        for value in bytes {
            let headers = vec![
                header("twice", value),
                header("twice", key),
                header("", Some(b"no name")),
                header("quoted \" \\ \u{1}\0 €", value),
            ];
            sent.push(raw(&topic("shop.any_bytes-1"), key, value, headers));
        }
    }
    sent[3].partition = Some(0);
    sent[4].partition = Some(i32::MAX);
    commit(&store, sent.clone()).await;
    let found: Vec<OutgoingRecord> =
        pending(&store).await.into_iter().map(|row| row.record).collect();
    assert_eq!(found, sent);
}

/// jsonb refuses NUL and rewrites numbers and doubled fields.
async fn bytes_are_stored_as_bytes(databases: &Databases) {
    let store = open(databases).await;
    commit(&store, [record("orders", Some(b"k"), "{}")]).await;
    let sql = match databases {
        Databases::Postgres { .. } => {
            "SELECT count(*) FROM outbox
             WHERE pg_typeof(record_key) = 'bytea'::regtype AND pg_typeof(record_value) = 'bytea'::regtype
               AND pg_typeof(headers) = 'text'::regtype"
        }
        Databases::Sqlite(_) => {
            "SELECT count(*) FROM outbox
             WHERE typeof(record_key) = 'blob' AND typeof(record_value) = 'blob' AND typeof(headers) = 'text'"
        }
    };
    assert_eq!(databases.number(SERVICE, sql).await, 1);
}

async fn rows_of_one_transaction_stand_in_program_order(databases: &Databases) {
    let store = open(databases).await;
    let numbers: Vec<String> = (0..2_500).map(|number| number.to_string()).collect();
    let keyed = |number: &String| {
        record("orders", Some(format!("k-{}", number.len() * 7 % 5).as_bytes()), number)
    };
    commit(&store, numbers.iter().map(keyed)).await;
    let rows = pending(&store).await;
    assert_eq!(values(&rows), numbers);
    assert!(rows.is_sorted_by(|one, next| one.id < next.id));
}

async fn the_first_rows_come_first_and_a_limit_holds(databases: &Databases) {
    let store = open(databases).await;
    for number in 0..5 {
        commit(&store, [record("orders", Some(b"k"), &number.to_string())]).await;
    }
    let first = pending_of(&store, 2, &[]).await;
    assert_eq!(values(&first), ["0", "1"]);
    store
        .for_relay()
        .remove_sent(&hold_all(&store, 1).await, &[first[0].id])
        .await
        .expect("it is removed");
    let next = pending_of(&store, 2, &[]).await;
    assert_eq!(values(&next), ["1", "2"]);
    assert_eq!(store.outbox_len().await.expect("it is counted"), 4);
}

async fn rows_of_topics_that_are_left_out_hide_no_others(databases: &Databases) {
    let store = open(databases).await;
    let missing = (0..30).map(|number| record("missing", Some(b"k"), &number.to_string()));
    commit(
        &store,
        missing.chain([record("orders", Some(b"k"), "here"), record("gone", None, "gone")]),
    )
    .await;
    let left_out = [topic("missing"), topic("gone")];
    let rows = pending_of(&store, 10, &left_out).await;
    assert_eq!(values(&rows), ["here"]);
}

/// Quarantines the row with this value, as the relay would that holds its shard.
async fn quarantine(store: &Store, leases: &[Lease], wanted: &str) {
    let rows = pending(store).await;
    let row = rows.iter().find(|row| super::value(&row.record) == wanted).expect("the row waits");
    for lease in leases {
        let quarantined = store.quarantine_outgoing(*lease, row.id, "refused for good").await;
        quarantined.expect("it is set aside");
    }
}

async fn a_quarantined_row_halts_what_is_behind_it_under_its_topic_and_key_only(
    databases: &Databases,
) {
    let store = open(databases).await;
    let rows = [
        record("orders", Some(b"a"), "before"),
        record("orders", Some(b"a"), "bad"),
        record("orders", Some(b"a"), "behind"),
        record("orders", Some(b"b"), "other key"),
        record("bills", Some(b"a"), "other topic"),
        record("orders", None, "no key"),
    ];
    commit(&store, rows).await;
    let leases = hold_all(&store, 1).await;
    quarantine(&store, &leases, "bad").await;
    commit(&store, [record("orders", Some(b"a"), "later")]).await;
    assert_eq!(values(&pending(&store).await), ["before", "other key", "other topic", "no key"]);
    assert_eq!(store.outbox_len().await.expect("it is counted"), 7, "nothing is lost");
    assert_eq!(
        databases
            .number(SERVICE, "SELECT count(*) FROM outbox WHERE error = 'refused for good'")
            .await,
        1
    );
}

async fn a_quarantined_row_without_a_key_halts_its_topics_rows_without_a_key_only(
    databases: &Databases,
) {
    let store = open(databases).await;
    let rows = [
        record("orders", None, "bad"),
        record("orders", None, "behind"),
        record("orders", Some(b""), "empty key"),
        record("orders", Some(b"a"), "a key"),
        record("bills", None, "other topic"),
    ];
    commit(&store, rows).await;
    let leases = hold_all(&store, 1).await;
    quarantine(&store, &leases, "bad").await;
    assert_eq!(values(&pending(&store).await), ["empty key", "a key", "other topic"]);
}

async fn a_former_lease_removes_and_quarantines_nothing(databases: &Databases) {
    let store = open(databases).await;
    commit(&store, [record("orders", Some(b"a"), "1"), record("orders", Some(b"a"), "2")]).await;
    let former = hold_all(&store, 1).await;
    store.relay_leaves(Uuid::from_u128(1), &former).await.expect("they are released");
    let next = hold_all(&store, 2).await;
    let rows = pending(&store).await;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    store.for_relay().remove_sent(&former, &ids).await.expect("it is no error");
    for lease in &former {
        store.quarantine_outgoing(*lease, ids[0], "zombie").await.expect("it is no error");
    }
    store.release_leases(&former).await.expect("it is no error");
    assert_eq!(values(&pending(&store).await), ["1", "2"]);
    assert_eq!(hold_all(&store, 2).await, next, "a former holder released another's lease");
    store.for_relay().remove_sent(&next, &ids).await.expect("they are removed");
    assert_eq!(store.outbox_len().await.expect("it is counted"), 0);
}

/// What a lease of one shard does not cover, it does not remove.
async fn a_row_is_removed_under_the_lease_of_its_own_shard_only(databases: &Databases) {
    let store = open(databases).await;
    let keys: Vec<String> = (0..64).map(|number| format!("key-{number}")).collect();
    commit(&store, keys.iter().map(|key| record("orders", Some(key.as_bytes()), key))).await;
    let leases = hold_all(&store, 1).await;
    let ids: Vec<i64> = pending(&store).await.iter().map(|row| row.id).collect();
    let (one, others) = leases.split_first().expect("there are leases");
    let of_one = async || {
        let waiting = store.for_relay().waiting(&whole(&[one.shard])).await;
        let waiting = waiting.expect("the outbox is read");
        waiting.iter().map(|waiting| waiting.id).collect::<Vec<_>>()
    };
    let before = of_one().await;
    assert!((1..32).contains(&before.len()), "{} of 64 keys are in one shard", before.len());
    store.for_relay().remove_sent(others, &ids).await.expect("they are removed");
    assert_eq!(of_one().await, before);
    assert_eq!(pending(&store).await.len(), before.len());
}

/// What a look tells of a row is what is read of it afterwards.
async fn rows_come_whole_from_an_id_on_and_up_to_so_many_bytes(databases: &Databases) {
    let store = open(databases).await;
    let records = ["1", "22", "333", "4444", "55555"].map(|text| record("orders", None, text));
    commit(&store, records).await;
    let shards: Vec<i32> = (0..SHARDS).collect();
    // Two bytes are those of no headers.
    let scan = Scan { whole_from: 2, whole_bytes: 4 + 5 + 6, ..whole(&shards) };
    let waiting = store.for_relay().waiting(&scan).await.expect("the outbox is read");
    let told: Vec<(i64, i64, bool)> =
        waiting.iter().map(|waiting| (waiting.id, waiting.bytes, waiting.row.is_some())).collect();
    assert_eq!(told, [(1, 3, false), (2, 4, true), (3, 5, true), (4, 6, true), (5, 7, false)]);
    let read = store.outgoing(&[2, 3, 4]).await.expect("the rows are read");
    let whole = waiting.into_iter().filter_map(|waiting| waiting.row);
    for (read, whole) in read.into_iter().zip(whole) {
        assert_eq!(format!("{:?}", read.expect("a record")), format!("{:?}", whole.expect("one")));
    }
}

/// Rows of a service in another language need no library to be read, and what is no record is named.
async fn a_row_that_is_no_record_is_told_and_hides_no_other(databases: &Databases) {
    let store = open(databases).await;
    commit(&store, [record("orders", Some(b"a"), "1"), record("orders", Some(b"b"), "2")]).await;
    let sql = "UPDATE outbox SET headers = 'none' WHERE id = 1";
    let mut tx = store.begin().await.expect("a transaction begins");
    tx.execute(sql, &[]).await.expect("the row is spoilt");
    tx.commit().await.expect("it commits");
    let rows = store.outgoing(&[1, 2, 3]).await.expect("the rows are read");
    let [Err(spoilt), Ok(good)] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((spoilt.id, good.id), (1, 2));
    assert!(spoilt.to_string().contains("headers"), "{spoilt}");
}

async fn what_waits_is_counted_and_behind_many_rows_told_by_the_ids(databases: &Databases) {
    let store = open(databases).await;
    let told = async || store.outbox_pending().await.expect("it answers");
    assert_eq!(told().await, 0);
    let row = || record("shop.many", Some(b"k"), "v");
    commit(&store, vec![row(), row(), row()]).await;
    let ids: Vec<i64> = pending(&store).await.iter().map(|row| row.id).collect();
    let leases = hold_all(&store, 1).await;
    let removing = store.for_relay();
    removing.remove_sent(&leases, &ids[1..2]).await.expect("it answers");
    assert_eq!(told().await, 2);
    let many = u64::try_from(COUNTED).expect("it is positive");
    commit(&store, vec![row(); usize::try_from(COUNTED).expect("it fits")]).await;
    assert_eq!(told().await, many + 2);
    // The last but one: it is not counted, and its id was drawn.
    removing.remove_sent(&leases, &[ids[2] + COUNTED - 1]).await.expect("it answers");
    assert_eq!(told().await, many + 2);
    removing.remove_sent(&leases, &[ids[0]]).await.expect("it answers");
    assert_eq!(told().await, many, "so many are left, and all of them are counted");
}
