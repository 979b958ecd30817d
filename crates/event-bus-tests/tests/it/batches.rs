//! Batch handlers on a real Kafka and both databases.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_bus::envelope::Envelope;
use event_bus::names::EventId;
use event_bus::{BatchContext, BatchHandler, Catalogue, Event, Failure, Handled};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, everything_in, lag};
use event_bus_tests::letters;
use event_bus_tests::shop::{self, Fate, OrderBilled, OrderPlaced, Running, open_billing, order};

use crate::each::on_each;

const SOON: Duration = Duration::from_secs(60);
const INSERT: &str = "INSERT INTO bills (order_id, number, event_id) VALUES ($1, $2, $3)";

/// Bills many orders at once, and notes how many.
#[derive(Clone, Default)]
struct BatchBilling {
    batches: Arc<Mutex<Vec<usize>>>,
}

impl BatchHandler<OrderPlaced> for BatchBilling {
    async fn handle_batch(
        &self,
        events: &[Event<OrderPlaced>],
        context: &mut BatchContext<'_>,
    ) -> Handled {
        self.batches.lock().expect("no handler panics while it notes").push(events.len());
        for event in events {
            let OrderPlaced { order_id, number, fate } = &event.payload;
            let values = [order_id.into(), (*number).into(), event.id.to_string().into()];
            context.tx().execute(INSERT, &values).await?;
            let billed = OrderBilled { order_id: order_id.clone(), number: *number };
            context.of(event).emit(&event.tenant, &billed)?;
            match fate {
                Fate::Fail => return Err(Failure::retry("an order of the batch fails")),
                Fate::Panic => panic!("order {order_id} makes the batch panic"),
                _ => {}
            }
        }
        Ok(())
    }
}

async fn run(catalogue: &Arc<Catalogue>, databases: &Databases, handler: &BatchBilling) -> Running {
    let service = open_billing(catalogue, databases).await;
    Running::start(service.on_batch::<OrderPlaced>(handler.clone()))
}

async fn settled(catalogue: &Catalogue, databases: &Databases, bills: i64) {
    let (group, orders) = (shop::billing_group(catalogue), shop::orders(catalogue));
    eventually(SOON, async || {
        let seen = databases.try_number("billing", "SELECT count(*) FROM bills").await;
        equal((seen.unwrap_or(-1), lag(&group, &orders).await), (bills, 0))
    })
    .await;
}

async fn a_batch_takes_effect_once_per_event(databases: Databases, settings: &str) {
    let catalogue = shop::catalogue(1, settings);
    create_topics(&catalogue).await;
    let orders: Vec<_> = (0..100).map(|n| order(&format!("o-{n}"), n, Fate::Ok)).collect();
    shop::publish(&catalogue, &orders).await;
    let handler = BatchBilling::default();
    let running = run(&catalogue, &databases, &handler).await;
    settled(&catalogue, &databases, 100).await;
    running.stop().await;
    let batches = handler.batches.lock().expect("no handler panics while it notes").clone();
    assert_eq!(batches.iter().sum::<usize>(), 100, "{batches:?}");
    let is_concurrent = settings.contains("concurrent");
    assert_eq!(batches.iter().all(|batch| *batch == 1), is_concurrent, "{batches:?}");

    let group = shop::billing_group(&catalogue);
    let billed = shop::definition(&catalogue, "OrderBilled").topic.clone();
    let ids: BTreeSet<EventId> = everything_in(&[billed])
        .await
        .iter()
        .map(|record| Envelope::parse(record.value.as_deref().expect("it has a value")))
        .map(|envelope| envelope.expect("it is an envelope").event_id.expect("it has an id"))
        .collect();
    let wanted: BTreeSet<EventId> = everything_in(&[shop::orders(&catalogue)])
        .await
        .iter()
        .map(|record| letters::text(record, event_bus::headers::CE_ID).parse())
        .map(|id| EventId::emitted(id.expect("it has an id"), &group, 0))
        .collect();
    assert_eq!(ids, wanted, "what an event emits derives from it, whatever batch it was in");
    databases.drop_all().await;
}

on_each!(a_batch_takes_effect_once_per_event);

async fn only_the_failing_event_of_a_batch_dies(databases: Databases, settings: &str, fate: Fate) {
    let catalogue = shop::catalogue(1, settings);
    create_topics(&catalogue).await;
    let fate_of = |n| if n == 7 { fate } else { Fate::Ok };
    let orders: Vec<_> = (0..20).map(|n| order(&format!("o-{n}"), n, fate_of(n))).collect();
    shop::publish(&catalogue, &orders).await;
    let running = run(&catalogue, &databases, &BatchBilling::default()).await;
    settled(&catalogue, &databases, 19).await;
    let (dead, billed) = (
        shop::orders(&catalogue).dead_letter(),
        shop::definition(&catalogue, "OrderBilled").topic.clone(),
    );
    eventually(SOON, async || equal(everything_in(std::slice::from_ref(&dead)).await.len(), 1))
        .await;
    running.stop().await;
    assert_eq!(everything_in(&[billed]).await.len(), 19, "the dead order's event never left");
    let letters = everything_in(&[dead]).await;
    let attempts = letters::text(&letters[0], event_bus::headers::DLQ_ERRORS_DELIVERY_COUNT);
    assert_eq!((letters.len(), attempts), (1, "4"));
    databases.drop_all().await;
}

async fn an_error_of_a_batch_is_its_culprits_only(databases: Databases, settings: &str) {
    only_the_failing_event_of_a_batch_dies(databases, settings, Fate::Fail).await;
}

async fn a_panic_of_a_batch_is_its_culprits_only(databases: Databases, settings: &str) {
    only_the_failing_event_of_a_batch_dies(databases, settings, Fate::Panic).await;
}

on_each!(an_error_of_a_batch_is_its_culprits_only);
on_each!(a_panic_of_a_batch_is_its_culprits_only);
