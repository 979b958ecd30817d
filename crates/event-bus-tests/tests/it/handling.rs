//! A service's handler on a real Kafka and both databases: effects, retries, dead letters, emitted events.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_bus::Catalogue;
use event_bus::envelope::Envelope;
use event_bus::headers;
use event_bus::kafka::Record;
use event_bus::names::EventId;
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, everything_in, lag};
use event_bus_tests::kafka_tools::reset_to_earliest;
use event_bus_tests::letters::{self, Expected};
use event_bus_tests::shop::effects::check_effects;
use event_bus_tests::shop::{
    self, Attempt, Billing, Fate, OrderBilled, OrderPlaced, order, run_billing,
};

use crate::each::on_each;

const SOON: Duration = Duration::from_secs(60);
/// The waits between the attempts of these tests.
const WAITS: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(500), Duration::from_millis(700)];
/// How much later than its time a retry may be on a busy machine.
const LATE: Duration = Duration::from_secs(5);

/// The shop with [`WAITS`] and one partition, so that all keys are neighbours.
async fn shop_with(settings: &str) -> Arc<Catalogue> {
    let waits = WAITS.map(|wait| format!("\"{}ms\"", wait.as_millis())).join(", ");
    let catalogue =
        shop::catalogue(1, &format!("retry = [{waits}]\nhandler-timeout = \"400ms\"\n{settings}"));
    create_topics(&catalogue).await;
    catalogue
}

async fn bills(databases: &Databases) -> i64 {
    databases.try_number("billing", "SELECT count(*) FROM bills").await.unwrap_or(-1)
}

async fn dead_letters(catalogue: &Catalogue) -> Vec<Record> {
    everything_in(&[shop::orders(catalogue).dead_letter()]).await
}

/// Waits until billing has settled all orders, and for so many bills.
async fn settled(catalogue: &Catalogue, databases: &Databases, bill_count: i64) {
    let (group, orders) = (shop::billing_group(catalogue), shop::orders(catalogue));
    eventually(SOON, async || {
        equal((bills(databases).await, lag(&group, &orders).await), (bill_count, 0))
    })
    .await;
}

async fn every_order_is_billed_once(databases: Databases, settings: &str) {
    let catalogue = shop::catalogue(3, settings);
    create_topics(&catalogue).await;
    let orders: Vec<_> =
        (0..200).map(|n| order(&format!("o-{}", n % 20), n / 20, Fate::Ok)).collect();
    shop::publish(&catalogue, &orders).await;
    let running = run_billing(&catalogue, &databases, Billing::default()).await;
    settled(&catalogue, &databases, 200).await;
    running.stop().await;
    assert_eq!(bills(&databases).await, 200);
    let dead = dead_letters(&catalogue).await;
    assert!(dead.is_empty(), "{dead:?}");
    databases.drop_all().await;
}

on_each!(every_order_is_billed_once);

/// How billing gives an order up.
struct GivenUp {
    fate: Fate,
    reason: &'static str,
    attempts: u32,
    error_types: &'static [&'static str],
}

const FAILS: GivenUp = GivenUp {
    fate: Fate::Fail,
    reason: "retries-exhausted",
    attempts: 4,
    error_types: &["HandlerError"],
};
const REJECTED: GivenUp =
    GivenUp { fate: Fate::Reject, reason: "rejected", attempts: 1, error_types: &["Rejected"] };
const PANICS: GivenUp = GivenUp {
    fate: Fate::Panic,
    reason: "retries-exhausted",
    attempts: 4,
    error_types: &["Panic"],
};
const HANGS: GivenUp = GivenUp {
    fate: Fate::Hang,
    reason: "retries-exhausted",
    attempts: 4,
    error_types: &["TimedOut"],
};
const SWALLOWS: GivenUp = GivenUp {
    fate: Fate::Swallow,
    reason: "retries-exhausted",
    attempts: 4,
    // Found at its savepoint, or at the commit where it ran alone.
    error_types: &["SwallowedDatabaseError", "Database"],
};

/// One order of a key is given up; its neighbours are billed meanwhile, and the later orders of its key after it.
async fn is_given_up(databases: Databases, settings: &str, wanted: GivenUp) {
    let catalogue = shop_with(settings).await;
    let bad = order("bad", 0, wanted.fate);
    let mut orders: Vec<OrderPlaced> =
        (0..5).map(|n| order(&format!("good-{n}"), 0, Fate::Ok)).collect();
    orders.push(bad.clone());
    orders.extend((0..5).map(|n| order(&format!("good-{n}"), 1, Fate::Ok)));
    orders.extend([order("bad", 1, Fate::Ok), order("bad", 2, Fate::Ok)]);
    shop::publish(&catalogue, &orders).await;
    let billing = Billing::default();
    let running = run_billing(&catalogue, &databases, billing.clone()).await;
    settled(&catalogue, &databases, 12).await;
    eventually(SOON, async || equal(dead_letters(&catalogue).await.len(), 1)).await;
    running.stop().await;

    let billed =
        databases.rows("billing", "SELECT order_id, number FROM bills ORDER BY place").await;
    let once: BTreeSet<_> = billed.iter().cloned().collect();
    let expected: BTreeSet<_> = orders
        .iter()
        .filter(|order| **order != bad)
        .map(|order| (order.order_id.clone(), order.number))
        .collect();
    assert_eq!((billed.len(), &once), (12, &expected));
    let of_bad: Vec<i64> =
        billed.iter().filter(|(id, _)| id == "bad").map(|(_, number)| *number).collect();
    assert_eq!(of_bad, [1, 2], "the later orders of its key follow in order");

    check_attempts(&billing, &wanted, settings.is_empty());
    check_letter(&catalogue, &wanted).await;
    databases.drop_all().await;
}

fn check_attempts(billing: &Billing, wanted: &GivenUp, batched: bool) {
    let of_bad = billing.attempts_at("bad");
    let (first, later): (Vec<Attempt>, Vec<Attempt>) =
        of_bad.into_iter().partition(|attempt| attempt.number == 0);
    let numbers: BTreeSet<u32> = first.iter().map(|attempt| attempt.attempt).collect();
    assert_eq!(numbers, (1..=wanted.attempts).collect());
    let runs = |number: u32| {
        first.iter().filter(move |attempt| attempt.attempt == number).map(|attempt| attempt.at)
    };
    for number in 1..wanted.attempts {
        let wait = WAITS[number as usize - 1];
        let ended = runs(number).max().expect("it ran");
        let waited = runs(number + 1).min().expect("it ran") - ended;
        assert!(
            waited >= wait * 4 / 5 && waited <= wait * 6 / 5 + LATE,
            "{waited:?} after attempt {number}"
        );
    }
    if !batched {
        // In a batch, one attempt may be two runs: the batch failed, and once more with a savepoint for each event.
        assert_eq!(first.len(), wanted.attempts as usize);
    }
    let given_up: Instant = runs(wanted.attempts).max().expect("it ran");
    // Behind a rejection at the first attempt nothing is "meanwhile".
    if wanted.attempts > 1 {
        let neighbours = billing.attempts().into_iter().filter(|attempt| attempt.order_id != "bad");
        assert!(
            neighbours.map(|attempt| attempt.at).max() < Some(given_up),
            "neighbours did not wait"
        );
    }
    let last_of_each = |number| {
        later.iter().filter(|attempt| attempt.number == number).map(|attempt| attempt.at).max()
    };
    assert!(last_of_each(1) > Some(given_up) && last_of_each(2) > last_of_each(1));
}

async fn check_letter(catalogue: &Catalogue, wanted: &GivenUp) {
    let letters = dead_letters(catalogue).await;
    let originals = everything_in(&[shop::orders(catalogue)]).await;
    let original = originals
        .iter()
        .find(|record| letters::is_of(&letters[0], record))
        .expect("it has an original");
    let group = shop::billing_group(catalogue);
    let expected = Expected {
        group: &group,
        reason: wanted.reason,
        attempts: wanted.attempts,
        event_id: letters::ce_id(original),
    };
    letters::check(&letters[0], original, expected);
    let error_type = letters::text(&letters[0], headers::DLQ_ERROR_TYPE);
    assert!(wanted.error_types.contains(&error_type), "{error_type}");
    let time =
        |name| letters::text(&letters[0], name).parse::<jiff::Timestamp>().expect("it is a time");
    let took = time(headers::DLQ_FAILED_AT)
        .duration_since(time(headers::DLQ_FIRST_FAILED_AT))
        .unsigned_abs();
    let waits: Duration = WAITS.iter().take(wanted.attempts as usize - 1).sum();
    assert!(took >= waits * 4 / 5, "{took:?}");
}

async fn an_order_that_always_fails_is_tried_four_times(databases: Databases, settings: &str) {
    is_given_up(databases, settings, FAILS).await;
}

on_each!(an_order_that_always_fails_is_tried_four_times);

async fn a_rejected_order_is_tried_once(databases: Databases, settings: &str) {
    is_given_up(databases, settings, REJECTED).await;
}

on_each!(a_rejected_order_is_tried_once);

async fn a_panic_is_a_failed_attempt(databases: Databases, settings: &str) {
    is_given_up(databases, settings, PANICS).await;
}

on_each!(a_panic_is_a_failed_attempt);

async fn a_handler_that_takes_too_long_has_failed(databases: Databases, settings: &str) {
    is_given_up(databases, settings, HANGS).await;
}

on_each!(a_handler_that_takes_too_long_has_failed);

/// PostgreSQL gives a transaction up in which a statement failed, and says that it committed. SQLite does neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swallowed_database_error_harms_its_own_event_only() {
    is_given_up(Databases::postgres().await, "", SWALLOWS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swallowed_database_error_harms_its_own_event_only_under_concurrent_execution() {
    is_given_up(Databases::postgres().await, "execution = \"concurrent(8)\"", SWALLOWS).await;
}

/// As above, in a full batch: its other 499 orders, of as many keys, are billed together and without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swallowed_database_error_harms_none_of_the_499_others_of_its_batch() {
    let databases = Databases::postgres().await;
    let catalogue = shop_with("").await;
    // The first batch may begin before all orders are fetched; those behind it are full.
    let mut orders: Vec<_> = (0..2_500).map(|n| order(&format!("good-{n}"), 0, Fate::Ok)).collect();
    orders.insert(1_250, order("bad", 0, Fate::Swallow));
    shop::publish(&catalogue, &orders).await;
    let billing = Billing::default();
    let running = run_billing(&catalogue, &databases, billing.clone()).await;
    settled(&catalogue, &databases, 2_500).await;
    eventually(SOON, async || equal(dead_letters(&catalogue).await.len(), 1)).await;
    running.stop().await;

    check_letter(&catalogue, &SWALLOWS).await;
    orders.remove(1_250);
    check_effects(&databases, &orders).await;
    // What has the time of one transaction around the place of the bad one was its batch.
    let batch = "SELECT min(size) FROM (
        SELECT count(*) AS size FROM processed_events WHERE status = 'done' GROUP BY processed_at
        HAVING 1250 BETWEEN min(record_offset) - 1 AND max(record_offset) + 1) AS batches";
    assert_eq!(databases.number("billing", batch).await, 499);
    let others = billing.attempts().into_iter().filter(|attempt| attempt.order_id != "bad");
    assert_eq!(others.map(|attempt| attempt.attempt).max(), Some(1), "no attempt of theirs counts");
    databases.drop_all().await;
}

async fn an_order_that_fails_once_has_one_effect(databases: Databases, settings: &str) {
    let catalogue = shop_with(settings).await;
    let orders: Vec<_> = (0..30)
        .map(|n| {
            order(
                &format!("o-{}", n % 3),
                n / 3,
                if n % 7 == 0 { Fate::FailOnce } else { Fate::Ok },
            )
        })
        .collect();
    shop::publish(&catalogue, &orders).await;
    let billing = Billing::default();
    let running = run_billing(&catalogue, &databases, billing.clone()).await;
    settled(&catalogue, &databases, 30).await;
    running.stop().await;
    assert!(dead_letters(&catalogue).await.is_empty());
    let most = |wanted: &OrderPlaced| {
        let runs = billing
            .attempts_at(&wanted.order_id)
            .into_iter()
            .filter(|attempt| attempt.number == wanted.number);
        runs.map(|attempt| attempt.attempt).max()
    };
    for order in &orders {
        assert_eq!(
            most(order),
            Some(if order.fate == Fate::FailOnce { 2 } else { 1 }),
            "{order:?}"
        );
    }
    for key in 0..3 {
        let sql =
            format!("SELECT order_id, number FROM bills WHERE order_id = 'o-{key}' ORDER BY place");
        let numbers: Vec<i64> =
            databases.rows("billing", &sql).await.into_iter().map(|(_, number)| number).collect();
        assert_eq!(numbers, (0..10).collect::<Vec<i64>>());
    }
    databases.drop_all().await;
}

on_each!(an_order_that_fails_once_has_one_effect);

/// What a handler emits is published once, under an id that follows from the handled event's, in its key's order; and
/// nothing of a failed attempt is.
async fn emitted_events_are_published_once(databases: Databases, settings: &str) {
    let catalogue = shop_with(settings).await;
    let orders: Vec<_> = (0..60)
        .map(|n| {
            let fate = match n % 20 {
                3 => Fate::EmitFail,
                8 => Fate::EmitFailOnce,
                13 => Fate::Ok,
                _ => Fate::Emit,
            };
            order(&format!("o-{}", n % 4), n / 4, fate)
        })
        .collect();
    let delivered = shop::publish(&catalogue, &orders).await;
    let (group, topic) = (shop::billing_group(&catalogue), shop::orders(&catalogue));
    let billed_topic = shop::definition(&catalogue, "OrderBilled").topic.clone();
    for round in 0..2 {
        if round > 0 {
            reset_to_earliest(&group, &topic).await;
        }
        let running = run_billing(&catalogue, &databases, Billing::default()).await;
        settled(&catalogue, &databases, 57).await;
        // A stopped service has sent what its handlers emitted.
        running.stop().await;
        assert_eq!(everything_in(std::slice::from_ref(&billed_topic)).await.len(), 54);
    }
    let originals = everything_in(&[topic]).await;
    let emitted = everything_in(&[billed_topic]).await;
    for (order, delivered) in orders.iter().zip(delivered) {
        let original = originals
            .iter()
            .find(|record| record.offset == delivered.offset)
            .expect("it is in its topic");
        let id = EventId::emitted(letters::ce_id(original), &group, 0).to_string();
        let of_it: Vec<_> =
            emitted.iter().filter(|record| letters::text(record, headers::CE_ID) == id).collect();
        let is_emitted = matches!(order.fate, Fate::Emit | Fate::EmitFailOnce);
        assert_eq!(of_it.len(), usize::from(is_emitted), "{order:?}");
        for record in of_it {
            assert_eq!(record.key, original.key);
            let trace = |record| letters::text(record, headers::TRACEPARENT)[3..35].to_owned();
            assert_eq!(trace(record), trace(original), "it belongs to the same trace");
        }
    }
    for key in 0..4 {
        let numbers: Vec<i64> = emitted
            .iter()
            .map(billed)
            .filter(|bill| bill.order_id == format!("o-{key}"))
            .map(|bill| bill.number)
            .collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
    databases.drop_all().await;
}

fn billed(record: &Record) -> OrderBilled {
    let value = record.value.as_deref().expect("an event has a value");
    let envelope = Envelope::parse(value).expect("it is an envelope");
    envelope.payload.read().expect("the payload is a bill")
}

on_each!(emitted_events_are_published_once);

/// Two handlers that wait for each other both end: they ran at the same time, in one partition.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_run_beside_each_other_under_concurrent_execution() {
    let databases = Databases::postgres().await;
    let catalogue = shop_with("execution = \"concurrent(8)\"").await;
    let orders: Vec<_> =
        (0..8).map(|n| order(&format!("o-{}", n % 2), n / 2, Fate::Meet)).collect();
    shop::publish(&catalogue, &orders).await;
    let billing = Billing::default();
    let running = run_billing(&catalogue, &databases, billing.clone()).await;
    settled(&catalogue, &databases, 8).await;
    running.stop().await;
    assert!(dead_letters(&catalogue).await.is_empty());
    assert_eq!(billing.attempts().len(), 8);
    databases.drop_all().await;
}

/// Behind a rejected order its key is parked, also for the next process; others are billed.
async fn the_orders_behind_a_dead_letter_follow_it(databases: Databases, settings: &str) {
    let catalogue = shop_with(&format!("behind-dead-letter = \"park\"\n{settings}")).await;
    let key = |number| order("parked", number, Fate::Ok);
    let orders = [order("parked", 0, Fate::Reject), key(1), order("good", 0, Fate::Ok), key(2)];
    shop::publish(&catalogue, &orders).await;
    let running = run_billing(&catalogue, &databases, Billing::default()).await;
    settled(&catalogue, &databases, 1).await;
    running.stop().await;
    shop::publish(&catalogue, &[key(3), order("good", 1, Fate::Ok)]).await;
    let running = run_billing(&catalogue, &databases, Billing::default()).await;
    settled(&catalogue, &databases, 2).await;
    running.stop().await;
    let told: Vec<_> = dead_letters(&catalogue)
        .await
        .iter()
        .map(|letter| {
            let seq = letters::text(letter, headers::DLQ_CHAIN_SEQ).to_owned();
            (letters::reason(letter).to_owned(), seq)
        })
        .collect();
    let expected = ["rejected", "parked-behind", "parked-behind", "parked-behind"];
    let expected =
        expected.iter().zip(1..).map(|(reason, seq)| ((*reason).to_owned(), seq.to_string()));
    assert_eq!(told, expected.collect::<Vec<_>>());
    databases.drop_all().await;
}

on_each!(the_orders_behind_a_dead_letter_follow_it);
