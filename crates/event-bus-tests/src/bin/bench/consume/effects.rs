//! W2: each event has exactly one row in PostgreSQL. A batch handler, a handler per event, and beside them PostgreSQL
//! alone: the same rows without Kafka, 500 a transaction and one a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use event_bus::store::Migration;
use event_bus::{BatchContext, BatchHandler, Context, Event, Failure, Handled, Handler, Service};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::types::Uuid;
use sqlx::{Connection, Executor};
use tokio::task::JoinSet;

use super::event::{OrderPlaced, bare, catalogue, preload};
use super::mark::Mark;
use super::running::Running;
use super::tally::Tally;
use super::{Servers, rate};
use crate::publish::turn::Quartiles;

const KEYS: u32 = 1_000;
/// As many as there are partitions.
const CONNECTIONS: u32 = 6;
/// Rows in one statement.
const CHUNK: usize = 500;
/// A transaction an event is so slow that fewer tell its rate.
const ONE_BY_ONE: usize = 10_000;

const EFFECTS: &[Migration] = &[Migration::same(1, "effects", EFFECTS_TABLE)];
const EFFECTS_TABLE: &str = "CREATE TABLE effects (
    id bigserial PRIMARY KEY, event_id uuid NOT NULL, order_id text NOT NULL, event text NOT NULL)";
const INSERT_MANY: &str = "INSERT INTO effects (event_id, order_id, event)
    SELECT id, key, 'OrderPlaced' FROM unnest($1::uuid[], $2::text[]) AS effect (id, key)";
const INSERT_ONE: &str =
    "INSERT INTO effects (event_id, order_id, event) VALUES ($1, $2, 'OrderPlaced')";

struct Effects(Arc<Tally>);

impl BatchHandler<OrderPlaced> for Effects {
    async fn handle_batch(
        &self,
        events: &[Event<OrderPlaced>],
        context: &mut BatchContext<'_>,
    ) -> Handled {
        self.0.begin();
        let ids: Vec<Uuid> = events.iter().map(|event| event.id.as_uuid()).collect();
        let keys: Vec<&str> = events.iter().map(|event| &*event.payload.order_id).collect();
        sqlx::query(INSERT_MANY).bind(&ids).bind(&keys).execute(postgres(context.tx())?).await?;
        self.0.add(events.len());
        Ok(())
    }
}

impl Handler<OrderPlaced> for Effects {
    async fn handle(&self, event: Event<OrderPlaced>, context: &mut Context<'_>) -> Handled {
        self.0.begin();
        let query = sqlx::query(INSERT_ONE).bind(event.id.as_uuid()).bind(&event.payload.order_id);
        query.execute(postgres(context.tx())?).await?;
        self.0.add(1);
        Ok(())
    }
}

fn postgres(tx: &mut event_bus::store::Tx) -> Result<&mut PgConnection, Failure> {
    tx.as_postgres().ok_or_else(|| Failure::reject("the benchmark runs on PostgreSQL"))
}

/// Rates of both kinds of handler, and of PostgreSQL alone, in turns.
pub async fn run(servers: &Servers, events: usize, rounds: usize) -> Vec<Mark> {
    let mut figures: [Vec<f64>; 4] = Default::default();
    for _ in 0..rounds {
        let alone = alone(servers, events, CHUNK).await;
        let batch = consume(servers, events, |service, tally| {
            service.on_batch::<OrderPlaced>(Effects(tally))
        });
        let batch = batch.await;
        let one_by_one = self::alone(servers, ONE_BY_ONE.min(events), 1).await;
        let single =
            consume(servers, events, |service, tally| service.on::<OrderPlaced>(Effects(tally)));
        let single = single.await;
        println!(
            "W2 PostgreSQL alone, {CONNECTIONS} connections: {alone:.0}/s with {CHUNK} events a transaction, \
             {one_by_one:.0}/s with one; batch handler: {batch:.0}/s; handler per event: {single:.0}/s"
        );
        let round = [alone, batch, one_by_one, single];
        figures.iter_mut().zip(round).for_each(|(figures, figure)| figures.push(figure));
    }
    let [alone, batch, one_by_one, single] =
        figures.map(|figures| Quartiles::of(figures.into_iter()).median());
    println!(
        "W2 handler per event: {:.2} of PostgreSQL alone with one a transaction",
        single / one_by_one
    );
    vec![
        Mark::at_least("W2 batch handler, share of PostgreSQL alone", batch / alone, 0.5),
        Mark::at_least("W2 batch handler, events/s", batch, 62_000.0),
        Mark::at_least("W2 handler per event, events/s", single, 19_800.0),
    ]
}

async fn consume(
    servers: &Servers,
    events: usize,
    with: impl FnOnce(Service, Arc<Tally>) -> Service,
) -> f64 {
    let kafka = servers.kafka();
    let catalogue = catalogue(&kafka, "").await;
    preload(&servers.bootstrap, &catalogue, events, KEYS, 0);
    let database = servers.new_database();
    let service = Service::open("payment", catalogue, kafka, &database, EFFECTS).await;
    let tally = Arc::new(Tally::of(events));
    let service = with(service.expect("the database opens"), Arc::clone(&tally));
    let mut connection = PgConnection::connect(&database).await.expect("PostgreSQL answers");
    connection.execute("CHECKPOINT").await.expect("PostgreSQL writes out what is open");
    let running = Running::start(service);
    let began = tally.full().await;
    // The last transactions commit about now.
    while count(&mut connection, "SELECT count(*) FROM effects").await < events {}
    let took = began.elapsed();
    running.stop().await;
    let distinct = count(&mut connection, "SELECT count(DISTINCT event_id) FROM effects").await;
    let handled = count(&mut connection, "SELECT count(*) FROM processed_events").await;
    assert_eq!((distinct, handled), (events, events), "each event has one effect");
    rate(events, took)
}

async fn count(connection: &mut PgConnection, sql: &'static str) -> usize {
    let count: i64 =
        sqlx::query_scalar(sql).fetch_one(connection).await.expect("it can be counted");
    usize::try_from(count).expect("a count is not negative")
}

/// The workload's rows without Kafka: in a transaction the inbox rows and the effects of those that were new, by one
/// statement.
async fn alone(servers: &Servers, events: usize, chunk: usize) -> f64 {
    const STATEMENT: &str = "WITH fresh AS (
            INSERT INTO inbox SELECT 'limit', unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING event_id)
        INSERT INTO effects (event_id, order_id, event)
        SELECT effect.id, effect.key, 'OrderPlaced' FROM unnest($1::uuid[], $2::text[]) AS effect (id, key)
        JOIN fresh ON fresh.event_id = effect.id";
    let database = servers.new_database();
    let store = event_bus::store::Store::open(&database, EFFECTS).await;
    store.expect("the database opens").close().await;
    let pool: PgPool = PgPoolOptions::new()
        .min_connections(CONNECTIONS)
        .max_connections(CONNECTIONS)
        .connect(&database)
        .await
        .expect("PostgreSQL answers");
    let table = "CREATE TABLE inbox (consumer_group text, event_id uuid, PRIMARY KEY (consumer_group, event_id))";
    pool.execute(table).await.expect("a table can be made");
    pool.execute("CHECKPOINT").await.expect("PostgreSQL writes out what is open");
    let rows: Vec<_> = (0..events).map(|number| bare(number, KEYS, 0)).collect();
    let chunks: Arc<Vec<(Vec<Uuid>, Vec<String>)>> = Arc::new(
        rows.chunks(chunk)
            .map(|rows| rows.iter().map(|row| (row.id.as_uuid(), row.key.clone())).unzip())
            .collect(),
    );
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (pool, chunks, next) = (pool.clone(), Arc::clone(&chunks), Arc::clone(&next));
        tasks.spawn(async move {
            while let Some((ids, keys)) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut tx = pool.begin().await.expect("PostgreSQL answers");
                let inserted = sqlx::query(STATEMENT).bind(ids).bind(keys).execute(&mut *tx).await;
                inserted.expect("the rows fit");
                tx.commit().await.expect("PostgreSQL commits");
            }
        });
    }
    tasks.join_all().await;
    rate(events, began.elapsed())
}
