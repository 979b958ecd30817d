//! W2: each event becomes one row in PostgreSQL.

use std::sync::Arc;

use event_bus::store::Migration;
use event_bus::{BatchContext, BatchHandler, Context, Event, Failure, Handled, Handler};
use sqlx::postgres::PgConnection;
use sqlx::types::Uuid;
use sqlx::{Connection, Executor};

use super::{Args, Kind};
use crate::consume::event::OrderPlaced;
use crate::consume::running::Running;
use crate::consume::tally::Tally;

/// The table of the effects.
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

pub async fn run(args: &Args) {
    let tally = Arc::new(Tally::of(args.events));
    let service = args.service(EFFECTS).await;
    let effects = Effects(Arc::clone(&tally));
    let service = match args.handler {
        Kind::Batch => service.on_batch::<OrderPlaced>(effects),
        _ => service.on::<OrderPlaced>(effects),
    };
    let mut connection = PgConnection::connect(args.database()).await.expect("PostgreSQL answers");
    connection.execute("CHECKPOINT").await.expect("PostgreSQL writes out what is open");
    let running = Running::start(service);
    let began = tally.full().await;
    // The last transactions commit about now.
    while effects_in(&mut connection).await < args.events {}
    println!(r#"{{"seconds":{}}}"#, began.elapsed().as_secs_f64());
    running.stop().await;
}

async fn effects_in(connection: &mut PgConnection) -> usize {
    let counted = sqlx::query_scalar("SELECT count(*) FROM effects").fetch_one(connection).await;
    let count: i64 = counted.expect("the effects can be counted");
    usize::try_from(count).expect("a count is not negative")
}
