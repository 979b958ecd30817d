//! One trace an event: what a collector is told of its way through outbox, attempts and dead letter.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_bus::envelope::OutgoingRecord;
use event_bus::headers::{self, Header};
use event_bus::kafka::Record;
use event_bus::names::TopicName;
use event_bus::trace_context::TraceContext;
use event_bus::{
    Catalogue, Context, Event, Failure, Handled, Handler, StatelessContext, StatelessHandler,
    StatelessService,
};
use event_bus_ops::otlp::Exporter;
use event_bus_tests::collector::{Collector, Seen};
use event_bus_tests::databases::Databases;
use event_bus_tests::eventually::{equal, eventually};
use event_bus_tests::kafka::{create_topics, everything_in, publisher, send_all};
use event_bus_tests::servers;
use event_bus_tests::shop::{
    self, Billing, Fate, OrderBilled, OrderPlaced, Running, open_billing, order, tenant,
};

use crate::both::on_both_databases;
use crate::selling::open_shop;

const SOON: Duration = Duration::from_secs(60);

/// The kinds of spans, as OTLP numbers them.
const CLIENT: u32 = 3;
const PRODUCER: u32 = 4;
const CONSUMER: u32 = 5;
const ERROR: u32 = 2;

on_both_databases!(
    an_event_has_one_trace_from_its_command_to_what_follows_from_it,
    a_dead_letter_and_its_replay_stay_in_the_events_trace,
    without_a_tracer_a_handler_sees_the_trace_as_it_was_published,
);

fn exporter(collector: &Collector) -> Exporter {
    Exporter::start(collector.endpoint().parse().expect("it is an endpoint"))
}

/// The trace that a record belongs to.
fn trace_of(record: &Record) -> TraceContext {
    let header = headers::last(&record.headers, headers::TRACEPARENT);
    header.expect("it has a trace").parse().expect("it is a traceparent")
}

/// The only record of a topic.
async fn only_record(topic: &TopicName) -> Record {
    let mut records = everything_in(std::slice::from_ref(topic)).await;
    assert_eq!(records.len(), 1, "{topic}");
    records.remove(0)
}

/// The spans of this name, in the order of their begin.
fn named<'a>(spans: &'a [Seen], operation: &str, topic: &TopicName) -> Vec<&'a Seen> {
    let name = format!("{operation} {topic}");
    spans.iter().filter(|span| span.name == name).collect()
}

/// What every span of the bus says.
fn check_words(span: &Seen, kind: u32, operation_type: &str, event_id: &str) {
    assert_eq!(span.kind, kind, "{span:?}");
    assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
    let (operation, topic) = span.name.split_once(' ').expect("an operation and a topic");
    for (key, value) in [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", operation),
        ("messaging.operation.type", operation_type),
        ("messaging.destination.name", topic),
        ("messaging.message.id", event_id),
    ] {
        assert_eq!(span.attribute(key), value);
    }
    assert_eq!(span.has("error.type"), span.status.code == ERROR, "{span:?}");
}

/// That a span says where a record stands.
fn check_position(span: &Seen, record: &Record) {
    let position = ["messaging.destination.partition.id", "messaging.kafka.offset"];
    let said = position.map(|key| span.attribute(key).to_owned());
    assert_eq!(said, [record.partition.to_string(), record.offset.to_string()]);
}

/// That attempts ended like this, each in the group, under the span that published their record and linked to the one
/// before.
fn check_attempts(attempts: &[&Seen], record: &Record, group: &str, outcomes: &[&str]) {
    let said: Vec<_> = attempts.iter().map(|span| span.attribute("event_bus.outcome")).collect();
    assert_eq!(said, outcomes);
    let event_id = headers::last(&record.headers, headers::CE_ID).expect("it has an id");
    let mut before: Vec<&str> = Vec::new();
    for (number, attempt) in (1..).zip(attempts) {
        check_words(attempt, CONSUMER, "process", event_id);
        check_position(attempt, record);
        assert_eq!(attempt.attribute("messaging.consumer.group.name"), group);
        assert_eq!(attempt.attribute("event_bus.attempt"), number.to_string());
        assert_eq!(attempt.parent_span_id, trace_of(record).span_id());
        assert_eq!(attempt.linked(), before);
        before = vec![&attempt.span_id];
    }
}

/// Emits a bill and fails, except at the third attempt.
struct AtLast;

impl Handler<OrderPlaced> for AtLast {
    async fn handle(&self, event: Event<OrderPlaced>, context: &mut Context<'_>) -> Handled {
        let OrderPlaced { order_id, number, .. } = event.payload;
        context.emit(&event.tenant, &OrderBilled { order_id, number })?;
        if event.attempt < 3 { Err(Failure::retry("no paper")) } else { Ok(()) }
    }
}

async fn an_event_has_one_trace_from_its_command_to_what_follows_from_it(databases: &Databases) {
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let collector = Collector::start().await;
    let exporter = exporter(&collector);
    let shop = open_shop(&catalogue, databases).await.traced_by(exporter.tracer("the-shop"));
    let outbox = shop.outbox().clone();
    let billing = open_billing(&catalogue, databases).await.on::<OrderPlaced>(AtLast);
    let billing = Running::start(billing.traced_by(exporter.tracer("the-billing")));
    let shop = Running::start(shop);
    // Nobody is told of an order that was not committed.
    let mut ghost = outbox.begin().await.expect("a transaction begins");
    outbox.command(&mut ghost).emit(&tenant(), &order("ghost", 1, Fate::Ok)).expect("it is right");
    ghost.rollback().await.expect("it rolls back");
    let mut tx = outbox.begin().await.expect("a transaction begins");
    let id = outbox.command(&mut tx).emit(&tenant(), &order("o-1", 1, Fate::Ok));
    let id = id.expect("the order is right").to_string();
    outbox.commit(tx).await.expect("it commits");

    let billed = shop::definition(&catalogue, "OrderBilled").topic.clone();
    eventually(SOON, async || equal(everything_in(std::slice::from_ref(&billed)).await.len(), 1))
        .await;
    let (placed, bill) = (only_record(&shop::orders(&catalogue)).await, only_record(&billed).await);
    let trace = trace_of(&placed).trace_id();
    collector.trace(&trace, 8, SOON).await;
    billing.stop().await;
    shop.stop().await;
    exporter.stop().await;

    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace_id == trace), "there is one trace: {spans:#?}");
    let spans = collector.trace(&trace, 8, SOON).await;
    assert_eq!(spans.len(), 8, "{spans:#?}");
    let created = named(&spans, "create", &placed.topic)[0];
    check_words(created, PRODUCER, "create", &id);
    assert_eq!((&*created.service, &*created.parent_span_id), ("the-shop", ""));
    assert_eq!(created.span_id, trace_of(&placed).span_id(), "traceparent names it");
    let sent = named(&spans, "send", &placed.topic)[0];
    check_words(sent, CLIENT, "send", &id);
    check_position(sent, &placed);
    assert_eq!((&*sent.service, &sent.parent_span_id), ("the-shop", &created.span_id));

    let attempts = named(&spans, "process", &placed.topic);
    let group = shop::billing_group(&catalogue);
    check_attempts(&attempts, &placed, group.as_str(), &["failed", "failed", "done"]);
    assert!(attempts.iter().all(|attempt| attempt.service == "the-billing"));
    assert_eq!(attempts[0].attribute("error.type"), "HandlerError");
    assert_eq!(attempts[1].status.message, "no paper");

    let bills = named(&spans, "create", &bill.topic);
    assert_eq!(bills.len(), 1, "a bill of a failed attempt is no bill");
    assert_eq!(bills[0].parent_span_id, attempts[2].span_id, "it follows from the attempt");
    assert_eq!(bills[0].span_id, trace_of(&bill).span_id());
    check_position(named(&spans, "send", &bill.topic)[0], &bill);
    let booked = named(&spans, "process", &bill.topic)[0];
    assert_eq!((&*booked.service, &booked.parent_span_id), ("the-shop", &bills[0].span_id));
}

async fn a_dead_letter_and_its_replay_stay_in_the_events_trace(databases: &Databases) {
    let catalogue = shop::catalogue(1, "retry = [\"10ms\", \"10ms\"]");
    create_topics(&catalogue).await;
    let collector = Collector::start().await;
    let exporter = exporter(&collector);
    let billing = open_billing(&catalogue, databases).await.on::<OrderPlaced>(Billing::default());
    let billing = Running::start(billing.traced_by(exporter.tracer("the-billing")));
    let publisher = publisher(&catalogue).traced_by(exporter.tracer("the-till"));
    let receipt = publisher.publish(&tenant(), &order("o-1", 1, Fate::Fail)).await;
    let id = receipt.expect("it is published").event_id.to_string();

    let orders = shop::orders(&catalogue);
    let placed = only_record(&orders).await;
    let trace = trace_of(&placed);
    collector.trace(&trace.trace_id(), 6, SOON).await;
    let letter = only_record(&orders.dead_letter()).await;
    assert_eq!(trace_of(&letter), trace, "its headers are the event's");
    let replay = replayed(&letter, &placed);
    let again = publisher.send(replay).await.expect("it is published again");
    exporter.stop().await;
    billing.stop().await;
    let records = everything_in(std::slice::from_ref(&orders)).await;
    assert_eq!(trace_of(&records[1]), trace, "a replay's headers are the event's");

    let spans = collector.trace(&trace.trace_id(), 7, SOON).await;
    assert_eq!(spans.len(), 7, "{spans:#?}");
    let sent = named(&spans, "send", &orders);
    check_words(sent[0], PRODUCER, "send", &id);
    check_position(sent[0], &placed);
    assert_eq!((&*sent[0].service, &*sent[0].parent_span_id), ("the-till", ""));
    assert_eq!(sent[0].span_id, trace.span_id(), "traceparent names it");
    let attempts = named(&spans, "process", &orders);
    let group = shop::billing_group(&catalogue);
    check_attempts(&attempts, &placed, group.as_str(), &["failed"; 3]);

    let buried = named(&spans, "dead_letter", &orders)[0];
    check_words(buried, CLIENT, "settle", &id);
    check_position(buried, &placed);
    assert_eq!(buried.linked(), [&*attempts[2].span_id]);
    assert_eq!(buried.attribute("event_bus.dlq.reason"), "retries-exhausted");
    let dlq_id = headers::last(&letter.headers, headers::DLQ_ID);
    assert_eq!(Some(buried.attribute("event_bus.dlq.id")), dlq_id);
    assert_eq!((buried.status.code, &*buried.status.message), (ERROR, "order o-1 can't be billed"));
    let left = named(&spans, "send", &orders.dead_letter())[0];
    check_words(left, CLIENT, "send", &id);
    check_position(left, &letter);
    check_words(sent[1], CLIENT, "send", &id);
    assert_eq!(sent[1].attribute("messaging.kafka.offset"), again.offset.to_string());
    for under in [buried, left, sent[1]] {
        assert_eq!(under.parent_span_id, trace.span_id());
    }
}

/// A dead letter on its way back to the topic that it came from.
fn replayed(letter: &Record, original: &Record) -> OutgoingRecord {
    let mut headers: Vec<Header> =
        letter.headers.iter().filter(|header| !header.is_added()).cloned().collect();
    headers.push(Header::text(headers::REPLAY_ID, "a-replay"));
    let event_id = headers::last(&letter.headers, headers::EVENT_ID).expect("it has an id");
    OutgoingRecord {
        topic: original.topic.clone(),
        partition: Some(original.partition),
        key: letter.key.clone(),
        value: letter.value.clone(),
        headers,
        event_id: event_id.parse().expect("it is an id"),
    }
}

/// Notes the trace of each event.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<TraceContext>>>);

impl Listener {
    fn heard(&self) -> Vec<TraceContext> {
        self.0.lock().expect("no handler panics while it notes").clone()
    }
}

impl Handler<OrderPlaced> for Listener {
    async fn handle(&self, event: Event<OrderPlaced>, _: &mut Context<'_>) -> Handled {
        self.0.lock().expect("no handler panics while it notes").push(event.trace);
        Ok(())
    }
}

impl StatelessHandler<OrderPlaced> for Listener {
    async fn handle(&self, event: Event<OrderPlaced>, _: &StatelessContext<'_>) -> Handled {
        self.0.lock().expect("no handler panics while it notes").push(event.trace);
        Err(Failure::reject("not today"))
    }
}

async fn without_a_tracer_a_handler_sees_the_trace_as_it_was_published(databases: &Databases) {
    let catalogue = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let listener = Listener::default();
    let billing = open_billing(&catalogue, databases).await.on::<OrderPlaced>(listener.clone());
    let billing = Running::start(billing);
    shop::publish(&catalogue, &[order("o-1", 1, Fate::Ok)]).await;
    eventually(SOON, async || equal(listener.heard().len(), 1)).await;
    billing.stop().await;
    assert_eq!(listener.heard(), [trace_of(&only_record(&shop::orders(&catalogue)).await)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_without_a_trace_has_one_by_its_id() {
    let catalogue: Arc<Catalogue> = shop::catalogue(1, "");
    create_topics(&catalogue).await;
    let collector = Collector::start().await;
    let exporter = exporter(&collector);
    let mut record = shop::sealed(&catalogue, &order("o-1", 1, Fate::Ok));
    let id = record.event_id.to_string();
    record.headers.retain(|header| header.name != headers::TRACEPARENT);
    send_all(vec![record]).await;
    let listener = Listener::default();
    let mail = StatelessService::new("billing", Arc::clone(&catalogue), servers::kafka());
    let mail = mail.expect("billing is in the contract").on::<OrderPlaced>(listener.clone());
    let mail = Running::start_stateless(mail.traced_by(exporter.tracer("the-mail")));
    let spans = collector.trace(&id.replace('-', ""), 2, SOON).await;
    mail.stop().await;
    exporter.stop().await;
    let orders = shop::orders(&catalogue);
    let attempt = named(&spans, "process", &orders)[0];
    check_words(attempt, CONSUMER, "process", &id);
    assert_eq!(attempt.attribute("event_bus.outcome"), "rejected");
    assert_eq!(listener.heard()[0].span_id(), attempt.span_id, "the handler's own spans go there");
    let buried = named(&spans, "dead_letter", &orders)[0];
    assert_eq!(buried.linked(), [&*attempt.span_id]);
    assert!(
        spans.iter().all(|span| span.parent_span_id.is_empty()),
        "nobody told who published it"
    );
}
