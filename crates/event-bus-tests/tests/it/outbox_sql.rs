//! The outbox as a service without the library writes to it: by the SQL that docs/CONTRACT.md shows, word for word, and
//! by `outbox::enqueue` in a transaction of sqlx.

use event_bus::envelope::{Draft, Envelope, SealError};
use event_bus::headers::last;
use event_bus::outbox::{EnqueueError, enqueue};
use event_bus::store::Store;
use event_bus::{Catalogue, EventType};
use event_bus_tests::databases::Databases;
use event_bus_tests::kafka::{create_topics, everything_in};
use event_bus_tests::shop::{self, Fate, OrderPlaced, order, tenant};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use crate::both::on_both_databases;
use crate::selling::{Relaying, create_topic, topic, waiting};

const CONTRACT: &str = include_str!("../../../../docs/CONTRACT.md");

on_both_databases!(
    the_documented_sql_publishes_in_order,
    events_enqueued_in_a_transaction_of_sqlx_leave_if_it_commits,
    an_event_that_may_not_be_published_is_not_enqueued_and_nor_are_those_beside_it,
);

/// The SQL that stands in the contract below this line, up to the end of its block.
fn documented(below: &str) -> &'static str {
    let (_, rest) = CONTRACT.split_once(below).expect("the contract has this line");
    let (_, block) = rest.split_once("```sql\n").expect("SQL follows");
    block.split_once("```").expect("the block ends").0
}

/// Has a relay send everything.
async fn relay(databases: &Databases) {
    let relaying = Relaying::start(databases).await;
    relaying.sends_all(databases).await;
    relaying.end().await;
}

/// A connection of sqlx, as a service has it.
enum Client {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Client {
    async fn connect(databases: &Databases) -> Self {
        let url = databases.url("shop");
        match databases {
            Databases::Postgres { .. } => {
                Self::Postgres(PgConnection::connect(&url).await.expect("PostgreSQL answers"))
            }
            Databases::Sqlite(_) => {
                Self::Sqlite(SqliteConnection::connect(&url).await.expect("the file is there"))
            }
        }
    }

    async fn run(&mut self, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Postgres(connection) => drop(sql.execute(connection).await.expect("it runs")),
            Self::Sqlite(connection) => drop(sql.execute(connection).await.expect("it runs")),
        }
    }

    async fn enqueue(&mut self, events: Vec<Draft<'_>>) -> Result<usize, EnqueueError> {
        let ids = match self {
            Self::Postgres(connection) => enqueue(connection, events).await,
            Self::Sqlite(connection) => enqueue(connection, events).await,
        };
        ids.map(|ids| ids.len())
    }

    async fn begin(&mut self) {
        let begin = match self {
            Self::Postgres(_) => "BEGIN",
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
        };
        self.run(begin).await;
    }
}

async fn the_documented_sql_publishes_in_order(databases: &Databases) {
    let catalogue = shop::catalogue(1, "");
    let placed = topic(&catalogue, "order.placed");
    create_topic(&placed, &[]).await;
    Store::open(&databases.url("shop"), &[]).await.expect("the store opens").close().await;
    let mut client = Client::connect(databases).await;
    client.run("CREATE TABLE orders (order_id text PRIMARY KEY, status text)").await;
    let blocks = match client {
        Client::Postgres(_) => vec![
            documented("**PostgreSQL**, by the function"),
            documented("One that enqueues under several keys takes all locks first"),
        ],
        Client::Sqlite(_) => vec![documented("**SQLite**: the writer's lock is the only lock")],
    };
    // The first key's row comes twice, around what the other transaction writes.
    let documented = [&blocks[..], &blocks[..1]].concat();
    for sql in &documented {
        // The namespace is the test's own; all else is as it stands there.
        client.run(&sql.replace("blindstrader", catalogue.namespace().as_str())).await;
    }
    relay(databases).await;
    let sent = everything_in(&[placed]).await;
    let keys: Vec<&[u8]> = sent.iter().filter_map(|record| record.key.as_deref()).collect();
    let first: &[u8] = b"thomas-sanderson/o-100234";
    match client {
        Client::Postgres(_) => {
            let others: [&[u8]; 2] = [b"thomas-sanderson/o-2", b"thomas-sanderson/o-1"];
            assert_eq!(keys, [first, others[0], others[1], first]);
        }
        Client::Sqlite(_) => assert_eq!(keys, [first, first]),
    }
    assert_eq!(last(&sent[0].headers, "ce_type"), Some("OrderPlaced"));
    let value = sent[0].value.as_deref().expect("it has a value");
    assert!(value.starts_with(b"{\"event_id\":\"0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10\""));
}

fn draft<'a>(
    catalogue: &'a Catalogue,
    tenant: &'a event_bus::names::TenantId,
    order: &OrderPlaced,
) -> Draft<'a> {
    let event = catalogue.event(OrderPlaced::NAME).expect("the catalogue has it");
    Draft::typed(event, tenant, order, jiff::Timestamp::now()).expect("it is of this type")
}

async fn events_enqueued_in_a_transaction_of_sqlx_leave_if_it_commits(databases: &Databases) {
    let (catalogue, tenant) = (shop::catalogue(1, ""), tenant());
    create_topics(&catalogue).await;
    Store::open(&databases.url("shop"), &[]).await.expect("the store opens").close().await;
    let mut client = Client::connect(databases).await;
    for (number, end) in ["COMMIT", "ROLLBACK", "COMMIT"].into_iter().enumerate() {
        client.begin().await;
        let number = i64::try_from(number).expect("a small number") * 10;
        let events = [("a", 1), ("b", 2), ("a", 3)]
            .map(|(key, nth)| draft(&catalogue, &tenant, &order(key, number + nth, Fate::Ok)));
        assert_eq!(client.enqueue(events.to_vec()).await.expect("they are right"), 3);
        client.run(end).await;
    }
    relay(databases).await;
    let sent = everything_in(&[shop::orders(&catalogue)]).await;
    let numbers: Vec<i64> = sent
        .iter()
        .map(|record| {
            let value = record.value.as_deref().expect("it has a value");
            let envelope = Envelope::parse(value).expect("it is an envelope");
            envelope.payload.read::<OrderPlaced>().expect("it is an order").number
        })
        .collect();
    assert_eq!(numbers, [1, 2, 3, 21, 22, 23]);
}

async fn an_event_that_may_not_be_published_is_not_enqueued_and_nor_are_those_beside_it(
    databases: &Databases,
) {
    let (catalogue, tenant) = (shop::catalogue(1, ""), tenant());
    Store::open(&databases.url("shop"), &[]).await.expect("the store opens").close().await;
    let mut client = Client::connect(databases).await;
    client.begin().await;
    let good = draft(&catalogue, &tenant, &order("a", 1, Fate::Ok));
    let broken = draft(&catalogue, &tenant, &order("", -1, Fate::Ok));
    let refused =
        client.enqueue(vec![good.clone(), broken]).await.expect_err("it breaks its schema");
    assert!(matches!(&refused, EnqueueError::Seal(SealError::Schema { .. })), "{refused:?}");
    let long = draft(&catalogue, &tenant, &order(&"x".repeat(1_000_000), 1, Fate::Ok));
    let refused = client.enqueue(vec![good.clone(), long]).await.expect_err("it is too large");
    assert!(matches!(&refused, EnqueueError::Seal(SealError::Limit(_))), "{refused:?}");
    client.enqueue(vec![good]).await.expect("the transaction goes on");
    client.run("COMMIT").await;
    assert_eq!(waiting(databases).await, 1);
}
