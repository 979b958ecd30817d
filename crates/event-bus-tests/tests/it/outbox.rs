//! Commands through the outbox, read back from Kafka: what was committed is there, as it should be, and nothing else.

use std::collections::HashMap;
use std::time::Duration;

use event_bus::envelope::{Envelope, SealError};
use event_bus::handler::EmitError;
use event_bus::headers::{Header, last};
use event_bus::outbox::Outbox;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, everything_in};
use event_bus_tests::shop::{self, Fate, OrderBilled, OrderPlaced, Running, order, tenant};
use rand::seq::IndexedRandom;
use tokio::task::JoinSet;

use crate::both::on_both_databases;
use crate::selling::{open_shop, waiting};

const SOON: Duration = Duration::from_secs(60);

on_both_databases!(
    a_commands_event_is_published_with_key_envelope_and_headers,
    nothing_of_a_transaction_that_did_not_commit_is_published,
    per_key_the_order_in_kafka_is_the_order_of_commits,
    an_event_that_may_not_be_published_is_refused_and_its_command_goes_on,
);

/// A command that places one order, or leaves its transaction in another way.
async fn place(outbox: &Outbox, order: &OrderPlaced) {
    let mut tx = outbox.begin().await.expect("a transaction begins");
    outbox.command(&mut tx).emit(&tenant(), order).expect("the order is right");
    outbox.commit(tx).await.expect("it commits");
}

async fn a_commands_event_is_published_with_key_envelope_and_headers(databases: &Databases) {
    let catalogue = shop::catalogue(3, "");
    create_topics(&catalogue).await;
    let service = open_shop(&catalogue, databases).await;
    let outbox = service.outbox().clone();
    let running = Running::start(service);
    let mut tx = outbox.begin().await.expect("a transaction begins");
    let mut command = outbox.command(&mut tx);
    let tenant = "corner/shop".parse().expect("a tenant");
    let ids = [1, 2].map(|number| {
        command.emit(&tenant, &order("o 1", number, Fate::Ok)).expect("the order is right")
    });
    outbox.commit(tx).await.expect("it commits");
    eventually(SOON, async || equal(waiting(databases).await, 0)).await;

    let records = everything_in(&[shop::orders(&catalogue)]).await;
    assert_eq!(records.len(), 2);
    for (number, (record, id)) in (1..).zip(records.iter().zip(ids)) {
        assert_eq!(record.key.as_deref(), Some(b"corner%2Fshop/o%201".as_slice()));
        assert_eq!(
            record.partition,
            event_bus::partition::partition_for(b"corner%2Fshop/o%201", 3)
        );
        let value = record.value.as_deref().expect("it has a value");
        let envelope = Envelope::parse(value).expect("it is an envelope");
        assert_eq!(envelope.event_id, Some(id));
        assert_eq!((envelope.event.as_str(), envelope.service.as_str()), ("OrderPlaced", "shop"));
        assert_eq!(
            (envelope.version.to_string(), &envelope.tenant_id),
            ("1.0".to_owned(), &tenant)
        );
        assert_eq!(envelope.payload.to_value()["number"], number);
        let mut names: Vec<&str> = record.headers.iter().map(|header| &*header.name).collect();
        names.sort_unstable();
        let wanted = [
            "ce_id",
            "ce_source",
            "ce_specversion",
            "ce_tenantid",
            "ce_time",
            "ce_type",
            "content-type",
            "traceparent",
        ];
        assert_eq!(names, wanted, "exactly one of each");
        let texts = ["ce_specversion", "ce_type", "ce_tenantid", "content-type"]
            .map(|name| last(&record.headers, name));
        assert_eq!(
            texts,
            [Some("1.0"), Some("OrderPlaced"), Some("corner/shop"), Some("application/json")]
        );
        assert_eq!(last(&record.headers, "ce_id"), Some(id.to_string().as_str()));
        let source = format!("/{}/shop", catalogue.namespace());
        assert_eq!(last(&record.headers, "ce_source"), Some(source.as_str()));
        assert_eq!(
            last(&record.headers, "ce_time").and_then(|time| time.parse().ok()),
            Some(envelope.occurred_at)
        );
    }
    let traces: Vec<_> = records.iter().map(|record| trace(&record.headers)).collect();
    assert_eq!(traces[0].0, traces[1].0, "the events of one command share its trace");
    assert_ne!(traces[0].1, traces[1].1, "each has a span of its own");
    running.stop().await;
}

/// The ids of trace and span.
fn trace(headers: &[Header]) -> (String, String) {
    let traceparent = last(headers, "traceparent").expect("it has a trace");
    let parts: Vec<&str> = traceparent.split('-').collect();
    assert_eq!(
        parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
        [2, 32, 16, 2],
        "{traceparent}"
    );
    (parts[1].to_owned(), parts[2].to_owned())
}

async fn nothing_of_a_transaction_that_did_not_commit_is_published(databases: &Databases) {
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let service = open_shop(&catalogue, databases).await;
    let outbox = service.outbox().clone();
    let running = Running::start(service);
    for number in 0..20 {
        let mut ghost = outbox.begin().await.expect("a transaction begins");
        outbox
            .command(&mut ghost)
            .emit(&tenant(), &order("ghost", number, Fate::Ok))
            .expect("the order is right");
        match number % 3 {
            0 => ghost.rollback().await.expect("it rolls back"),
            1 => drop(ghost),
            _ => {
                ghost.mark().await.expect("a mark is set");
                outbox
                    .command(&mut ghost)
                    .emit(&tenant(), &order("ghost", 100, Fate::Ok))
                    .expect("it is right");
                let breaks = "INSERT INTO no_such_table (x) VALUES (1)";
                ghost.execute(breaks, &[]).await.expect_err("there is no such table");
                drop(ghost);
            }
        }
        place(&outbox, &order("real", number, Fate::Ok)).await;
    }
    eventually(SOON, async || equal(waiting(databases).await, 0)).await;
    let records = everything_in(&[shop::orders(&catalogue)]).await;
    let orders: Vec<(String, i64)> =
        records.iter().map(|record| order_in(record.value.as_deref())).collect();
    let wanted: Vec<_> = (0..20).map(|number| ("real".to_owned(), number)).collect();
    assert_eq!(orders, wanted);
    running.stop().await;
}

fn order_in(value: Option<&[u8]>) -> (String, i64) {
    let envelope = Envelope::parse(value.expect("it has a value")).expect("it is an envelope");
    let order: OrderPlaced = envelope.payload.read().expect("it is an order");
    (order.order_id, order.number)
}

/// Places the next order of a key: its number is drawn under the lock of the key's row.
async fn place_next(outbox: &Outbox, key: &str) {
    const NEXT: &str = "INSERT INTO numbers (order_id, last) VALUES ($1, 1)
                        ON CONFLICT (order_id) DO UPDATE SET last = numbers.last + 1 RETURNING last";
    let mut tx = outbox.begin().await.expect("a transaction begins");
    let mut command = outbox.command(&mut tx);
    let row = command
        .tx()
        .fetch_optional(NEXT, &[key.into()])
        .await
        .expect("it counts")
        .expect("it says how far");
    let number: i64 = row.get("last").expect("a number");
    command.emit(&tenant(), &order(key, number, Fate::Ok)).expect("the order is right");
    outbox.commit(tx).await.expect("it commits");
}

async fn per_key_the_order_in_kafka_is_the_order_of_commits(databases: &Databases) {
    const WRITERS: usize = 4;
    const ORDERS: usize = 100;
    let catalogue = shop::catalogue(3, "");
    create_topics(&catalogue).await;
    let service = open_shop(&catalogue, databases).await;
    let outbox = service.outbox().clone();
    let running = Running::start(service);
    let mut writing = JoinSet::new();
    for _ in 0..WRITERS {
        let outbox = outbox.clone();
        writing.spawn(async move {
            for _ in 0..ORDERS {
                let key = ["a", "b", "c", "d"].choose(&mut rand::rng()).expect("there are keys");
                place_next(&outbox, key).await;
            }
        });
    }
    writing.join_all().await;
    eventually(SOON, async || equal(waiting(databases).await, 0)).await;
    let records = everything_in(&[shop::orders(&catalogue)]).await;
    assert_eq!(records.len(), WRITERS * ORDERS);
    let mut last: HashMap<String, i64> = HashMap::new();
    for record in records {
        let (key, number) = order_in(record.value.as_deref());
        let before = last.insert(key.clone(), number).unwrap_or(0);
        assert_eq!(number, before + 1, "key {key}");
    }
    running.stop().await;
}

async fn an_event_that_may_not_be_published_is_refused_and_its_command_goes_on(
    databases: &Databases,
) {
    let catalogue = shop::catalogue(1, "");
    let service = open_shop(&catalogue, databases).await;
    let outbox = service.outbox();
    let mut tx = outbox.begin().await.expect("a transaction begins");
    let mut command = outbox.command(&mut tx);

    let bill = OrderBilled { order_id: "o".to_owned(), number: 1 };
    let refused = command.emit(&tenant(), &bill).expect_err("billing publishes bills");
    assert!(matches!(refused, EmitError::NotTheProducer { .. }), "{refused:?}");
    assert_eq!(
        refused.to_string(),
        "OrderBilled is published by billing, not by shop: only its producer may emit it"
    );

    let refused =
        command.emit(&tenant(), &order("", -1, Fate::Ok)).expect_err("the schema forbids it");
    let EmitError::Seal(SealError::Schema { violations, .. }) = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(violations.len(), 2, "{violations:?}");
    let text = refused.to_string();
    assert!(text.contains("/order_id") && text.contains("/number"), "{text}");

    let long = "x".repeat(1_000_000);
    let refused = command.emit(&tenant(), &order(&long, 1, Fate::Ok)).expect_err("it is too large");
    assert!(matches!(refused, EmitError::Seal(SealError::Limit(_))), "{refused:?}");

    command.emit(&tenant(), &order("o", 1, Fate::Ok)).expect("the order is right");
    outbox.commit(tx).await.expect("it commits");
    assert_eq!(waiting(databases).await, 1);
}
