//! The workloads' rows: a key belongs to one writer, and a value tells its number.

use event_bus::envelope::OutgoingRecord;
use event_bus::names::{EventId, TopicName};
use event_bus::store::Store;
use jiff::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::side::Side;
use crate::consume::event::bare;

/// Keys of a workload.
pub const KEYS: usize = 1_000;
/// Writers of a workload. A number's writer is its remainder, and so is its key's.
pub const WRITERS: usize = 4;
const _: () = assert!(KEYS.is_multiple_of(WRITERS), "a key belongs to one writer");

/// The peer's outbox, as its own documentation has it.
const PEERS_TABLE: &str = "
    CREATE TABLE outbox (
        id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL, type text NOT NULL, payload text
    )";

/// Makes a database ready.
pub async fn prepare(side: Side, url: &str) {
    match side {
        Side::Ours => Store::open(url, &[]).await.expect("the tables are made").close().await,
        Side::Debezium => {
            let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
            connection.execute(PEERS_TABLE).await.expect("the table is made");
            // A slot that is made before the rows, and the publication is named as it is.
            let publication = format!("CREATE PUBLICATION {} FOR TABLE outbox", slot_of(url));
            let publication = AssertSqlSafe(publication);
            connection.execute(publication).await.expect("the publication is made");
            let slot = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')";
            sqlx::query(slot)
                .bind(slot_of(url))
                .execute(&mut connection)
                .await
                .expect("the slot is made: the server needs wal_level=logical");
        }
    }
}

/// Gives up what a peer's database keeps of the server's log.
pub async fn clean_up(side: Side, url: &str) {
    if let Side::Debezium = side {
        let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
        let drop_slot = "SELECT pg_drop_replication_slot($1)";
        sqlx::query(drop_slot)
            .bind(slot_of(url))
            .execute(&mut connection)
            .await
            .expect("nobody uses the slot any more");
    }
}

/// The name of a database's slot: slots are the server's, for all databases.
pub fn slot_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

/// Writes a workload's rows in transactions.
pub struct Writer {
    side: WriterOf,
    topic: TopicName,
}

enum WriterOf {
    Ours(Store),
    Debezium(PgConnection),
}

impl Writer {
    pub async fn open(side: Side, url: &str, topic: &TopicName) -> Self {
        let side = match side {
            Side::Ours => {
                WriterOf::Ours(Store::open_existing(url).await.expect("the tables are there"))
            }
            Side::Debezium => {
                WriterOf::Debezium(PgConnection::connect(url).await.expect("PostgreSQL answers"))
            }
        };
        Self { side, topic: topic.clone() }
    }

    /// Commits the rows of these numbers in one transaction.
    pub async fn commit(&mut self, numbers: &[usize]) {
        match &mut self.side {
            WriterOf::Ours(store) => {
                let mut tx = store.begin().await.expect("a transaction begins");
                for number in numbers {
                    tx.enqueue(record(&self.topic, *number));
                }
                tx.commit().await.expect("it commits");
            }
            WriterOf::Debezium(connection) => {
                const INSERT: &str = "INSERT INTO outbox SELECT * FROM
                    unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])";
                let mut tx = connection.begin().await.expect("a transaction begins");
                let ids: Vec<Uuid> = numbers.iter().map(|_| Uuid::now_v7()).collect();
                let same = |text: &str| vec![text.to_owned(); numbers.len()];
                sqlx::query(INSERT)
                    .bind(ids)
                    .bind(same("order"))
                    .bind(numbers.iter().map(|number| key(*number)).collect::<Vec<_>>())
                    .bind(same("OrderPlaced"))
                    .bind(numbers.iter().map(|number| value(*number)).collect::<Vec<_>>())
                    .execute(&mut *tx)
                    .await
                    .expect("the rows are written");
                tx.commit().await.expect("it commits");
            }
        }
    }
}

fn record(topic: &TopicName, number: usize) -> OutgoingRecord {
    OutgoingRecord {
        topic: topic.clone(),
        partition: None,
        key: Some(key(number).into()),
        value: Some(value(number).into()),
        headers: Vec::new(),
        event_id: EventId::at(Timestamp::now()),
    }
}

/// A number's key.
pub fn key(number: usize) -> String {
    format!("o-{}", number % KEYS)
}

fn value(number: usize) -> String {
    let event = bare(number, u32::try_from(KEYS).expect("a small number"), 0).value;
    format!(r#"{{"number":{number},"envelope":{event}}}"#)
}

/// The number that a value tells.
pub fn number_in(value: &[u8]) -> usize {
    let text = std::str::from_utf8(value).expect("it is text");
    let rest = text.strip_prefix(r#"{"number":"#).expect("it begins with its number");
    rest.split(',').next().unwrap_or_default().parse().expect("a number")
}
