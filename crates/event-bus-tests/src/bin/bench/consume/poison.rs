//! W7: one event in a hundred always fails. Three retries, 200 ms apart, then the dead letter topic.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use event_bus::kafka::admin::Position;
use event_bus::kafka::reader::{Reader, Until};
use event_bus::names::TopicName;
use event_bus::store::Migration;
use event_bus::{
    Catalogue, Context, Event, Failure, Handled, Handler, KafkaConfig, Service, StatelessContext,
    StatelessHandler, StatelessService,
};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::Servers;
use super::event::{OrderPlaced, catalogue, preload};
use super::mark::Mark;
use super::running::Running;
use super::tally::Tally;

const EVENTS: usize = 10_000;
const KEYS: u32 = 100;
const POISON_EVERY: usize = 100;
const POISON: usize = EVENTS / POISON_EVERY;
/// A third of what the fastest peer took, which gives up the order of a key.
const WANTED_SECONDS: f64 = 13.7 / 3.0;

const EFFECTS: &[Migration] = &[Migration::same(
    1,
    "effects",
    "CREATE TABLE effects (place bigserial PRIMARY KEY, order_id text NOT NULL, number bigint NOT NULL)",
)];
const INSERT: &str = "INSERT INTO effects (order_id, number) VALUES ($1, $2)";

/// A key and the place of an event among all.
type Effect = (String, i64);

/// A handler that writes good events down, and fails for the others.
struct Poisoned {
    tally: Arc<Tally>,
    effects: Arc<Mutex<Vec<Effect>>>,
}

fn effect_of(event: &Event<OrderPlaced>) -> Result<Effect, Failure> {
    if event.payload.poison {
        return Err(Failure::retry("poison"));
    }
    Ok((event.payload.order_id.clone(), event.occurred_at.as_millisecond()))
}

impl StatelessHandler<OrderPlaced> for Poisoned {
    async fn handle(&self, event: Event<OrderPlaced>, _: &StatelessContext<'_>) -> Handled {
        self.tally.begin();
        self.effects.lock().expect("nobody panics while noting").push(effect_of(&event)?);
        self.tally.add(1);
        Ok(())
    }
}

impl Handler<OrderPlaced> for Poisoned {
    async fn handle(&self, event: Event<OrderPlaced>, context: &mut Context<'_>) -> Handled {
        self.tally.begin();
        let (key, number) = effect_of(&event)?;
        context.tx().execute(INSERT, &[key.into(), number.into()]).await?;
        // Of a transaction that is rolled back the event comes again.
        self.tally.add(1);
        Ok(())
    }
}

/// How long it takes until the good are handled and the bad are dead, with a database and without.
pub async fn run(servers: &Servers) -> Vec<Mark> {
    let stateless = without_database(servers).await;
    println!("W7 without a database: {stateless:.2} s, order per key kept, {POISON} dead letters");
    let database = with_database(servers).await;
    println!("W7 with a database: {database:.2} s, order per key kept, {POISON} dead letters");
    vec![
        Mark::at_most("W7 seconds without a database", stateless, WANTED_SECONDS),
        Mark::at_most("W7 seconds with a database", database, WANTED_SECONDS),
    ]
}

async fn poisoned(servers: &Servers) -> (Arc<Catalogue>, KafkaConfig, Poisoned) {
    let kafka = servers.kafka();
    let catalogue = catalogue(&kafka, "").await;
    preload(&servers.bootstrap, &catalogue, EVENTS, KEYS, POISON_EVERY);
    let handler = Poisoned { tally: Arc::new(Tally::of(EVENTS - POISON)), effects: Arc::default() };
    (catalogue, kafka, handler)
}

async fn without_database(servers: &Servers) -> f64 {
    let (catalogue, kafka, handler) = poisoned(servers).await;
    let (tally, effects) = (Arc::clone(&handler.tally), Arc::clone(&handler.effects));
    let service = StatelessService::new("payment", Arc::clone(&catalogue), kafka.clone());
    let service = service.expect("it is in the contract").on::<OrderPlaced>(handler);
    let running = Running::start_stateless(service);
    let began = tally.full().await;
    let seconds = all_dead(&kafka, &catalogue, began).await;
    running.stop().await;
    assert_exact(&kafka, &catalogue).await;
    assert_in_order(&effects.lock().expect("nobody panics while noting"));
    seconds
}

async fn with_database(servers: &Servers) -> f64 {
    let (catalogue, kafka, handler) = poisoned(servers).await;
    let (tally, database) = (Arc::clone(&handler.tally), servers.new_database());
    let service =
        Service::open("payment", Arc::clone(&catalogue), kafka.clone(), &database, EFFECTS).await;
    let service = service.expect("the database opens").on::<OrderPlaced>(handler);
    let mut connection = PgConnection::connect(&database).await.expect("PostgreSQL answers");
    let running = Running::start(service);
    let began = tally.full().await;
    let mut good = Vec::new();
    while good.len() < EVENTS - POISON {
        let read = sqlx::query_as("SELECT order_id, number FROM effects ORDER BY place");
        good = read.fetch_all(&mut connection).await.expect("the effects can be read");
    }
    let seconds = all_dead(&kafka, &catalogue, began).await;
    running.stop().await;
    assert_exact(&kafka, &catalogue).await;
    assert_in_order(&good);
    seconds
}

/// Waits for the last dead letter.
async fn all_dead(kafka: &KafkaConfig, catalogue: &Catalogue, began: Instant) -> f64 {
    while dead_letters(kafka, catalogue).await < POISON {}
    began.elapsed().as_secs_f64()
}

async fn assert_exact(kafka: &KafkaConfig, catalogue: &Catalogue) {
    assert_eq!(dead_letters(kafka, catalogue).await, POISON, "each poison event is dead once");
}

async fn dead_letters(kafka: &KafkaConfig, catalogue: &Catalogue) -> usize {
    let event = catalogue.event("OrderPlaced").expect("it has the event");
    let topics: [TopicName; 1] = [event.dead_letter_topic.clone()];
    let mut reader = Reader::start(kafka, &topics, Position::Start, Until::CaughtUp)
        .await
        .expect("the dead letters can be read");
    let mut count = 0;
    while let Some(records) = reader.next().await.expect("reading goes on") {
        count += records.len();
    }
    count
}

fn assert_in_order(effects: &[Effect]) {
    let mut keys: HashMap<&str, Vec<i64>> = HashMap::new();
    for (key, number) in effects {
        keys.entry(key).or_default().push(*number);
    }
    assert_eq!(effects.len(), EVENTS - POISON, "each good event has one effect");
    for (key, numbers) in keys {
        assert!(numbers.is_sorted(), "the events of {key} were handled out of order");
    }
}
