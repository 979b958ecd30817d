//! The order of effects: per key that of publishing, whatever fails and however many replicas share the work.

use std::collections::HashMap;
use std::time::Duration;

use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, everything_in, lag, send_all};
use event_bus_tests::shop::{self, Billing, Fate, OrderPlaced, order, run_billing};

use crate::each::on_each;

const SOON: Duration = Duration::from_secs(90);
const KEYS: i64 = 50;
const PER_KEY: i64 = 40;

/// All orders, of all keys in turn; one in twenty fails at first.
fn orders() -> Vec<OrderPlaced> {
    let fate = |n: i64| if n % 19 == 7 { Fate::FailOnce } else { Fate::Ok };
    (0..KEYS * PER_KEY).map(|n| order(&format!("o-{}", n % KEYS), n / KEYS, fate(n))).collect()
}

async fn effects_of_a_key_come_in_the_order_of_its_events(databases: Databases, settings: &str) {
    let catalogue =
        shop::catalogue(6, &format!("retry = [\"30ms\", \"50ms\", \"80ms\"]\n{settings}"));
    create_topics(&catalogue).await;
    let replicas = [
        run_billing(&catalogue, &databases, Billing::default()).await,
        run_billing(&catalogue, &databases, Billing::default()).await,
    ];
    let orders = orders();
    // In pieces, so that both replicas have their share of the first ones too.
    for piece in orders.chunks(200) {
        shop::publish(&catalogue, piece).await;
    }
    let (group, topic) = (shop::billing_group(&catalogue), shop::orders(&catalogue));
    eventually(SOON, async || {
        let bills =
            databases.try_number("billing", "SELECT count(*) FROM bills").await.unwrap_or(-1);
        equal((bills, lag(&group, &topic).await), (KEYS * PER_KEY, 0))
    })
    .await;
    for replica in replicas {
        replica.stop().await;
    }
    let mut by_key: HashMap<String, Vec<i64>> = HashMap::new();
    for (key, number) in
        databases.rows("billing", "SELECT order_id, number FROM bills ORDER BY place").await
    {
        by_key.entry(key).or_default().push(number);
    }
    assert_eq!(i64::try_from(by_key.len()), Ok(KEYS));
    for (key, numbers) in by_key {
        assert_eq!(numbers, (0..PER_KEY).collect::<Vec<i64>>(), "{key}");
    }
    assert!(everything_in(&[topic.dead_letter()]).await.is_empty());
    databases.drop_all().await;
}

on_each!(effects_of_a_key_come_in_the_order_of_its_events);

/// Where all partitions share the room for concurrent events, each has its turn, from when its events are there: the
/// first fetch may bring those of one partition alone, and the next comes a tenth of a second later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_partition_leaves_the_others_their_turn() {
    const EACH: usize = 1_500;
    const ALL: usize = 3 * EACH;
    let databases = Databases::postgres().await;
    let catalogue = shop::catalogue(3, "execution = \"concurrent(2)\"");
    create_topics(&catalogue).await;
    let records = (0..ALL).map(|n| {
        let partition = i32::try_from(n % 3).expect("a small number");
        let mut record = shop::sealed(
            &catalogue,
            &order(
                &format!("{partition}-{}", n % 60),
                i64::try_from(n / 60).expect("a small number"),
                Fate::Ok,
            ),
        );
        record.partition = Some(partition);
        record
    });
    send_all(records.collect()).await;
    let billing = Billing::default();
    let running = run_billing(&catalogue, &databases, billing.clone()).await;
    eventually(SOON, async || equal(billing.attempts().len(), ALL)).await;
    running.stop().await;
    let mut handled = [0; 3];
    for attempt in billing.attempts() {
        let partition: usize =
            attempt.order_id[..1].parse().expect("its partition is its first letter");
        handled[partition] += 1;
        if handled[partition] == EACH {
            break;
        }
    }
    assert!(
        handled.iter().all(|count| *count >= EACH / 2),
        "when the first partition was through: {handled:?}"
    );
    databases.drop_all().await;
}
