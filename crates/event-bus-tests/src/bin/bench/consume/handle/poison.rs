//! W7: one event in a hundred always fails. The good ones leave their key and number, in the order of handling.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use event_bus::store::Migration;
use event_bus::{Context, Event, Failure, Handled, Handler, StatelessContext, StatelessHandler};
use jiff::Timestamp;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::signal::unix::{SignalKind, signal};

use super::Args;
use crate::consume::event::OrderPlaced;
use crate::consume::running::Running;
use crate::consume::tally::Tally;

const EFFECTS: &[Migration] = &[Migration::same(
    1,
    "effects",
    "CREATE TABLE effects (place bigserial PRIMARY KEY, order_id text NOT NULL, number bigint NOT NULL)",
)];
const INSERT: &str = "INSERT INTO effects (order_id, number) VALUES ($1, $2)";

/// A handler that writes good events down, and fails for the others.
struct Poisoned {
    tally: Arc<Tally>,
    trace: Arc<Mutex<String>>,
}

/// A key and the place of an event among all.
fn effect_of(event: &Event<OrderPlaced>) -> Result<(String, i64), Failure> {
    if event.payload.poison {
        return Err(Failure::retry("poison"));
    }
    Ok((event.payload.order_id.clone(), event.occurred_at.as_millisecond()))
}

impl StatelessHandler<OrderPlaced> for Poisoned {
    async fn handle(&self, event: Event<OrderPlaced>, _: &StatelessContext<'_>) -> Handled {
        self.tally.begin();
        let (key, number) = effect_of(&event)?;
        let mut trace = self.trace.lock().expect("nobody panics while noting");
        writeln!(trace, "{key} {number}").expect("a string takes all");
        drop(trace);
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

pub async fn stateless(args: &Args) {
    let (tally, trace) = (Arc::new(Tally::of(args.events)), Arc::default());
    let handler = Poisoned { tally: Arc::clone(&tally), trace: Arc::clone(&trace) };
    let running = Running::start_stateless(args.stateless_service().on::<OrderPlaced>(handler));
    report(&tally, async {}).await;
    running.stop().await;
    let trace = trace.lock().expect("nobody panics while noting");
    write_trace(args, &trace);
}

pub async fn in_database(args: &Args) {
    let tally = Arc::new(Tally::of(args.events));
    let handler = Poisoned { tally: Arc::clone(&tally), trace: Arc::default() };
    let running = Running::start(args.service(EFFECTS).await.on::<OrderPlaced>(handler));
    let mut connection = PgConnection::connect(args.database()).await.expect("PostgreSQL answers");
    let mut effects: Vec<(String, i64)> = Vec::new();
    let committed = async {
        while effects.len() < args.events {
            let read = sqlx::query_as("SELECT order_id, number FROM effects ORDER BY place");
            effects = read.fetch_all(&mut connection).await.expect("the effects can be read");
        }
    };
    report(&tally, committed).await;
    running.stop().await;
    let mut trace = String::new();
    for (key, number) in effects {
        writeln!(trace, "{key} {number}").expect("a string takes all");
    }
    write_trace(args, &trace);
}

/// Prints when the good events were handled, and waits until it is asked to stop.
async fn report(tally: &Tally, committed: impl Future<Output = ()>) {
    let mut asked = signal(SignalKind::terminate()).expect("signals can be received");
    let began = tally.full().await;
    committed.await;
    let good = Timestamp::now().as_millisecond();
    let took = i64::try_from(began.elapsed().as_millis()).expect("a run is short");
    println!(r#"{{"began_ms":{},"good_ms":{good}}}"#, good - took);
    asked.recv().await;
}

fn write_trace(args: &Args, trace: &str) {
    let path = args.trace.as_deref().expect("TRACE_FILE is set");
    std::fs::write(path, trace).expect("the trace can be written");
}
