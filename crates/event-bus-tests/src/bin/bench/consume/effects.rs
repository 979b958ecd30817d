//! W2: each event has exactly one row in PostgreSQL. Beside the peers stands PostgreSQL alone: the same rows without
//! Kafka, 500 a transaction and one a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::Deserialize;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::types::Uuid;
use sqlx::{Connection, Executor};
use tokio::task::JoinSet;

use super::event::{bare, preload};
use super::mark::Mark;
use super::side::{Program, Side};
use super::{Ran, Setting, medians, rate, turns};
use crate::publish::turn::Quartiles;

const KEYS: u32 = 1_000;
/// As many as there are partitions.
const CONNECTIONS: u32 = 6;
/// Rows in one statement.
const CHUNK: usize = 500;
/// A transaction an event is so slow that fewer tell its rate.
const ONE_BY_ONE: usize = 10_000;

/// What the peers write to.
const TABLES: &str = "
    CREATE TABLE processed_events (consumer_group text, event_id uuid, PRIMARY KEY (consumer_group, event_id));
    CREATE TABLE effects (
        id bigserial PRIMARY KEY, event_id uuid NOT NULL, order_id text NOT NULL, event text NOT NULL);
    CHECKPOINT";

const BATCH: Side = Side { name: "batch handler", program: Program::Ours("batch") };
const SINGLE: Side = Side { name: "handler per event", program: Program::Ours("single") };
const SPRING_BATCH: Side =
    Side { name: "Spring's batch listener", program: Program::Spring("w2-batch") };
const SPRING_RECORD: Side =
    Side { name: "Spring's record listener", program: Program::Spring("w2-record") };
const SIDES: [Side; 4] = [BATCH, SPRING_BATCH, SINGLE, SPRING_RECORD];

#[derive(Deserialize)]
struct Took {
    seconds: f64,
}

/// Rates of all sides and of PostgreSQL alone, in turns.
pub async fn run(setting: &Setting, events: usize, rounds: usize) -> Vec<Mark> {
    let (mut alone, mut sides): ([Vec<f64>; 2], Vec<_>) = Default::default();
    for _ in 0..rounds {
        for (chunk, alone) in [CHUNK, 1].into_iter().zip(&mut alone) {
            let events = if chunk == 1 { ONE_BY_ONE.min(events) } else { events };
            let rate = self::alone(setting, events, chunk).await;
            println!(
                "W2 PostgreSQL alone, {CONNECTIONS} connections, {chunk} a transaction: {rate:.0}/s"
            );
            alone.push(rate);
        }
        sides.push(turns(SIDES, async |side| consume(setting, side, events).await).await);
    }
    let [alone, one_by_one] = alone.map(|rates| Quartiles::of(rates.into_iter()).median());
    let [batch, spring_batch, single, spring_record] =
        medians(&sides, |ran| rate(events, ran.seconds));
    let memory = medians(&sides, Ran::mebibytes);
    println!(
        "W2 handler per event: {:.2} of PostgreSQL alone with one a transaction",
        single / one_by_one
    );
    vec![
        Mark::at_least(
            "W2 batch handler, times Spring's batch listener",
            batch / spring_batch,
            2.0,
        ),
        Mark::at_least("W2 batch handler, share of PostgreSQL alone", batch / alone, 0.5),
        Mark::at_least(
            "W2 handler per event, times Spring's record listener",
            single / spring_record,
            6.0,
        ),
        Mark::at_most("W2 batch handler, share of Spring's memory", memory[0] / memory[1], 0.2),
        Mark::at_most("W2 handler per event, share of Spring's memory", memory[2] / memory[3], 0.2),
    ]
}

async fn consume(setting: &Setting, side: Side, events: usize) -> Ran {
    let catalogue = setting.catalogue().await;
    preload(&setting.bootstrap, &catalogue, events, KEYS, 0);
    let database = setting.new_database().await;
    let mut connection = PgConnection::connect(&database).await.expect("PostgreSQL answers");
    if !matches!(side.program, Program::Ours(_)) {
        connection.execute(TABLES).await.expect("the tables can be made");
    }
    let jdbc = jdbc(&database);
    let more = [("DATABASE_URL", &*database), ("JDBC_URL", &*jdbc)];
    let mut running = setting.start(side, &catalogue, events, &more);
    let took: Took = running.result();
    let peak_bytes = running.ended();
    let distinct = count(&mut connection, "SELECT count(DISTINCT event_id) FROM effects").await;
    let effects = count(&mut connection, "SELECT count(*) FROM effects").await;
    let handled = count(&mut connection, "SELECT count(*) FROM processed_events").await;
    assert_eq!((effects, distinct, handled), (events, events, events), "each event has one effect");
    let committed = setting.committed(side, &catalogue).await;
    assert_eq!(
        usize::try_from(committed),
        Ok(events),
        "the offsets of {} are committed",
        side.name
    );
    let ran = Ran { seconds: took.seconds, peak_bytes };
    println!("W2 {}: {:.0}/s, {:.0} MiB", side.name, rate(events, ran.seconds), ran.mebibytes());
    ran
}

/// PostgreSQL's URL as Java writes it.
fn jdbc(url: &str) -> String {
    let (user, address) = url
        .strip_prefix("postgres://")
        .and_then(|url| url.split_once('@'))
        .expect("the URL of `cargo xtask postgres` has a user and no password");
    format!("jdbc:postgresql://{address}?user={user}")
}

async fn count(connection: &mut PgConnection, sql: &'static str) -> usize {
    let count: i64 =
        sqlx::query_scalar(sql).fetch_one(connection).await.expect("it can be counted");
    usize::try_from(count).expect("a count is not negative")
}

/// The workload's rows without Kafka: in a transaction the inbox rows and the effects of those that were new, by one
/// statement.
async fn alone(setting: &Setting, events: usize, chunk: usize) -> f64 {
    const STATEMENT: &str = "WITH fresh AS (
            INSERT INTO processed_events SELECT 'limit', unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING event_id)
        INSERT INTO effects (event_id, order_id, event)
        SELECT effect.id, effect.key, 'OrderPlaced' FROM unnest($1::uuid[], $2::text[]) AS effect (id, key)
        JOIN fresh ON fresh.event_id = effect.id";
    let pool: PgPool = PgPoolOptions::new()
        .min_connections(CONNECTIONS)
        .max_connections(CONNECTIONS)
        .connect(&setting.new_database().await)
        .await
        .expect("PostgreSQL answers");
    pool.execute(TABLES).await.expect("the tables can be made");
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
    rate(events, began.elapsed().as_secs_f64())
}
